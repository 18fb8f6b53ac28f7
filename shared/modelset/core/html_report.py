"""The state of a set as one page that needs nothing else: no script, no font, no address.

Every text that comes from elsewhere is escaped, because names and notes are what users write.
"""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from modelset.core.html_chart import Bar, bars
from modelset.core.words import size_text, time_text

Data = Mapping[str, Any]

# What HTML has no place for, and what turns the direction of the text after it.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #5b636d; --page: #fff; --line: #d5dae0;
  --good: #1a7f4b; --bad: #c2342b; --warn: #9a6700; --bar: #3569c9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ed; --dim: #9aa4b0; --page: #14171b;
  --line: #343b44; --good: #4cc38a; --bad: #ff7b72; --warn: #e0a82e; --bar: #7aa7ff; } }
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: var(--ink);
  background: var(--page); font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p, dd { color: var(--dim); margin: .2rem 0; } dl { display: grid; gap: 0 1rem;
  grid-template-columns: max-content 1fr; } dt { font-weight: 600; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; } td.n, th.n { text-align: right; white-space: nowrap; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 13px; }
svg .bar { fill: var(--bar); } svg .bad { fill: var(--bad); } svg .rail { fill: var(--line); }
.present, .better { color: var(--good); } .corrupt, .missing, .failed, .worse { color: var(--bad); }
.partial, .unpinned { color: var(--warn); }
"""


def page(data: Data) -> str:
    """The page of a report."""
    parts = [
        _head(data),
        _sizes(data),
        _models(data),
        _changes(data),
        _downloads(data),
        _machine(data),
        _lock(data),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Models on this machine</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def safe(value: object) -> str:
    """A text that stays a text in HTML, within elements and within attributes."""
    return escape(_UNFIT.sub("\ufffd", str(value)))


def _head(data: Data) -> str:
    counts = data["counts"]
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return (
        "<h1>Models on this machine</h1>\n"
        f"<p>{safe(said or 'no models')}; {size_text(data['total_bytes'])} on disk</p>\n"
        f"<p>{safe(data['made'])}, below {safe(data['models_root'])}; "
        f"{'every file was read' if data['deep'] else 'by presence and size'}</p>"
    )


def _sizes(data: Data) -> str:
    rows = [
        Bar(
            safe(one["title"][:36]),
            one["bytes"],
            f"{size_text(one['bytes'])}, {_ready(one['models'])}",
        )
        for one in data["categories"]
    ]
    return f"<h2>Size on disk</h2>\n{bars(rows, 'Size on disk by category')}"


def _ready(models: Iterable[Data]) -> str:
    rows = list(models)
    return f"{sum(row['presence'] == 'present' for row in rows)} of {len(rows)} present"


def _models(data: Data) -> str:
    parts = ["<h2>Models</h2>"]
    for one in data["categories"]:
        rows = [
            [
                _text(row["key"]),
                _state(row["presence"]),
                _text(row["tier"]),
                size_text(row["bytes"]),
                _text(row["revision"][:12]),
                _text(row["licence"]),
                _text("; ".join(filter(None, [row["note"], *row["problems"][:3]]))),
            ]
            for row in one["models"]
        ]
        columns = ["model", "state", "tier", "#size", "revision", "licence", "note"]
        parts += [f"<h3>{safe(one['title'])}</h3>", _table(columns, rows)]
    return "\n".join(parts)


def _changes(data: Data) -> str:
    changes = data["changes"]
    if not changes["since"]:
        return "<h2>Changes</h2>\n<p>This is the first report here.</p>"
    title = f"<h2>Changes since {safe(changes['since'])}</h2>"
    if not changes["models"]:
        return f"{title}\n<p>Nothing has changed.</p>"
    rows = [[_text(row["key"]), _text(row["words"])] for row in changes["models"]]
    return f"{title}\n{_table(['model', 'what'], rows)}"


def _downloads(data: Data) -> str:
    title = "<h2>The last download</h2>"
    rows = data["downloads"]
    if not rows:
        return f"{title}\n<p>Nothing was downloaded, as far as is written down here.</p>"
    moved = [row for row in rows if row["rate"]]
    chart = [
        Bar(
            safe(row["key"][:36]),
            row["rate"],
            f"{size_text(row['rate'])}/s, {size_text(row['bytes'])} in {time_text(row['seconds'])}",
            is_bad=row["result"] == "failed",
        )
        for row in moved
    ]
    table = [
        [
            _text(row["key"]),
            _state(row["result"]),
            size_text(row["bytes"]),
            time_text(row["seconds"]),
            _text(row["failure"]),
        ]
        for row in rows
    ]
    drawn = bars(chart, "Speed of each download") if chart else "<p>Nothing had to be moved.</p>"
    return "\n".join([title, drawn, _table(["model", "result", "#moved", "#time", ""], table)])


def _machine(data: Data) -> str:
    own, advice = data["hardware"], data["recommendation"]
    cards = [f"{gpu['name']}, {size_text(gpu['memory_bytes'])}" for gpu in own["gpus"]]
    rows = {
        "System": f"{own['system']} {own['machine']}",
        "CPU": f"{own['cpu_name']} ({own['cores_physical']} cores)",
        "Memory": size_text(own["memory_bytes"]),
        "Disk": f"{size_text(own['disk_free_bytes'])} free in {own['disk_path']}",
        "GPU": "; ".join(cards) or ("Apple Silicon" if own["apple_silicon"] else "none"),
        "Recommended": f"whisper:{advice['whisper']} on {advice['device']}",
        "Settings": f"compute_type={advice['compute_type']}, batch_size={advice['batch_size']}",
        "Why": advice["reason"],
    }
    return f"<h2>Hardware</h2>\n{_list(rows)}"


def _lock(data: Data) -> str:
    lock = data["lock"]
    stale = ", ".join(lock["stale"])
    rows = {
        "File": lock["path"],
        "Models": lock["models"],
        "State": f"out of date for {stale}" if stale else "says what the catalog wants",
    }
    return f"<h2>Lock</h2>\n{_list(rows)}"


def _list(rows: Mapping[str, object]) -> str:
    inner = "".join(f"<dt>{safe(name)}</dt><dd>{safe(words)}</dd>" for name, words in rows.items())
    return f"<dl>{inner}</dl>"


def _table(columns: list[str], rows: list[list[str]]) -> str:
    """A table of cells that are HTML already; the figures of a column with `#` stand right."""
    kinds = [' class="n"' if column.startswith("#") else "" for column in columns]
    head = "".join(
        f"<th{kind}>{safe(column.lstrip('#'))}</th>"
        for kind, column in zip(kinds, columns, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _text(value: object) -> str:
    # Isolated, so that a name in another script does not turn its neighbours round.
    return f"<bdi>{safe(value)}</bdi>"


def _state(word: str) -> str:
    return f'<span class="{safe(word)}">{safe(word)}</span>'
