"""The options that commands share, and what they mean to the settings and the selection."""

import argparse
from collections.abc import Sequence
from typing import Any

from modelset.cli.screen import say
from modelset.core.errors import ModelSetError
from modelset.core.select import Wishes
from modelset.settings import Settings, find_project, load_settings, process_environ

_SETTINGS = (
    "env_file",
    "hf_token",
    "hf_token_file",
    "max_workers",
    "timeout",
    "connections",
    "limit_rate",
    "transport",
    "trust_first_use",
    "host",
    "port",
    "token_file",
)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints look like every other error."""

    def __init__(self, **options: Any) -> None:
        # argparse makes a formatter for each option; asking for the terminal's width is slow.
        super().__init__(formatter_class=_narrow, **options)

    def format_help(self) -> str:
        """The help, as wide as the terminal."""
        self.formatter_class = argparse.HelpFormatter
        return super().format_help()

    def error(self, message: str) -> Any:
        """Raise `usage`, with the command that shows the right one."""
        raise ModelSetError("usage", message, f"see `{self.prog} --help`")


def _narrow(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, width=80)


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every command takes."""
    group = parser.add_argument_group("everywhere")
    group.add_argument("--json", action="store_true", help="one JSON document on stdout")
    group.add_argument("--quiet", "-q", action="store_true", help="only errors")
    group.add_argument("--no-color", action="store_true", help="no colours")
    group.add_argument("--demo", action="store_true", help="the demo set in out/demo, offline")
    group.add_argument("--env-file", metavar="FILE", help="variables from this file as well")
    group.add_argument(
        "--events", action="store_true", help="for programs: events as JSON lines on stderr"
    )
    group.add_argument("--debug", action="store_true", help="show where an error came from")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """What chooses models."""
    group = parser.add_argument_group("which models")
    group.add_argument("keys", nargs="*", metavar="KEY", help="only these, such as whisper:base")
    group.add_argument(
        "--whisper-models", nargs="+", default=[], metavar="NAME", help="such as base large-v3"
    )
    group.add_argument("--asr-model", default="", metavar="NAME", help="one Whisper model")
    group.add_argument("--tts-model", default="", metavar="NAME", help="one voice")
    group.add_argument(
        "--components", nargs="+", default=[], metavar="NAME", help="such as asr vad nlu"
    )
    group.add_argument("--category", default="", metavar="NAME", help="such as whisper or ner")
    group.add_argument("--only", choices=["critical"], default="", help="leave optional ones out")
    group.add_argument("--hf-token", metavar="TOKEN", help="shows in `ps`: better in a file")
    group.add_argument("--hf-token-file", metavar="FILE", help="a file with the token")


def add_download(parser: argparse.ArgumentParser) -> None:
    """What says how to download."""
    group = _add_manner(parser)
    group.add_argument("--locked", action="store_true", help="fail when the lock is out of date")
    group.add_argument("--frozen", action="store_true", help="trust the lock, resolve nothing")
    group.add_argument("--dry-run", action="store_true", help="only say what would be done")


def add_transfer(parser: argparse.ArgumentParser) -> None:
    """What says how files come, where it is clear which."""
    _add_manner(parser).add_argument(
        "--hf-token-file", metavar="FILE", help="a file with the token"
    )


def _add_manner(parser: argparse.ArgumentParser) -> Any:
    group = parser.add_argument_group("how")
    group.add_argument("--max-workers", metavar="N", help="models side by side (3)")
    group.add_argument(
        "--timeout", metavar="SECONDS", help="each model's deadline (300, or its size at 1 MB/s)"
    )
    group.add_argument("--connections", metavar="N", help="connections of the whole run (16)")
    group.add_argument(
        "--limit-rate", metavar="RATE", help='of the whole run: 20M, or "08:00,5M 19:00,off"'
    )
    group.add_argument(
        "--transport", metavar="NAME", help="of the Hub's files: auto, http or xet (auto)"
    )
    group.add_argument(
        "--trust-first-use",
        action="store_true",
        default=None,
        help="take a pickle that nobody publishes a digest of, and pin what came",
    )
    return group


def wishes_of(options: argparse.Namespace) -> Wishes:
    """The selection that the options ask for."""
    names: Sequence[str] = options.whisper_models
    if options.asr_model:
        names = [*names, options.asr_model]
    return Wishes(
        keys=tuple(options.keys),
        whisper_models=tuple(names),
        tts_model=options.tts_model,
        components=tuple(options.components),
        category=options.category,
        only=options.only,
    )


def settings_of(options: argparse.Namespace, text: str | None = None) -> Settings:
    """The settings under these options; the demo's own when they ask for it. `text` is what their
    file is going to hold.
    """
    flags = {
        name: value for name in _SETTINGS if (value := getattr(options, name, None)) is not None
    }
    project = find_project()
    if not options.demo:
        settings = load_settings(flags, project=project, text=text)
        for line in settings.warnings:
            say(f"warning: {settings.config.name}: {line}")
        return settings
    from modelset.demo.session import demo_environ

    flags.pop("env_file", None)  # nothing of the user's own reaches the demo

    return load_settings(flags, demo_environ(project, process_environ()), project, text=text)
