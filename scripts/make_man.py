"""Write docs/man/modelset.1 from the command line's own parser, or with `--check` say how the page
differs from it.

python scripts/make_man.py [--check] [--out FILE]
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "shared"))

from modelset.cli.parsers import whole_program  # noqa: E402
from modelset.core.commands import Argument, Command, Option, Program, Word  # noqa: E402

PAGE = ROOT / "docs" / "man" / "modelset.1"
# What each exit code says; tests compare the codes with those of the program.
EXIT_CODES = {
    0: "every critical model is ready",
    1: "an error in this program, or the reader of its output has gone",
    2: "usage or configuration",
    3: "an optional model is missing, with --strict",
    4: "a critical model is missing or failed",
    5: "network; try again",
    6: "credentials, or a licence that nobody has accepted",
    7: "disk space",
    8: "integrity",
    9: "the lock is out of date",
    12: "deadline",
    13: "refused by policy",
    130: "stopped with Ctrl-C",
    143: "stopped with SIGTERM",
}
FILES = {
    "modelset.toml": "settings and models of your own; MODELSET_CONFIG names another",
    "models.lock.json": "exactly which files each model is; MODELSET_LOCK names another",
    ".cache/": "the models; MODELSET_MODELS_ROOT names another folder",
    "out/": "what the last runs did, as JSON; MODELSET_OUT names another folder",
}


def page_of(program: Program) -> str:
    """The whole page, as roff with the man macros."""
    name = program.name
    lines = [
        f'.\\" Written by scripts/make_man.py from the parser of {name}.',
        # Without a date, so that the page changes only with the program.
        f'.TH {name.upper()} 1 "" "{_text(name)} {_text(program.version)}" "User Commands"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(_lowered(program.words.removeprefix(f'{name}: ')))}",
        ".SH SYNOPSIS",
        f".B {_text(name)}",
        ".I COMMAND",
        "[options]",
        ".SH OPTIONS",
        *_options(program.options),
        ".SH COMMANDS",
    ]
    shared = _shared(program.commands)
    for command in program.commands:
        lines += _command(program, command, shared)
    lines += [".SH OPTIONS OF EVERY COMMAND", *_options(shared)]
    lines += [".SH EXIT STATUS"]
    lines += _rows({str(code): words for code, words in EXIT_CODES.items()})
    lines += [".SH FILES", *_rows(FILES)]
    return "\n".join(lines) + "\n"


def _shared(commands: Sequence[Command]) -> tuple[Option, ...]:
    """The options that every command has, in the same words."""
    first, *others = commands
    return tuple(option for option in first.options if all(option in one.options for one in others))


def _command(program: Program, command: Command, shared: Sequence[Option]) -> Iterator[str]:
    yield f".SS {_quoted(' '.join((command.name, *command.aliases)))}"
    yield f"{_text(_sentence(command.words))}"
    yield ".PP"
    yield f".B {_text(f'{program.name} {command.name}')}"
    yield from (_usage(argument) for argument in command.arguments)
    yield "[options]"
    for argument in command.arguments:
        yield from _item(f"\\fI{_text(argument.value.shown)}\\fR", argument.words)
    yield from _options([option for option in command.options if option not in shared])


def _usage(argument: Argument) -> str:
    word = f"\\fI{_text(argument.value.shown)}\\fR" + ("..." if argument.repeats else "")
    return word if argument.is_needed else f"[{word}]"


def _options(options: Sequence[Option]) -> Iterator[str]:
    for option in options:
        names = ", ".join(f"\\fB{_text(name)}\\fR" for name in option.names)
        yield from _item(names + _value(option), option.words)


def _value(option: Option) -> str:
    if option.takes == "none":
        return ""
    word = f" \\fI{_text(_shown(option.value))}\\fR"
    return f"{word} ..." if option.takes == "many" else word


def _shown(value: Word) -> str:
    return "|".join(value.choices) or value.shown


def _item(head: str, words: str) -> Iterator[str]:
    yield ".TP"
    yield head
    yield _text(_sentence(words)) or "\\&"


def _rows(rows: dict[str, str]) -> Iterator[str]:
    for name, words in rows.items():
        yield from _item(f"\\fB{_text(name)}\\fR", words)


def _sentence(words: str) -> str:
    """Words with a capital and a full stop; a name at their beginning stays as it is."""
    words = words.strip()
    first = words.partition(" ")[0].rstrip(",;:")
    if first.islower() and first.isalpha():
        words = words[:1].upper() + words[1:]
    return words + ("" if not words or words.endswith((".", "!", "?")) else ".")


def _lowered(words: str) -> str:
    text = " ".join(words.split()).rstrip(".")
    return text[:1].lower() + text[1:]


def _text(words: str) -> str:
    """Words as roff takes them: no escape, no request, and every hyphen one that can be copied."""
    words = " ".join("".join(one if one.isprintable() else " " for one in words).split())
    words = words.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    words = words.replace("'", "\\(aq").replace("~", "\\(ti").replace("^", "\\(ha")
    words = words.replace('"', "\\(dq")
    words = re.sub(r"[^\x00-\x7f]", lambda hit: f"\\[u{ord(hit[0]):04X}]", words)
    return f"\\&{words}" if words.startswith(".") else words


def _quoted(words: str) -> str:
    return f'"{_text(words)}"'


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page, or compare it; returns the exit code."""
    parser = argparse.ArgumentParser(description="writes the manual page from the parser")
    parser.add_argument("--check", action="store_true", help="write nothing, show what differs")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE")
    options = parser.parse_args(argv)
    text = page_of(whole_program())
    if not options.check:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8", newline="\n")
        return 0
    there = options.out.read_text(encoding="utf-8") if options.out.exists() else ""
    changed = difflib.unified_diff(
        there.splitlines(), text.splitlines(), str(options.out), "the parser", lineterm=""
    )
    for line in changed:
        print(line)
    return 0 if there == text else 1


if __name__ == "__main__":
    sys.exit(main())
