"""The whole command line as values: every command declared, which no run but these needs."""

import argparse
import importlib
import sys
from typing import cast

from modelset import __version__
from modelset.cli.main import COMMANDS, Command
from modelset.cli.options import Parser, add_common
from modelset.core import commands as values

# What fills in the word of an option or an argument, by the name that the options have it under,
# and by the word that stands for it.
_ASKED = {
    "category": "categories",
    "components": "components",
    "whisper_models": "whisper",
    "asr_model": "whisper",
}
_METAVARS = {
    "KEY": "keys",
    "FILE": "files",
    "FOLDER": "folders",
    "DIR": "folders",
    "SECTION.KEY": "settings",
}


def whole_program() -> values.Program:
    """The program with all its commands, options and choices."""
    about = sys.modules["modelset"].__doc__ or ""
    own = (
        values.Option(("-h", "--help"), "show this help message and exit"),
        values.Option(("--version",), "show program's version number and exit"),
    )
    commands = tuple(_command(name) for name in COMMANDS)
    return values.Program("modelset", about, __version__, own, commands)


def command_parser(name: str) -> Parser:
    """The parser of one command, everything declared."""
    module, _, words = COMMANDS[name]
    parser = Parser(prog=f"modelset {name}", description=words, allow_abbrev=False)
    command = cast(Command, importlib.import_module(f"modelset.cli.{module}"))
    command.add_options(parser)
    add_common(parser)
    return parser


def _command(name: str) -> values.Command:
    parser = command_parser(name)
    shown = [action for action in parser._actions if action.help is not argparse.SUPPRESS]
    return values.Command(
        name,
        tuple(COMMANDS[name][1]),
        COMMANDS[name][2],
        tuple(_option(parser, action) for action in shown if action.option_strings),
        tuple(_argument(parser, action) for action in shown if not action.option_strings),
    )


def _option(parser: Parser, action: argparse.Action) -> values.Option:
    takes: values.Takes = "one"
    if action.nargs == 0:
        takes = "none"
    elif action.nargs in ("*", "+") or isinstance(action.nargs, int):
        takes = "many"
    value = values.Word("") if takes == "none" else _word(action)
    return values.Option(tuple(action.option_strings), _help(parser, action), takes, value)


def _argument(parser: Parser, action: argparse.Action) -> values.Argument:
    return values.Argument(
        _word(action),
        _help(parser, action),
        repeats=action.nargs in ("*", "+"),
        is_needed=action.nargs in (None, "+"),
    )


def _word(action: argparse.Action) -> values.Word:
    choices = tuple(str(choice) for choice in action.choices or ())
    shown = action.metavar or ("{" + ",".join(choices) + "}" if choices else action.dest.upper())
    word = shown if isinstance(shown, str) else " ".join(shown)
    ask = _ASKED.get(action.dest) or _METAVARS.get(word, "")
    return values.Word(word, choices, "" if choices else ask)


def _help(parser: Parser, action: argparse.Action) -> str:
    return parser._get_formatter()._expand_help(action) if action.help else ""
