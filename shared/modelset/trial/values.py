"""What a trial is about, how it ended, and how both cross to the child process and back."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from modelset.core.values import asdict, dataclass

Verdict = Literal["passed", "failed", "skipped"]
# What a job yields, in turn: its library's package once that is imported, nothing once the model
# is loaded, and what came of the work in words.
Steps = Iterator[str]

_WORDS_AT_MOST = 200


class SkipError(Exception):
    """A reason in words why a model cannot be tried here, which is not the model's fault."""


class UnfitError(Exception):
    """What is wrong with a model as it lies here, in words."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that is on this disk: what the catalog says of it, its path, and every root."""

    key: str
    name: str
    library: str
    source: str
    ref: Mapping[str, object]
    path: str
    roots: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Trial:
    """How a model did.

    `peak_bytes` is the most memory that the child held, its library included. `used` names the
    package that loaded the model and its version. `isolation` says what kept the network away:
    `namespace` or `audit hook`, empty when nothing was loaded.
    """

    key: str
    result: Verdict
    detail: str = ""
    load_s: float = 0.0
    job_s: float = 0.0
    peak_bytes: int = 0
    used: str = ""
    isolation: str = ""


def api_words(key: str) -> str:
    """Why a model that is only a credential is not tried."""
    return f"needs the network: modelset verify {key}"


def order_text(subject: Subject, network: str) -> str:
    """What the child is told; `network` names the namespace of the parent, empty if unknown."""
    return json.dumps({"subject": asdict(subject), "network": network}, default=str)


def read_order(text: str) -> tuple[Subject, str]:
    """The subject, and the name of the parent's network namespace."""
    order = json.loads(text)
    return Subject(**order["subject"]), order["network"]


def read_trial(subject: Subject, text: str) -> Trial | None:
    """The trial that a child wrote, or None for anything else: a library may write there too."""
    try:
        found: Any = json.loads(text)
        known = {"passed", "failed", "skipped"}
        if found["result"] not in known or not isinstance(found["detail"], str):
            return None
        return Trial(
            subject.key,
            found["result"],
            one_line(found["detail"]),
            _seconds(found["load_s"]),
            _seconds(found["job_s"]),
            int(found["peak_bytes"]),
            one_line(str(found["used"])),
            one_line(str(found["isolation"])),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("not a number of seconds")
    return float(value)


def one_line(words: str) -> str:
    """Words of a stranger for the screen: on one line, without controls, and not too many."""
    plain = "".join(sign if sign.isprintable() else " " for sign in words[: 10 * _WORDS_AT_MOST])
    line = " ".join(plain.split())
    return line if len(line) <= _WORDS_AT_MOST else line[: _WORDS_AT_MOST - 1] + "…"
