"""Models that stay with their provider: all that has to be here is a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelset.core.errors import ModelSetError
from modelset.core.layout import Credential, Layout
from modelset.core.refs import check_url, is_kind, ref_problems, value_problems
from modelset.core.types import Model, Pin, check_name

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source, Web

_FIELDS = {
    "service": str, "variable": str, "file": str, "kind": str, "check": str, "header": str,
    "prefix": str, "extra": dict,
}  # fmt: skip
_KINDS = ("key", "file")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9-]+")


class Api:
    """A provider's interface."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """Nothing has to come."""
        return Pin(model.key, "api", dict(model.ref), "key", ())

    def layout(self, pin: Pin) -> Layout:
        """The key: in its variable, or in a file below the credentials root."""
        file = str(pin.ref["file"])
        key = Credential(str(pin.ref["variable"]), file, pin.ref.get("kind") == "file")
        return Layout("credentials", (key,), file)

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """The file of the key."""
        return "credentials", str(ref["file"])

    def check_access(self, model: Model, web: Web) -> None:
        """Raise ModelSetError when there is no key, or when one free question is refused."""
        ref = model.ref
        service, variable = ref["service"], ref["variable"]
        if not web.has_credential(self.layout(self.resolve(model, web))):
            raise ModelSetError(
                "credential-missing",
                f"{model.key}: there is no key for {service}",
                f"set {variable}, or write it into the file {ref['file']} of the folder that"
                " `modelset paths` calls credentials",
            )
        if "check" not in ref:
            return
        status, words = web.status_of(str(ref["check"]))
        if status in (401, 403):
            raise ModelSetError(
                "token-refused",
                f"{model.key}: {service} does not accept the key in {variable}",
                f"make a new one at {service} and set {variable}",
            )
        if status != 200:
            raise ModelSetError(
                "not-found", f"{model.key}: {service} answers {status} {words}".rstrip()
            )

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a `ref`, in words."""
        problems = ref_problems("api", ref, _FIELDS, ("service", "variable", "file"))
        for name, check in (("check", check_url), ("file", check_name)):
            problems += value_problems(ref, name, check)
        if not _VARIABLE.fullmatch(str(ref.get("variable", "A"))):
            problems.append("ref.variable: should be the name of an environment variable")
        if not _HEADER.fullmatch(str(ref.get("header", "A"))):
            problems.append("ref.header: should be the name of a header")
        problems += value_problems(ref, "prefix", _check_value)
        extra = ref.get("extra", {})
        if is_kind(extra, dict) and isinstance(extra, dict):
            for name, value in extra.items():
                problems += value_problems({"extra": value}, "extra", _check_value)
                if not _HEADER.fullmatch(name):
                    problems.append(f"ref.extra: {name!r} should be the name of a header")
        if ref.get("kind", "key") not in _KINDS:
            problems.append(f"ref.kind: should be one of {', '.join(_KINDS)}")
        return problems


def _check_value(text: str) -> None:
    if not text.isprintable():  # a line end would begin a header of its own
        raise ValueError("should be printable")


SOURCE: Source = Api()
