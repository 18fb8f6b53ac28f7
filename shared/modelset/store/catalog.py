"""The catalog that comes with the package, as texts."""

import os
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.store.files import read_text

# Not importlib.resources: it costs a quick check more than all the reading.
_FOLDER = Path(__file__).parent.parent / "catalog"
_RULES = "hardware.toml"


def catalog_texts() -> dict[str, str]:
    """The text of each category's file by its name, sorted; raises ModelSetError."""
    names = sorted(name for name in os.listdir(_FOLDER) if name.endswith(".toml"))
    return {name: _text(name) for name in names if name != _RULES}


def rules_text() -> str:
    """The text of the hardware rules; raises ModelSetError."""
    return _text(_RULES)


def _text(name: str) -> str:
    text = read_text(_FOLDER / name)
    if text is None:
        raise ModelSetError(
            "store-read-error", f"{_FOLDER / name} is missing", "install modelset again"
        )
    return text
