"""Settings by the names that older clients know, written into modelset.toml."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from modelset.core.errors import KINDS, ModelSetError
from modelset.core.words import suggestion
from modelset.server.service import Service

_SAYS_YES_OR_NO = re.compile(r"true|false|yes|no|1|0", re.IGNORECASE)
_WHOLE = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_ON_START = (_SAYS_YES_OR_NO, ("server.download_on_start", "download.on_start"))
# What modelset.toml calls the settings of older clients, and what a value may look like.
_IN_FILE: Mapping[str, tuple[re.Pattern[str], tuple[str, ...]]] = {
    "AUTO_DOWNLOAD_MODELS": _ON_START,
    "DOWNLOAD_MODELS_ON_START": _ON_START,
    "MAX_CONCURRENT_DOWNLOADS": (_WHOLE, ("download.max_workers",)),
    "MODEL_DOWNLOAD_TIMEOUT": (_NUMBER, ("download.timeout",)),
}
_BY_VARIABLE = "no file holds it: set the variable where the service starts"
_ELSEWHERE = {
    "AUTO_SETUP_ENABLED": _BY_VARIABLE,
    "OLLAMA_BASE_URL": "no Ollama server is asked: models are put where it looks for them",
    "OLLAMA_MODEL": f"{_BY_VARIABLE}, or download the model, which adds it to the set",
    "PREFERRED_AI_PROVIDER": _BY_VARIABLE,
    "VOSK_MODEL_PATH": _BY_VARIABLE,
}
# What holds where the variable is not set.
_DEFAULTS = {"AUTO_SETUP_ENABLED": "true", "PREFERRED_AI_PROVIDER": "ollama"}

Wanted = Annotated[
    dict[Annotated[str, Field(max_length=100)], bool | int | float | str],
    Field(min_length=1, max_length=50),
]


def known_text(name: str, value: bool | float | str) -> str:
    """A value as a command takes it; raises ModelSetError for what cannot be one."""
    known = (*_IN_FILE, *_ELSEWHERE)
    if name not in known:
        words = f"there is no setting {name}{suggestion(name, known)}"
        raise ModelSetError("usage", words, f"nothing was changed; known are {', '.join(known)}")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if name in _IN_FILE and not _IN_FILE[name][0].fullmatch(text):
        words = f"{name} = {text[:100]!r} is not what this setting takes"
        raise ModelSetError("config-invalid", words, "nothing was changed")
    return text


async def change(service: Service, name: str, text: str) -> str:
    """Let a setting hold from now on; returns why it does not, or nothing."""
    words = await _write(service, name, text) if name in _IN_FILE else _ELSEWHERE[name]
    holds = service.snapshot.settings.environ.get(name, _DEFAULTS.get(name)) == text
    return "" if holds else words


async def _write(service: Service, name: str, text: str) -> str:
    """Write a setting; returns why it does not hold, or nothing."""
    notes = ""
    for setting in _IN_FILE[name][1]:
        ended = await service.command(["config", "set", setting, text])
        if ended.exit_code:
            error = ended.document.get("data", {}).get("error")
            raise failure_of(error or {"code": "unexpected", "message": ended.words})
        # Written, and of no use: a variable says otherwise.
        notes = notes or ended.words.partition("note: ")[2]
    service.snapshot.expire()
    return notes


def failure_of(row: Mapping[str, str]) -> ModelSetError:
    """A failure that a command has told of, as an error."""
    code = row["code"] if row["code"] in KINDS else "unexpected"
    return ModelSetError(code, row["message"], row.get("hint", ""))
