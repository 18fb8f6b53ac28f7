"""Looks settings up: flag, environment, settings file, default; and remembers where each was."""

import contextlib
import os
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from modelset.core.dotenv import parse_dotenv
from modelset.core.errors import ModelSetError
from modelset.core.proxies import Proxies, Proxy
from modelset.store.files import read_text
from modelset.store.roots import BELOW, LIBRARY_ROOTS, roots_below

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
        return Path(self.absolute(str(value)) if said_in_file else _absolute("", str(value)))

    def absolute(self, path: str) -> str:
        """A path as the settings file means it."""
        return _absolute(os.path.dirname(os.path.abspath(self._config)), path)

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

    def flag(
        self,
        name: str,
        variables: tuple[str, ...],
        section: str,
        in_file: str,
        *,
        default: bool = False,
    ) -> bool:
        """Whether something is wanted; the file calls it `in_file`."""
        value = self.find(in_file, variables, section)
        if name in self.flags:
            self.origins[in_file] = "--" + name.replace("_", "-")
            return bool(self.flags[name])
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        known = words.get(str(value).lower()) if value is not None else default
        if known is None:
            self.problems.append(
                f"{self.origins[in_file]}: {in_file} = {value!r} should be true or false"
            )
        return bool(known)

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


def _absolute(base: str, path: str) -> str:
    return os.path.abspath(os.path.join(base, os.path.expanduser(path)))


def find_roots(asked: Lookup, models_root: Path) -> dict[str, Path]:
    """Every named root, and where each came from."""
    own: dict[str, Path] = {}
    for root, places in LIBRARY_ROOTS.items():
        for variable, below in places:
            value = asked.environ.get(variable, "")
            if variable == "NLTK_DATA":  # a list, of which NLTK itself writes to the first
                value = next(filter(None, value.split(os.pathsep)), "")
            if root not in own and value:
                own[root] = Path(_absolute("", value)) / below
                asked.origins[f"roots.{root}"] = variable
    cache = asked.path("cache_root", ("MODELSET_CACHE_ROOT", "IRENE_CACHE_ROOT"), models_root)
    own["downloads"] = cache / BELOW["downloads"]
    own["credentials"] = asked.path(
        "credentials_root",
        ("MODELSET_CREDENTIALS_ROOT", "IRENE_CREDENTIALS_ROOT"),
        models_root / "credentials",
    )
    for root, name in (("downloads", "cache_root"), ("credentials", "credentials_root")):
        origin = asked.origins.get(name, "default")
        asked.origins[f"roots.{root}"] = "models_root" if origin == "default" else origin
    own["site-packages"] = asked.path(
        "site_packages", ("MODELSET_SITE_PACKAGES",), Path(sysconfig.get_path("purelib")), "paths"
    )
    asked.origins["roots.site-packages"] = asked.origins["site_packages"]
    own["local"] = Path(models_root.anchor)  # a user's own models lie anywhere
    return roots_below(models_root, own)


def find_token(asked: Lookup, models_root: Path) -> str:
    """The Hugging Face token: flag, file, environment, credentials, `hf auth login`'s file."""
    given = asked.find("hf_token", ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"), "")
    if given and "hf_token_file" not in asked.flags:
        return str(given).strip()
    environ = asked.environ
    credentials = environ.get("MODELSET_CREDENTIALS_ROOT") or environ.get("IRENE_CREDENTIALS_ROOT")
    places = [
        ("--hf-token-file", asked.flags.get("hf_token_file")),
        ("HF_TOKEN_PATH", environ.get("HF_TOKEN_PATH")),
        ("credentials", Path(credentials or models_root / "credentials") / "hf_token"),
        ("HF_HOME", environ.get("HF_HOME") and Path(environ["HF_HOME"]) / "token"),
        ("hf auth login", token_file(environ)),
    ]
    for origin, place in places:
        text = ""
        with contextlib.suppress(ModelSetError):  # somebody else's file is no token of ours
            text = (read_text(Path(os.path.expanduser(place))) or "").strip() if place else ""
        if text:
            asked.origins["hf_token"] = origin
            return text
        if origin == "--hf-token-file" and place:
            asked.problems.append(f"--hf-token-file: {place} is missing, empty or not readable")
    return ""


def token_file(environ: Mapping[str, str]) -> Path:
    """Where `hf auth login` leaves its token; a user without a home folder has none there."""
    cache = environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "huggingface" / "token"


def with_env_file(
    flags: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The environment with the file that the user names, and where its variables stand; what the
    process has already wins.
    """
    named = str(flags.get("env_file") or environ.get("MODELSET_ENV_FILE") or "")
    if not named:
        return environ, {}
    path = Path(os.path.abspath(os.path.expanduser(named)))
    text = read_text(path)
    found, problems = parse_dotenv(text or "", where=str(path))
    if text is None:
        problems = [f"{path} does not exist"]
    if problems:
        raise ModelSetError(
            "config-invalid", "\n".join(problems), "one KEY=VALUE a line, and no value over two"
        )
    new = {name: value for name, value in found.items() if not environ.get(name)}
    return {**environ, **new}, {name: f"{name} in {path.name}" for name in new}
