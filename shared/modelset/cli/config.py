"""modelset config: every setting and where it came from; and one of them changed in the file."""

import argparse
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelset.cli.options import settings_of
from modelset.cli.screen import Screen, say
from modelset.cli.setting_rows import IN_FILE, Row, rows_of
from modelset.core.edit import Setting, edited
from modelset.core.errors import ModelSetError
from modelset.core.report import envelope
from modelset.core.words import suggestion
from modelset.engine.guard import Stop
from modelset.settings import find_project, load_settings, process_environ
from modelset.store.draft import draft
from modelset.store.files import read_text

# How many words belong to each.
_ACTIONS = {"get": 1, "set": 2, "unset": 1}
_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_FIRST = "nothing was changed; see modelset.example.toml for what each setting takes"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--show-origin", action="store_true", help="where each came from, too")
    parser.add_argument(
        "action", nargs="?", choices=[*_ACTIONS], help="show one, or change it in modelset.toml"
    )
    parser.add_argument(
        "name", nargs="?", metavar="SECTION.KEY", help="such as download.max_workers"
    )
    parser.add_argument("value", nargs="?", metavar="VALUE", help="with set: the new value")


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Show or change, and return the exit code."""
    given = [word for word in (options.name, options.value) if word is not None]
    if options.action is None:
        return _show(options, screen)
    if len(given) != _ACTIONS[options.action]:
        wanted = " ".join(["SECTION.KEY", "VALUE"][: _ACTIONS[options.action]])
        raise ModelSetError(
            "usage",
            f"`modelset config {options.action}` takes {wanted}",
            "`modelset config` lists every name",
        )
    if options.action == "get":
        return _get(options, screen)
    return _change(options, screen)


def _show(options: argparse.Namespace, screen: Screen) -> int:
    rows = rows_of(settings_of(options))
    if options.show_origin:
        screen.table(
            ["setting", "value", "from"], [[row.name, row.text, row.origin] for row in rows]
        )
    else:
        screen.table(["setting", "value"], [[row.name, row.text] for row in rows])
    data = {row.name: {"value": row.value, "from": row.origin} for row in rows}
    screen.document(envelope("config", 0, {"settings": data}))
    return 0


def _get(options: argparse.Namespace, screen: Screen) -> int:
    rows = {row.name: row for row in rows_of(settings_of(options))}
    row = rows.get(options.name)
    if row is None:
        raise _unknown(options.name, rows)
    screen.line(f"{row.text}  ({row.origin})" if options.show_origin else row.text)
    data = {"name": row.name, "value": row.value, "from": row.origin}
    screen.document(envelope("config", 0, data))
    return 0


def _change(options: argparse.Namespace, screen: Screen) -> int:
    if options.demo:
        raise ModelSetError("usage", "every demo run writes its settings anew", "leave --demo out")
    name = options.name
    if name not in IN_FILE:
        raise _unknown(name, IN_FILE)
    project = find_project()
    config = _config(options, project)
    value = None if options.action == "unset" else _typed(name, options.value)
    old = read_text(config)
    text = _edited(config, old or "", name, value)
    if text != (old or ""):
        before = _problems(config, project) if old is not None else []
        with draft(config, old, text) as new:
            said = _problems(new.path, project)
            known = [line.replace(str(new.path), str(config)) for line in said]
            known = [line.replace(new.path.name, config.name) for line in known]
            if wrong := [line for line in known if line not in before]:
                raise ModelSetError("config-invalid", "\n".join(wrong), _FIRST)
            new.commit()
    return _say_changed(options, screen, config, Row(name, value, config.name))


def _config(options: argparse.Namespace, project: Path) -> Path:
    """The settings file, also one that is not there yet, or that cannot be read as it is."""
    with contextlib.suppress(ModelSetError):
        return settings_of(options).config
    told = process_environ().get("MODELSET_CONFIG")
    return Path(os.path.expanduser(told)).absolute() if told else project / "modelset.toml"


def _say_changed(options: argparse.Namespace, screen: Screen, config: Path, row: Row) -> int:
    words = "not set any more" if options.action == "unset" else f"= {row.text}"
    screen.row("ok", f"{row.name} {words}", f"in {config}")
    with contextlib.suppress(ModelSetError):  # an older problem elsewhere is not news of this one
        holds = next(one for one in rows_of(settings_of(options)) if one.name == row.name)
        if holds.origin not in (config.name, "default"):
            say(f"note: {holds.origin} wins over the file, so {holds.text} holds here")
    data = {"name": row.name, "value": row.value, "file": str(config)}
    screen.document(envelope("config", 0, data))
    return 0


def _edited(config: Path, text: str, name: str, value: Setting | None) -> str:
    section, _, key = name.partition(".")
    try:
        return edited(text, section, key, value)
    except (ValueError, RecursionError) as error:
        raise ModelSetError(
            "config-invalid", f"{config}: {error}", f"nothing was changed; edit [{section}] there"
        ) from error


def _problems(config: Path, project: Path) -> list[str]:
    """What the settings say of a file by itself: a variable would hide what is wrong in it."""
    try:
        load_settings({}, {"MODELSET_CONFIG": str(config)}, project)
    except ModelSetError as error:
        return error.failure.message.splitlines()
    return []


def _typed(name: str, text: str) -> Setting:
    """A text as the kind of its setting; one that is none goes to the settings as it is, which
    have the words for it.
    """
    kind = IN_FILE[name]
    if not text.isprintable():
        raise ModelSetError("config-invalid", f"{name}: not a text that can be kept", _FIRST)
    with contextlib.suppress(ValueError):
        if kind == "flag":
            return _FLAGS.get(text.lower(), text)
        if kind in ("whole", "number") and text.isascii():
            return int(text)
    with contextlib.suppress(ValueError):
        if kind == "number" and text.isascii():
            return float(text)
    return text


def _unknown(name: str, known: Mapping[str, Any]) -> ModelSetError:
    if name.startswith("mirrors"):
        hint = "write mirrors into modelset.toml by hand; modelset.example.toml shows how"
    elif name in ("hf_token", "github_token") and name not in known:
        hint = "no token is kept in modelset.toml; use `hf auth login`, or set HF_TOKEN"
    else:
        hint = "`modelset config` lists every name"
    return ModelSetError("usage", f"there is no setting {name}{suggestion(name, known)}", hint)
