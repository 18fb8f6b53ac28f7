"""Looks settings up: flag, environment, settings file, default; and remembers where each was."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from modelset.core.proxies import Proxies, Proxy

T = TypeVar("T")


class Lookup:
    """Looks one setting up after the other, and remembers where each was found."""

    def __init__(self, flags: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self.flags, self.environ = flags, environ
        self.document: Mapping[str, Any] = {}
        self._config = Path()
        self._known: dict[str, set[str]] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []

    def read(self, document: Mapping[str, Any], config: Path) -> None:
        """Look into the settings file from now on."""
        self.document, self._config = document, config

    def refuse_unknown(self, others: Iterable[str]) -> None:
        """Note as a problem what the file says and nobody has looked up; `others` are sections
        that other readers know.
        """
        for name in self.document:
            if name not in (*self._known, *others):
                self.problems.append(f"{self._config.name}: {name} is not known")
        for section, known in self._known.items():
            table = self.document.get(section, {})
            if not isinstance(table, Mapping):
                self.problems.append(f"{self._config.name}: [{section}] should be a table")
                continue
            for name in table:
                if name not in known:
                    import difflib  # here, because settings are read at every start

                    close = difflib.get_close_matches(name, known, 1)
                    hint = f", did you mean {close[0]}?" if close else ""
                    self.problems.append(f"{self._config.name}: [{section}] has no {name}{hint}")

    def find(self, name: str, variables: tuple[str, ...], section: str) -> Any:
        """The value that wins, or None; notes its origin. Without a section the file has no say."""
        if section:
            self._known.setdefault(section, set()).add(name)
        if name in self.flags:
            self.origins[name] = "--" + name.replace("_", "-")
            return self.flags[name]
        for variable in variables:
            if self.environ.get(variable):
                self.origins[name] = variable
                return self.environ[variable]
        table = self.document.get(section, {})
        if isinstance(table, Mapping) and name in table:
            self.origins[name] = self._config.name
            return table[name]
        self.origins[name] = "default"
        return None

    def path(self, name: str, variables: tuple[str, ...], default: Path, section: str = "") -> Path:
        """A folder or file; a relative one counts from the file that says it, or from here."""
        value = self.find(name, variables, section)
        if value is None:
            return default
        said_in_file = self.origins[name] == self._config.name
        base = os.path.dirname(os.path.abspath(self._config)) if said_in_file else ""
        return Path(os.path.abspath(os.path.join(base, os.path.expanduser(str(value)))))

    def text(self, name: str, variables: tuple[str, ...], default: str) -> str:
        """A text of the section [download]."""
        value = self.find(name, variables, "download")
        return default if value is None else str(value)

    def parsed(
        self, name: str, variables: tuple[str, ...], default: str, parse: Callable[[str], T]
    ) -> T:
        """What a text of the section [download] means to `parse`, which raises ValueError."""
        try:
            return parse(self.text(name, variables, default))
        except ValueError as error:
            self.problems.append(f"{self.origins[name]}: {name}: {error}")
            return parse(default)

    def number(
        self, name: str, variables: tuple[str, ...], default: Any, kind: Callable[[Any], Any]
    ) -> Any:
        """A number above 0 of the section [download]."""
        value = self.find(name, variables, "download")
        if value is None:
            return default
        try:
            number = kind(str(value))  # as text, true is no number and 2.5 no whole one
        except (TypeError, ValueError):
            number = 0
        if not 0 < number < 1e9:
            self.problems.append(
                f"{self.origins[name]}: {name} = {value!r} is not a number above 0"
            )
            return default
        return number

    def proxies(
        self, variables: Mapping[str, tuple[str, ...]], without: tuple[str, ...]
    ) -> Proxies:
        """The proxy of each scheme, and the hosts that need none; only the environment says so."""
        found = {}
        for scheme, names in variables.items():
            # Within a CGI program this one is a header that its client has chosen.
            is_cgi = "REQUEST_METHOD" in self.environ
            safe = tuple(name for name in names if name != "HTTP_PROXY" or not is_cgi)
            address = str(self.find(f"{scheme}_proxy", safe, "") or "").strip()
            if address:
                whole = address if "://" in address else f"http://{address}"
                found[scheme] = Proxy(whole, self.origins[f"{scheme}_proxy"])
        hosts = str(self.find("no_proxy", without, "") or "")
        return Proxies(found, tuple(hosts.lower().replace(",", " ").split()))
