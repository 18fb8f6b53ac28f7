"""Every setting by the name that people give it, with its value and where that came from."""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from modelset.core.mirrors import is_address
from modelset.core.rate import Timetable
from modelset.core.values import dataclass
from modelset.serving import Serving
from modelset.settings import Settings

Kind = Literal["whole", "number", "flag", "text"]

# What modelset.toml may hold as a plain value, and of which kind each is.
IN_FILE: Mapping[str, Kind] = {
    "download.max_workers": "whole",
    "download.connections": "whole",
    "download.timeout": "number",
    "download.connect_timeout": "number",
    "download.stall_timeout": "whole",
    "download.limit_rate": "text",
    "download.transport": "text",
    "download.index_url": "text",
    "download.ca_file": "text",
    "policy.pickles": "text",
    "download.on_start": "flag",
    "policy.first_use": "flag",
    "paths.models_root": "text",
    "paths.lock": "text",
    "paths.out": "text",
    "paths.site_packages": "text",
    "server.host": "text",
    "server.port": "whole",
    "server.token_file": "text",
    "server.hosts": "text",
    "server.transfers": "whole",
    "server.update_check": "text",
    "server.download_on_start": "flag",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A setting as it is shown: never a secret, and never the password in an address."""

    name: str
    value: Any
    origin: str

    @property
    def text(self) -> str:
        """The value as people read it."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return "not set" if self.value in (None, "") else str(self.value)


def rows_of(settings: Settings) -> list[Row]:
    """Every setting; first what the file may hold, then what only the environment says."""
    origins = settings.origins
    rows = [
        Row(name, value, origins[name.partition(".")[2]])
        for name, value in _file_values(settings).items()
    ]
    for prefix, mirrors in settings.mirrors.items():
        own = origins.get("huggingface.co", "") if prefix.endswith("huggingface.co/") else ""
        places = ", ".join(bare(mirror.url) for mirror in mirrors)
        rows.append(Row(f'mirrors."{bare(prefix)}"', places, own or settings.config.name))
    rows.append(Row("config", str(settings.config), origins["config"]))
    for name, value in _environment_values(settings).items():
        rows.append(Row(name, value, origins.get(name, "default")))
    return rows


def _file_values(settings: Settings) -> dict[str, Any]:
    values: dict[str, Any] = {
        "max_workers": settings.max_workers,
        "connections": settings.connections,
        "timeout": settings.timeout_s,
        "connect_timeout": settings.connect_s,
        "stall_timeout": settings.stall_s,
        "limit_rate": rate_text(settings.limit_rate),
        "transport": settings.transport,
        "index_url": bare(settings.index_url),
        "ca_file": settings.ca_file or settings.ca_folder,
        "on_start": settings.on_start,
        "pickles": settings.policy.pickles,
        "first_use": settings.policy.first_use,
        "models_root": str(settings.models_root),
        "lock": str(settings.lock),
        "out": str(settings.out),
        "site_packages": str(settings.roots["site-packages"]),
        **_server_values(settings.serving),
    }
    return {name: values[name.partition(".")[2]] for name in IN_FILE}


def _server_values(serving: Serving) -> dict[str, Any]:
    return {
        "host": serving.host,
        "port": serving.port,
        "token_file": str(serving.token_file or ""),
        "hosts": ", ".join(serving.hosts),
        "transfers": serving.transfers,
        "update_check": _interval(serving.update_check_s),
        "download_on_start": serving.download_on_start,
    }


def _environment_values(settings: Settings) -> dict[str, Any]:
    proxies = settings.proxies
    return {
        "cache_root": str(settings.roots["downloads"].parent),
        "credentials_root": str(settings.roots["credentials"]),
        **{
            f"{scheme}_proxy": proxies.by_scheme[scheme].host if scheme in proxies.by_scheme else ""
            for scheme in ("http", "https")
        },
        "no_proxy": ", ".join(proxies.without),
        "hf_token": secret_text(settings.token),
        "github_token": secret_text(settings.github_token),
        "server_token": secret_text(settings.serving.token),
    }


def secret_text(secret: str) -> str:
    """All that is ever said of a secret."""
    return "set" if secret else "not set"


def bare(url: str) -> str:
    """An address without the user and the password in it."""
    if not is_address(url):
        # What is none may be a password that was not encoded.
        return url if "@" not in url else "(not an address)"
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def rate_text(timetable: Timetable) -> str:
    """A bound as it is written in a setting."""
    if not timetable.is_bounded:
        return "off"
    rows = timetable.rows
    if len(rows) == 1:
        return _rate(rows[0][1])
    return " ".join(f"{at // 60:02d}:{at % 60:02d},{_rate(rate)}" for at, rate in rows)


def _interval(seconds: int) -> str:
    """A time as it is written in a setting."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s" if seconds else "off"


def _rate(rate: float) -> str:
    for unit, size in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if rate and rate % size == 0 and rate % 1000:
            return f"{rate / size:g}{unit}"
    for unit, size in (("G", 10**9), ("M", 10**6), ("K", 10**3)):
        if rate >= size:
            return f"{rate / size:.15g}{unit}"
    return "off"
