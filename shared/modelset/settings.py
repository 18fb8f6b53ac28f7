"""Every setting and where it came from: flag, environment, modelset.toml, default.

The only module that reads the environment.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.legacy import legacy_sections, legacy_variables
from modelset.core.mirrors import Mirror, hub_mirror, is_address, parse_mirrors
from modelset.core.policy import PICKLES, Policy
from modelset.core.proxies import Proxies
from modelset.core.rate import Timetable, parse_timetable
from modelset.core.values import dataclass, field, replace
from modelset.lookup import Lookup, find_roots, find_token, token_file, with_env_file
from modelset.serving import Serving, serving_of
from modelset.store.documents import Documents
from modelset.store.files import is_there, read_text

HUB = "https://huggingface.co"
GITHUB = "https://api.github.com"  # which answers sixty questions an hour without a token

# How files of the Hub come: over plain HTTP, through Xet, or as the Hub serves each.
TRANSPORTS = ("auto", "http", "xet")
# What else modelset.toml may hold: mirrors, and the tables that belong to the catalog.
_SECTIONS = ("mirrors", "model")

# Whether a bootstrap downloads, or only checks.
_ON_START = ("MODELSET_DOWNLOAD_ON_START", "DOWNLOAD_MODELS_ON_START", "AUTO_DOWNLOAD_MODELS")
_GITHUB_TOKEN = ("GITHUB_TOKEN", "GH_TOKEN")
# The variables that name a proxy for each scheme; of two spellings the lower-case one wins.
_PROXIES = {
    "http": ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one run; `origins` says for each setting and root where it came from."""

    project: Path
    config: Path
    lock: Path
    out: Path
    models_root: Path
    roots: Mapping[str, Path]
    max_workers: int
    timeout_s: float | None
    connect_s: float
    stall_s: int
    index_url: str
    token: str = field(repr=False)
    github_token: str = field(default="", repr=False)
    connections: int = 16
    limit_rate: Timetable = Timetable()
    transport: str = "auto"
    ca_file: str = ""
    ca_folder: str = ""
    proxies: Proxies = field(default_factory=Proxies)
    mirrors: Mapping[str, tuple[Mirror, ...]] = field(default_factory=dict)
    policy: Policy = Policy()
    serving: Serving = Serving()
    on_start: bool = True
    besides: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    catalog_text: str = ""
    documents: Documents = field(default_factory=Documents, repr=False)
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def hub_token_file(self) -> Path:
        """Where `hf auth login` leaves its token."""
        return token_file(self.environ)

    @property
    def credentials(self) -> dict[str, Mapping[str, str]]:
        """The credential of each origin that the settings know one of."""
        known = {HUB: self.token, GITHUB: self.github_token}
        return {
            origin: {"Authorization": f"Bearer {token}"} for origin, token in known.items() if token
        }


def process_environ() -> dict[str, str]:
    """The environment, for a run that has to change it before it is read."""
    return dict(os.environ)


def wants_color(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether colours are welcome: NO_COLOR and dumb terminals say no."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def find_project() -> Path:
    """The checkout this file runs from; for an installed package, the nearest folder upward with
    a modelset.toml or a lock, else the present folder.
    """
    source_root = Path(__file__).resolve().parent.parent
    if source_root.name == "shared" and is_there(source_root.parent / "scripts"):
        return source_root.parent
    here = Path.cwd()
    for folder in (here, *here.parents):
        if is_there(folder / "modelset.toml") or is_there(folder / "models.lock.json"):
            return folder
    return here


def load_settings(
    flags: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    project: Path | None = None,
    *,
    text: str | None = None,
) -> Settings:
    """The settings of a run; raises ModelSetError `config-invalid` with every problem at once.

    `flags` holds what the command line said, without the flags that were not given, and `text`
    what the settings file is going to hold, where that is not what it holds.
    """
    home = project or find_project()
    environ, places = with_env_file(flags, environ)
    asked = Lookup(flags, environ)
    config = asked.path("config", ("MODELSET_CONFIG",), home / "modelset.toml")
    text = read_text(config) if text is None else text
    if text is None and asked.origins["config"] != "default":
        raise ModelSetError("config-invalid", f"{config} does not exist", "check MODELSET_CONFIG")
    # Not the `out` of the settings: this is read to know them.
    out = Path(environ.get("MODELSET_OUT") or home / "out")
    documents = Documents(out / "toml_cache.json")
    asked.read(_parse(text or "", config, documents), config)
    older, warnings = legacy_variables(asked.document, asked.absolute)
    # A variable that is set to nothing says nothing.
    asked.environ = {**environ, **{name: environ.get(name) or text for name, text in older.items()}}
    settings = replace(_settings(asked, home, config, text or ""), documents=documents)
    asked.refuse_unknown((*_SECTIONS, *legacy_sections(asked.document)))
    if asked.problems:
        raise ModelSetError(
            "config-invalid",
            "\n".join(asked.problems),
            "see modelset.example.toml for what each setting takes",
        )
    origins = {name: places.get(origin, origin) for name, origin in settings.origins.items()}
    return replace(settings, origins=origins, warnings=warnings)


def _settings(asked: Lookup, home: Path, config: Path, text: str) -> Settings:
    models_root = asked.path(
        "models_root", ("MODELSET_MODELS_ROOT", "IRENE_MODELS_ROOT"), home / ".cache", "paths"
    )
    ca_file, ca_folder = _trusted(asked)
    return Settings(
        project=home,
        config=config,
        lock=asked.path("lock", ("MODELSET_LOCK",), home / "models.lock.json", "paths"),
        out=asked.path("out", ("MODELSET_OUT",), home / "out", "paths"),
        models_root=models_root,
        roots=find_roots(asked, models_root),
        max_workers=asked.number(
            "max_workers", ("MODELSET_DOWNLOAD_MAX_WORKERS", "MAX_CONCURRENT_DOWNLOADS"), 3, int
        ),
        timeout_s=asked.number(
            "timeout", ("MODELSET_DOWNLOAD_TIMEOUT", "MODEL_DOWNLOAD_TIMEOUT"), None, float
        ),
        connections=asked.number("connections", ("MODELSET_DOWNLOAD_CONNECTIONS",), 16, int),
        limit_rate=asked.parsed(
            "limit_rate", ("MODELSET_DOWNLOAD_LIMIT_RATE",), "off", parse_timetable
        ),
        transport=asked.parsed("transport", ("MODELSET_DOWNLOAD_TRANSPORT",), "auto", _transport),
        connect_s=asked.number("connect_timeout", (), 10.0, float),
        stall_s=asked.number("stall_timeout", (), 20, int),
        index_url=asked.text("index_url", ("MODELSET_INDEX_URL",), ""),
        token=find_token(asked, models_root),
        github_token=str(asked.find("github_token", _GITHUB_TOKEN, "") or "").strip(),
        ca_file=ca_file,
        ca_folder=ca_folder,
        proxies=asked.proxies(_PROXIES, ("no_proxy", "NO_PROXY")),
        mirrors=_mirrors(asked, config),
        policy=_policy(asked),
        serving=serving_of(asked),
        on_start=asked.flag("on_start", _ON_START, "download", "on_start", default=True),
        besides=_besides(asked),
        environ=asked.environ,
        catalog_text=text,
        origins=asked.origins,
    )


def _besides(asked: Lookup) -> tuple[str, ...]:
    """Keys wanted beside the default set: the model of an assistant that prefers Ollama."""
    name = asked.find("ollama_model", ("OLLAMA_MODEL",), "")
    provider = asked.find("ai_provider", ("PREFERRED_AI_PROVIDER",), "") or "ollama"
    return (f"ollama:{name}",) if name and str(provider).lower() == "ollama" else ()


def _policy(asked: Lookup) -> Policy:
    pickles = asked.find("pickles", ("MODELSET_POLICY_PICKLES",), "policy")
    if pickles not in (None, *PICKLES):
        asked.problems.append(
            f"{asked.origins['pickles']}: pickles = {pickles!r} is none of {', '.join(PICKLES)}"
        )
    first_use = asked.flag("trust_first_use", ("MODELSET_POLICY_FIRST_USE",), "policy", "first_use")
    return Policy(pickles or PICKLES[0], first_use)


def _mirrors(asked: Lookup, config: Path) -> Mapping[str, tuple[Mirror, ...]]:
    mirrors, problems = parse_mirrors(asked.document.get("mirrors", {}), where=config.name)
    asked.problems += problems
    endpoint = asked.environ.get("HF_ENDPOINT", "").rstrip("/")
    if endpoint and not is_address(endpoint):
        # Not repeated: it may hold a password.
        asked.problems.append(f"HF_ENDPOINT: not an address such as {HUB}")
    elif endpoint and endpoint != HUB:
        mirrors[f"{HUB}/"] = (hub_mirror(endpoint),)
        asked.origins["huggingface.co"] = "HF_ENDPOINT"
    return mirrors


def _trusted(asked: Lookup) -> tuple[str, str]:
    """The file of trusted certificates, or the folder (SSL_CERT_DIR may list several)."""
    variables = ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR")
    place = str(asked.path("ca_file", variables, Path(), "download"))
    if asked.origins["ca_file"] == "default":
        return "", ""
    # Only a folder has a parent of its own; what is not there is said when it is needed.
    are_folders = all(is_there(Path(part, "..")) for part in place.split(os.pathsep))
    return ("", place) if are_folders else (place, "")


def _transport(text: str) -> str:
    if text not in TRANSPORTS:
        raise ValueError(f"{text} is none of {', '.join(TRANSPORTS)}")
    return text


def _parse(text: str, config: Path, documents: Documents) -> Mapping[str, Any]:
    try:
        return documents.parse(text)
    except (ValueError, RecursionError) as error:  # besides its own, `int` raises too
        raise ModelSetError(
            "config-invalid", f"{config}: {error}", "mend the TOML syntax there"
        ) from error
