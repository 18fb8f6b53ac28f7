"""Which proxy an address goes through, as the usual variables say."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from modelset.core.mirrors import is_loopback
from modelset.core.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Proxy:
    """The address of a proxy, which may hold a password, and the variable that says it."""

    url: str = field(repr=False)
    variable: str

    @property
    def host(self) -> str:
        """Host and port; a password that was not encoded may hold `/` and `@` itself."""
        return self.url.partition("://")[2].rpartition("@")[2].partition("/")[0]


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxy of each scheme, and the hosts that are asked without one."""

    by_scheme: Mapping[str, Proxy] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def choose(self, url: str) -> Proxy | None:
        """The proxy for an address; a proxy elsewhere could not reach this machine itself."""
        parts = urlsplit(url)
        proxy = self.by_scheme.get(parts.scheme)
        if proxy is None or is_loopback(url):
            return None
        host = (parts.hostname or "").lower().rstrip(".")
        return None if any(_covers(entry, host) for entry in self.without) else proxy


def _covers(entry: str, host: str) -> bool:
    """Whether an entry of NO_PROXY means a host: `*`, a name with all below it, an address or a
    network such as 10.0.0.0/8.
    """
    name = entry.removeprefix("*").removeprefix(".").rstrip(".")
    if entry == "*" or (name and (host == name or host.endswith(f".{name}"))):
        return True
    if not (host[-1:].isdigit() or ":" in host):
        return False
    import ipaddress  # here, because settings are read at every start

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return False
