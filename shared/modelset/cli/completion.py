"""modelset completion: what a shell runs so that it completes commands, options and keys."""

import argparse
from collections.abc import Callable, Iterable, Mapping

from modelset.cli.options import settings_of
from modelset.cli.screen import Screen
from modelset.core.errors import ModelSetError
from modelset.core.report import envelope
from modelset.engine.guard import Stop
from modelset.model_set import ModelSet

_HOW = {
    "bash": 'eval "$(modelset completion bash)"       in ~/.bashrc',
    "zsh": 'eval "$(modelset completion zsh)"        in ~/.zshrc, after compinit',
    "fish": "modelset completion fish | source        in ~/.config/fish/config.fish",
    "powershell": "modelset completion powershell | Out-String | Invoke-Expression   in $PROFILE",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "shell", nargs="?", choices=[*_HOW], help="whose script to write; without it, how to use it"
    )
    # For the scripts alone: one word a line.
    parser.add_argument("--words", choices=[*_WORDS], help=argparse.SUPPRESS)


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Write the script, or a list of words, and return the exit code."""
    if options.words:
        return _say_words(options, screen, stop)
    if options.shell is None:
        screen.title("COMPLETION")
        for shell, words in _HOW.items():
            screen.line(f"  {shell + ':':<12} {words}")
        screen.document(envelope("completion", 0, {"shells": _HOW}))
        return 0
    from modelset.cli.parsers import whole_program  # here, because a list of words must be quick
    from modelset.core.completion import SHELLS

    script = SHELLS[options.shell](whole_program())
    for line in script.splitlines():
        screen.line(line)
    screen.document(envelope("completion", 0, {"shell": options.shell, "script": script}))
    return 0


def _say_words(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    try:
        found = sorted(set(_WORDS[options.words](ModelSet(settings_of(options), stop))))
    except ModelSetError:
        found = []  # somebody is typing: nothing to offer is no error
    for word in found:
        screen.line(word)
    screen.document(envelope("completion", 0, {"words": found}))
    return 0


def _keys(models: ModelSet) -> Iterable[str]:
    return (*models.catalog.models, *models.catalog.aliases)


def _categories(models: ModelSet) -> Iterable[str]:
    return models.catalog.categories


def _components(models: ModelSet) -> Iterable[str]:
    return (name for one in models.catalog.categories.values() for name in one.components)


def _whisper(models: ModelSet) -> Iterable[str]:
    own = (key.partition(":") for key in _keys(models))
    return (name for family, _, name in own if family == "whisper")


def _settings(models: ModelSet) -> Iterable[str]:
    from modelset.cli.setting_rows import IN_FILE

    return IN_FILE


_WORDS: Mapping[str, Callable[[ModelSet], Iterable[str]]] = {
    "keys": _keys,
    "categories": _categories,
    "components": _components,
    "whisper": _whisper,
    "settings": _settings,
}
