"""What a job of the service is: one command with its options, and what became of it."""

from collections.abc import Mapping
from typing import Any, Literal

from modelset.core.errors import KINDS
from modelset.core.values import dataclass

State = Literal["queued", "running", "succeeded", "failed", "stopped"]
UNFINISHED = ("queued", "running")

# The commands that a job may be. Those that move models take turns, so that the bound of a run and
# its connections are those of the machine.
ACTIONS = ("download", "verify", "clean", "update", "test")

# `update --check` says with this code that something is newer; for a job that is an answer.
_NEWER = KINDS["lock-stale"].exit_code
_STOPPED = (KINDS["stopped"].exit_code, KINDS["terminated"].exit_code)


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work; moments are seconds since 1970, 0 when there was none yet.

    `result` is what its command said with `--json`, `failure` the reason of a failed one.
    """

    id: str
    action: str
    options: Mapping[str, Any]
    state: State
    created: float
    started: float = 0.0
    ended: float = 0.0
    exit_code: int | None = None
    failure: Mapping[str, str] | None = None
    result: Mapping[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state not in UNFINISHED


def arguments_of(action: str, options: Mapping[str, Any]) -> list[str]:
    """The command line of a job; its keys first, so that no option takes them for its own."""
    words = [action, *options.get("keys", ())]
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif isinstance(value, list | tuple):
            words += [option, *value] if value and name != "keys" else []
        elif value is not None and value is not False and value != "":
            words.append(f"{option}={value}")
    return words


def moves_models(action: str, options: Mapping[str, Any]) -> bool:
    """Whether a job brings files, and so has to wait for its turn."""
    return action in ("download", "update") or bool(options.get("repair"))


def state_of(action: str, options: Mapping[str, Any], exit_code: int) -> State:
    """How a job ended, by the exit code of its command."""
    if exit_code in _STOPPED:
        return "stopped"
    if exit_code == _NEWER and action == "update" and options.get("check"):
        return "succeeded"
    return "failed" if exit_code else "succeeded"


def failure_of(document: Mapping[str, Any], said: str) -> dict[str, str]:
    """Why a job failed: what its document says, else the last words of its command."""
    try:
        told = _told(document)
    except (AttributeError, KeyError, TypeError):  # whatever it is, it is no document of ours
        told = None
    words = said or "the command said nothing"
    return told or {"code": "unexpected", "message": words, "hint": ""}


def _told(document: Mapping[str, Any]) -> dict[str, str] | None:
    data = document.get("data", {})
    outcomes = [row["failure"] for row in data.get("outcomes", ()) if row.get("failure")]
    for failure in (data.get("error"), *outcomes):
        if failure:
            return {name: str(failure.get(name, "")) for name in ("code", "message", "hint")}
    if bad := [row["key"] for row in data.get("models", ()) if row["presence"] != "present"]:
        message = f"not ready: {', '.join(bad)}"
        return {"code": "model-missing", "message": message, "hint": "start a download"}
    return None
