"""What the files in deploy/ are read with: their folder, YAML, and the settings of the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT

from modelset.cli import main
from modelset.settings import Settings, load_settings

DEPLOY = ROOT / "deploy"


def documents(path: Path) -> list[Any]:
    """The documents of a YAML file."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def compose() -> dict[str, Any]:
    """compose.yaml with compose.prod.yaml on top, as `docker compose -f -f` has them."""
    (below,), (above,) = (
        documents(DEPLOY / name) for name in ("compose.yaml", "compose.prod.yaml")
    )
    merged: dict[str, Any] = _merge(below, above)
    return merged


def _merge(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            key: _merge(below[key], above[key])
            if key in below and key in above
            else above.get(key, below.get(key))
            for key in {**below, **above}
        }
    if isinstance(below, list) and isinstance(above, list):
        return [*below, *above]
    return above


def kubernetes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object, with the name of its file."""
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for document in documents(path):
            yield path.name, document


def pods() -> dict[str, dict[str, Any]]:
    """The pod of each object that makes pods, by file and kind."""
    found = {}
    for file, row in kubernetes():
        spec = row.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found[f"{file}:{row['kind']}"] = spec["template"]["spec"]
    return found


def environment_file(path: Path) -> dict[str, str]:
    """The variables of a file that systemd and a shell read."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and line[0] != "#"]
    return dict(line.split("=", 1) for line in lines)


def settings_under(environ: Mapping[str, str], folder: Path) -> Settings:
    """What the program makes of an environment; fails for a variable that it does not read."""
    # A settings file has to be there when it is named, and a token cannot be read before it is.
    config = folder / "modelset.toml"
    config.write_text("")
    own = {
        name: str(config) if name == "MODELSET_CONFIG" else value for name, value in environ.items()
    }
    settings = load_settings({}, own, folder)
    named = {name for name in own if name.startswith("MODELSET_")}
    assert named <= set(settings.origins.values()), named - set(settings.origins.values())
    return settings


def understood(words: list[str]) -> None:
    """Fail unless the program takes these words."""
    parser, _ = main._parser(words)
    parser.parse_args(words)
