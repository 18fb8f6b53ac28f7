"""Completion for shells: scripts that know every command, option and choice of a program, and ask
the program itself for what changes, such as the keys of models.

All but fish work from one table. Its keys are a command and an option (`check --only`), a command
and a place (`config 1`; `check +` is any place), or a command and `-`, which lists the options. A
row says how many words follow, where they come from, and what they are: `one words critical`.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from modelset.core.commands import Command, Program, Word
from modelset.core.completion_shells import BASH, POWERSHELL, STEPS, ZSH

# Everything in a script that is not in quotes or a comment is one of these.
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*|--?[A-Za-z0-9][A-Za-z0-9-]*")


def table_of(program: Program) -> dict[str, str]:
    """The rows of the table; the program itself stands as the command without a name."""
    names = [command.name for command in program.commands]
    own = [name for option in program.options for name in option.names]
    table = {" 1": f"none words {_joined(names)}", " -": f"none words {_joined(own)}"}
    for command in program.commands:
        for option in command.options:
            for name in option.names:
                table[f"{command.name} {name}"] = f"{option.takes} {_source(option.value)}"
        for place, argument in enumerate(command.arguments, 1):
            key = f"{command.name} {'+' if argument.repeats else place}"
            table[key] = f"none {_source(argument.value)}"
        listed = [name for option in command.options for name in option.names]
        table[f"{command.name} -"] = f"none words {_joined(listed)}"
    return {key: row.rstrip() for key, row in table.items() if row.rstrip() != "none words"}


def bash(program: Program) -> str:
    """The script for bash, also the old one of macOS."""
    return _filled(BASH, program)


def zsh(program: Program) -> str:
    """The script for zsh, to be sourced or put into a folder of `fpath`."""
    rows = "\n".join(
        f"            {_quoted(f'{command.name}:{_plain(command.words)}')}"
        for command in program.commands
    )
    return _filled(ZSH, program).replace("@DESCRIBED@", rows)


def powershell(program: Program) -> str:
    """The script for PowerShell."""

    def quoted(text: str) -> str:
        # PowerShell takes typographic quotes for quotes as well.
        return "'" + re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", text) + "'"

    rows = (f"    {quoted(key)} = {quoted(row)}" for key, row in table_of(program).items())
    names = (f"    {quoted(one)} = {quoted(name)}" for one, name in _names(program))
    words = (
        f"    {quoted(command.name)} = {quoted(_plain(command.words))}"
        for command in program.commands
    )
    text = POWERSHELL.replace("@ROWS@", "\n".join(rows)).replace("@NAMES@", "\n".join(names))
    return text.replace("@WORDS@", "\n".join(words)).replace("@NAME@", program.name)


def fish(program: Program) -> str:
    """The script for fish, which takes a line for each option and each word."""
    name = program.name
    lines = [
        f"# Completion of {name} for fish, written by `{name} completion fish`.",
        f"function __{name}_words",
        "    set -l typed (commandline -opc)",
        "    $typed[1] completion --words $argv[1] 2>/dev/null </dev/null",
        "end",
        f"complete -c {name} -f",
    ]
    lines += (
        _fish_option(name, "__fish_use_subcommand", option.names, option.words, "")
        for option in program.options
    )
    for command in program.commands:
        lines += _fish_command(name, command)
    return "\n".join(lines) + "\n"


def _fish_command(name: str, command: Command) -> Iterator[str]:
    yield (
        f"complete -c {name} -n __fish_use_subcommand -a {_joined([command.name])}"
        f" -d {_fish_quoted(_plain(command.words))}"
    )
    seen = f"__fish_seen_subcommand_from {_joined([command.name, *command.aliases])}"
    for option in command.options:
        value = _fish_value(name, option.value) if option.takes != "none" else ""
        yield _fish_option(name, seen, option.names, option.words, value)
    first = command.arguments[0].value.choices if command.arguments else ()
    for place, argument in enumerate(command.arguments):
        condition = seen
        if first and not argument.repeats:
            gone = "not " if place == 0 else ""
            condition += f"; and {gone}__fish_seen_subcommand_from {_joined(first)}"
        value = _fish_value(name, argument.value).removeprefix("-x").removeprefix("-r").strip()
        if value:
            yield f"complete -c {name} -n {_fish_quoted(condition)} {value}"


def _fish_option(name: str, condition: str, names: tuple[str, ...], words: str, value: str) -> str:
    spelled = " ".join(
        f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in names
    )
    row = f"complete -c {name} -n {_fish_quoted(condition)} {spelled}"
    return f"{row} {value} -d {_fish_quoted(_plain(words))}".replace("  ", " ")


def _fish_value(name: str, value: Word) -> str:
    if value.choices:
        return f"-x -a {_fish_quoted(_joined(value.choices))}"
    if value.ask in ("files", "folders"):
        return "-r -F"
    return f"-x -a {_fish_quoted(f'(__{name}_words {value.ask})')}" if value.ask else "-x"


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _filled(template: str, program: Program) -> str:
    rows = "\n".join(
        f"        {_quoted(key)}) REPLY={_quoted(row)} ;;" for key, row in table_of(program).items()
    )
    names = "\n".join(
        f"        {_quoted(one)}) REPLY={_quoted(name)} ;;" for one, name in _names(program)
    )
    text = template.replace("@STEPS@", STEPS.replace("@ROWS@", rows).replace("@NAMES@", names))
    return text.replace("@NAME@", program.name)


def _names(program: Program) -> Iterator[tuple[str, str]]:
    """Every name that a command is called by, and the one that the table knows it by."""
    for command in program.commands:
        for one in (command.name, *command.aliases):
            yield one, command.name


def _source(value: Word) -> str:
    if value.choices:
        return f"words {_joined(value.choices)}"
    return f"ask {value.ask}" if value.ask else "words"


def _joined(words: list[str] | tuple[str, ...]) -> str:
    """Words as a list in a script; one that a shell could take for something else is left out."""
    return " ".join(word for word in words if _SAFE.fullmatch(word))


def _plain(text: str) -> str:
    """A description on one line, without what a terminal might obey."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


SHELLS: Mapping[str, Callable[[Program], str]] = {
    "bash": bash,
    "zsh": zsh,
    "fish": fish,
    "powershell": powershell,
}
