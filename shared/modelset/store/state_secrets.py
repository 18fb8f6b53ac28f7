"""Secrets in the texts of a state: addresses lose theirs, and others are found and named."""

import re
from collections.abc import Iterator, Mapping

from modelset.core.errors import ModelSetError
from modelset.core.reading import parse_toml

# The user and password in an address, and what else gives one away: a password with a slash.
_USER = re.compile(r"(?<=://)[^/\s\"'@]*@")
_PASSWORD = re.compile(r"://[^/\s\"'@:]*:(?!\d+(?:/|$))[^\s\"'@]*@")
# What begins with `sk-` may also be a name in Slovak, which has no capitals and digits in a row.
_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|gh[a-z]_[A-Za-z0-9]{20,})"
    r"|(?<![\w/-])sk-(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{16,}"
)
_SECRET = re.compile(
    r"token|secret|passw|api[-_]?key|authorization|^cookie$|signature", re.IGNORECASE
)


def without_users(text: str) -> str:
    """A text whose addresses have no user and no password any more."""
    return _USER.sub("", text)


def secrets_in(text: str, *, is_toml: bool) -> Iterator[str]:
    """Places that hold what nobody else should see, in words that do not repeat it.

    Raises ModelSetError `config-invalid` for settings that are no TOML.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if _TOKEN.search(line) or _PASSWORD.search(line):
            yield f"line {number}"
    if is_toml:
        try:
            yield from _secret_keys(parse_toml(text), "")
        except (ValueError, RecursionError) as error:
            hint = "mend the TOML syntax there"
            raise ModelSetError("config-invalid", f"the settings: {error}", hint) from error


def _secret_keys(value: object, where: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if _is_secret(name):
                yield f"a name in {where or 'the top table'}"
                continue
            place = f"{where}.{name}" if where else name
            if isinstance(inner, str) and inner and _SECRET.search(name):
                yield place
            yield from _secret_keys(inner, place)
    elif isinstance(value, list):
        for inner in value:
            yield from _secret_keys(inner, where)
    elif isinstance(value, str) and _is_secret(value):
        yield where


def _is_secret(text: str) -> bool:
    return any(pattern.search(text) for pattern in (_USER, _PASSWORD, _TOKEN))
