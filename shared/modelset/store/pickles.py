"""Says what pickles would do when they are loaded, and loads none.

picklescan knows which names are dangerous. The files are read here: it holds all instructions of a
pickle in memory, and passes over in silence what it cannot read.
"""

import io
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from modelset.core.errors import ModelSetError
from modelset.core.formats import PICKLE, format_of
from modelset.store.containers import looks
from modelset.store.entries import short
from modelset.store.files import saying

# Other names of things that picklescan knows by one name only.
_SAME: Final = frozenset(
    [
        *(("io", "open"), ("_io", "open"), ("codecs", "open")),
        *(
            ("builtins", "__import__"),
            ("__builtin__", "__import__"),
            ("importlib", "import_module"),
        ),
    ]
)
_MOST_PARTS: Final = 8
_MOST_WORDS: Final = 50
_MOST_SAID: Final = 5


def is_pickle(name: str) -> bool:
    """Whether a file of this name is loaded as a pickle; `model.bin` of CTranslate2 is none."""
    return format_of(name) == PICKLE


def refuse_dangers(path: Path, name: str) -> None:
    """Raise ModelSetError `pickle-refused` for a file that is not known to be harmless."""
    found = dangers(path, name)
    if found:
        more = f"; and {len(found) - _MOST_SAID} more" if len(found) > _MOST_SAID else ""
        raise ModelSetError(
            "pickle-refused",
            "; ".join(found[:_MOST_SAID]) + more,
            "choose another form of the model; docs/security.md tells more",
        )


def dangers(path: Path, name: str) -> list[str]:
    """Words for everything dangerous that loading the file would do, empty when there is nothing.

    What cannot be read to its end is dangerous too. Raises ModelSetError when the disk fails.
    """
    words: dict[str, None] = {}
    with saying("read", path), open(path, "rb") as stream:
        for where, seen, is_sure in looks(path, stream):
            label = f"{name}, {_shown(where)}" if where else name
            said = [*_dangerous(seen.names)]
            if seen.is_hidden and (is_sure or not seen.damage):
                said.append("loads something whose name it hides")
            if seen.damage and is_sure:
                said.append(f"cannot be read as a pickle: {_shown(seen.damage)}")
            words.update(dict.fromkeys(f"{label}: {what}" for what in said))
            if len(words) > _MOST_WORDS:
                break
    return [*words][:_MOST_WORDS]


def _dangerous(names: Iterable[tuple[str, str]]) -> Iterator[str]:
    for module, name in names:
        if _is_dangerous(module, name):
            yield _shown(f"{module}.{name}")


@lru_cache(4096)
def _is_dangerous(module: str, name: str) -> bool:
    # In a dotted name each part is looked up in the one before: a module leads to all it imports.
    parts = name.split(".")
    if len(parts) > _MOST_PARTS:
        return True
    ways = [(module, name), (module, parts[0])]
    # Pickles of the oldest forms are loaded by the names that Python 2 had.
    ways += [NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))]
    for start in range(len(parts)):
        middle = range(start + 1, len(parts))
        ways.extend((".".join(parts[start:end]), parts[end]) for end in middle)
    return not _SAME.isdisjoint(ways) or _scan(ways)


def _scan(names: Iterable[tuple[str, str]]) -> bool:
    """Whether picklescan calls one of these dangerous, asked in its own language."""
    import logging  # here, because these two are slow to load

    from picklescan.scanner import SafetyLevel, scan_pickle_bytes

    logging.getLogger("picklescan").setLevel(logging.CRITICAL + 1)
    texts = [[_text(one) for one in pair] for pair in names]
    pickle = b"\x80\x04" + b"".join(one + two + b"\x930" for one, two in texts) + b"N."
    found = scan_pickle_bytes(io.BytesIO(pickle), "", multiple_pickles=False)
    return any(one.safety is SafetyLevel.Dangerous for one in found.globals)


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<L", len(data)) + data


def _shown(text: str) -> str:
    return text if text.isascii() and text.isprintable() and len(text) <= 200 else short(text)
