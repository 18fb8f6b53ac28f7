"""What sources have in common: problems of a `ref`, and which files of a repository to take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact, Model

_WORDS = {str: "a text", int: "a whole number", list: "a list of texts", dict: "a table of texts"}


def ref_problems(
    source: str,
    ref: Mapping[str, object],
    fields: Mapping[str, type],
    required: Sequence[str] = (),
) -> list[str]:
    """Problems of the fields' names and kinds, in words; numbers are 0 or more."""
    problems = [f"ref.{name}: not a field of {source}" for name in ref if name not in fields]
    problems += [
        f"ref.{name}: should be {_WORDS[kind]}"
        for name, kind in fields.items()
        if name in ref and not is_kind(ref[name], kind)
    ]
    return problems + [
        f"ref.{name}: {_WORDS[fields[name]]} is missing here"
        for name in required
        if name not in ref
    ]


def value_problems(
    ref: Mapping[str, object], name: str, check: Callable[[str], object]
) -> Iterator[str]:
    """Problems that `check`, which raises ValueError, has with a field that is a text or a list
    of texts.
    """
    value = ref.get(name, [])
    for text in value if isinstance(value, list) else [value]:
        try:
            if isinstance(text, str):
                check(text)
        except ValueError as error:
            yield f"ref.{name}: {error}"


def check_url(url: str) -> str:
    """Return an address that names a host and carries no password; raises ValueError."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    try:
        _ = urlsplit(url).port  # raises for a host or a port that is none
    except ValueError:
        raise ValueError("should be an https address") from None
    if scheme not in ("https", "http") or not host:
        raise ValueError("should be an https address")
    if "@" in host:
        raise ValueError("a user and a password belong into a mirror's address")
    return url


def is_kind(value: object, kind: type) -> bool:
    """Whether a value is of a kind; the items of a list and of a table are texts."""
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    if isinstance(value, int):
        return value >= 0
    items = value.values() if isinstance(value, Mapping) else value
    return isinstance(value, str) or all(isinstance(item, str) for item in items)  # type: ignore[attr-defined]


def texts(ref: Mapping[str, object], name: str) -> list[str]:
    """A field that lists texts, empty when it is not there."""
    value = ref.get(name, [])
    return [str(item) for item in value] if isinstance(value, list) else []


def matches(name: str, ref: Mapping[str, object], field: str) -> bool:
    """Whether a file's name fits one of the patterns that a field lists."""
    return any(fnmatchcase(name, pattern) for pattern in texts(ref, field))


def is_wanted(name: str, ref: Mapping[str, object]) -> bool:
    """Whether a file of a repository is one of those to take."""
    return "allow" not in ref or matches(name, ref, "allow")


def refuse_twins(names: Iterable[str]) -> None:
    """Raise ValueError for two files of one name."""
    listed = [*names]
    if len({*listed}) < len(listed):
        raise ValueError("a file is listed twice")


def require(model: Model, artifacts: Sequence[Artifact], patterns: Iterable[str]) -> None:
    """Raise ModelSetError `not-found` when nothing is there, or nothing that fits a pattern."""
    lacking = [
        pattern
        for pattern in patterns
        if not any(fnmatchcase(artifact.name, pattern) for artifact in artifacts)
    ]
    if lacking or not artifacts:
        raise ModelSetError(
            "not-found",
            f"{model.key}: {model.ref['repo']} lacks {', '.join(lacking) or 'every wanted file'}",
            "check `allow`, `required` and `revision` of the model in the catalog",
        )
