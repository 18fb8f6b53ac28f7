"""The `modelset` command: parses, dispatches, and turns every end into an exit code."""

import argparse
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn, Protocol, cast

from modelset import __version__
from modelset.cli.options import Parser, add_common
from modelset.cli.screen import Screen, say_error
from modelset.core.errors import KINDS, ModelSetError, exit_code_of
from modelset.core.report import envelope
from modelset.engine.guard import Stop
from modelset.settings import wants_color

# Command: (module, aliases, what it does).
COMMANDS = {
    "bootstrap": ("bootstrap", (), "profile the machine, download its models, check them"),
    "hardware": ("hardware", (), "what this machine is, and what it recommends"),
    "list": ("listing", (), "the catalog: what is present, selected, available"),
    "plan": ("plan", (), "what a download would do, and why"),
    "download": ("download", ("ensure",), "bring every missing model, verified"),
    "check": ("check", ("status",), "what is on this disk, offline"),
    "test": ("testing", (), "load models in their libraries, without a network, and time it"),
    "lock": ("lock", (), "pin what the catalog wants; --check is a gate for CI"),
    "update": ("update", (), "compare the lock with the sources, and bring what is newer"),
    "rollback": ("rollback", (), "back to the revision before, offline while it is here"),
    "detect": ("detect", (), "models that other programs have put on this machine already"),
    "adopt": ("adopt", (), "take what lacks from other programs' folders, by digest"),
    "migrate": ("migrate", (), "take over what older set-ups left in their places and settings"),
    "clean": ("clean", (), "what nothing needs any more; removed with --yes"),
    "registry": ("registry", (), "what was put on this machine; --rebuild when that is lost"),
    "state": ("state", (), "settings, lock, registry and history as one file, out and in"),
    "backup": ("backup", (), "a dated copy of that state in a folder; the old ones go"),
    "monitor": ("monitor", (), "the set, the disk and the last download, for timers and alerts"),
    "report": ("report", (), "one page to look at: sizes, changes, speeds, the machine"),
    "verify": ("verify", ("validate",), "every digest, and what mends a bad one"),
    "serve": ("serve", (), "the model set over HTTP: jobs, events, a page, measurements"),
    "config": ("config", (), "every setting and where it came from, or one of them changed"),
    "doctor": ("doctor", (), "what is wrong on this machine, offline, and what mends it"),
    "completion": ("completion", (), "what a shell runs to complete commands, options and keys"),
    "env": ("env", (), "what to export so that libraries find the models offline"),
    "paths": ("paths", (), "each folder, and where its setting came from"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    stop = Stop()
    _listen(stop)
    screen = Screen(as_json="--json" in arguments, quiet="--quiet" in arguments, color=False)
    name = ""
    try:
        parser, modules = _parser(arguments)
        options = parser.parse_args(arguments)
        name = options.command
        screen = Screen(
            as_json=options.json,
            quiet=options.quiet,
            color=not options.no_color and wants_color(),
            events=options.events,
        )
        if options.events:
            stop.with_input(sys.stdin.fileno())
        code = modules[name].run(options, screen, stop)
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to be said to anybody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if "--debug" in arguments:
            raise
        code = _say(name, error, screen)
    return KINDS[stop.code].exit_code if stop.code else code


def run(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command, and end the process with its exit code."""
    code = main(argv)
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    # At once: after a stop, workers may still hang in a system call (what they wrote survives a
    # kill), and to take every module apart takes longer than a check.
    os._exit(code)


def _say(command: str, error: Exception, screen: Screen) -> int:
    """Say what ended a command, as words and as a document; returns the exit code."""
    if not isinstance(error, ModelSetError):
        error = ModelSetError(
            "unexpected",
            f"{type(error).__name__}: {error}",
            "run it again with --debug, and report what that shows",
        )
    failure = error.failure
    code = exit_code_of(failure)
    say_error(failure.message, failure.hint)
    said = {"code": failure.code, "message": failure.message, "hint": failure.hint}
    screen.document(envelope(command, code, {"error": said}))
    return code


class Command(Protocol):
    """What each module of a command offers."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    def run(self, options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
        """Do it, and return the exit code."""


def _parser(arguments: Sequence[str]) -> tuple[Parser, dict[str, Command]]:
    """The parser; only the asked command is declared and imported, so that check starts fast."""
    parser = Parser(prog="modelset", description=sys.modules["modelset"].__doc__)
    parser.add_argument("--version", action="version", version=f"modelset {__version__}")
    commands = parser.add_subparsers(
        dest="command",
        required=True,
        metavar="COMMAND",
        parser_class=Parser,
        prog="modelset",  # argparse would load its formatter to find it out
    )
    asked = next((word for word in arguments if not word.startswith("-")), "")
    known = {word for name, (_, aliases, _) in COMMANDS.items() for word in (name, *aliases)}
    modules: dict[str, Command] = {}
    for name, (module, aliases, words) in COMMANDS.items():
        is_asked = asked in (name, *aliases)
        if asked in known and not is_asked:
            continue
        command = commands.add_parser(
            name, aliases=aliases, help=words, description=words, allow_abbrev=False
        )
        if is_asked:
            modules[asked] = cast(Command, importlib.import_module(f"modelset.cli.{module}"))
            modules[asked].add_options(command)
            add_common(command)
    return parser, modules


def _listen(stop: Stop) -> None:
    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.code:  # asked twice: at once
            os._exit(KINDS[stop.code].exit_code)
        stop.ask("terminated" if number == signal.SIGTERM else "stopped")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
