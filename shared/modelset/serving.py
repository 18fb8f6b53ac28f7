"""The settings of the service: where it listens, who may ask, and what it does by itself."""

import re
from pathlib import Path

from modelset.core.values import dataclass, field
from modelset.lookup import Lookup

_INTERVAL = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# What older set-ups call the same wish; AUTO_SETUP_ENABLED can only take it away.
_ON_START = (
    *("MODELSET_SERVER_DOWNLOAD_ON_START", "DOWNLOAD_MODELS_ON_START", "AUTO_DOWNLOAD_MODELS"),
)


@dataclass(frozen=True, slots=True)
class Serving:
    """How the service is to run; `update_check_s` is 0 for never, `hosts` are names besides its
    own that a request may ask for.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    hosts: tuple[str, ...] = ()
    transfers: int = 1
    update_check_s: int = 0
    download_on_start: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can reach the address."""
        import ipaddress  # here, because settings are read at every start

        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def serving_of(asked: Lookup) -> Serving:
    """What the settings say of the service; what is wrong is noted there as a problem."""
    token_file = asked.path("token_file", ("MODELSET_SERVER_TOKEN_FILE",), Path(), "server")
    hosts = asked.find("hosts", ("MODELSET_SERVER_HOSTS",), "server") or ()
    setup = asked.flag("auto_setup", ("AUTO_SETUP_ENABLED",), "", "auto_setup", default=True)
    return Serving(
        host=str(asked.find("host", ("MODELSET_SERVER_HOST",), "server") or "127.0.0.1"),
        port=_whole(asked, "port", 8000, range(65536)),
        token=str(asked.find("server_token", ("MODELSET_SERVER_TOKEN",), "") or ""),
        token_file=None if asked.origins["token_file"] == "default" else token_file,  # noqa: S105
        hosts=tuple(_words(asked, hosts)),
        transfers=_whole(asked, "transfers", 1, range(1, 65)),
        update_check_s=_interval(asked),
        # The file's word is looked up in any case, so that it is known and has an origin.
        download_on_start=asked.flag("download_on_start", _ON_START, "server", "download_on_start")
        and setup,
    )


def _whole(asked: Lookup, name: str, default: int, allowed: range) -> int:
    value = asked.find(name, (f"MODELSET_SERVER_{name.upper()}",), "server")
    if value is None:
        return default
    text = str(value)
    if text.isascii() and text.isdigit() and int(text) in allowed:
        return int(text)
    asked.problems.append(
        f"{asked.origins[name]}: {name} = {value!r} is not a whole number from {allowed[0]} to "
        f"{allowed[-1]}"
    )
    return default


def _words(asked: Lookup, value: object) -> list[str]:
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    if isinstance(words, list | tuple) and all(isinstance(word, str) for word in words):
        return [word.lower() for word in words]
    asked.problems.append(f"{asked.origins['hosts']}: hosts = {value!r} should be a list of names")
    return []


def _interval(asked: Lookup) -> int:
    value = str(asked.find("update_check", ("MODELSET_SERVER_UPDATE_CHECK",), "server") or "off")
    found = _INTERVAL.fullmatch(value)
    if found and int(found[1]):
        return int(found[1]) * _SECONDS[found[2]]
    if value not in ("off", "0"):
        asked.problems.append(
            f"{asked.origins['update_check']}: update_check = {value!r} is no time such as 24h, "
            "and not off"
        )
    return 0
