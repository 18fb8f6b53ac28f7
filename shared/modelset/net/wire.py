"""GETs over libcurl's multi interface: the one place where bytes come in."""

import ipaddress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import pycurl

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import is_loopback, origin_of
from modelset.core.ports import Get, Guard, Lanes, Response
from modelset.net.failures import public, translate

MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
# How long one wait for sockets may last, so that a stop or a deadline is noticed in time.
_TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class WireSettings:
    """Clocks in seconds, the slowest acceptable rate in bytes a second, and where trust comes from.

    `ca_file` is a PEM bundle. Proxies come from the variables that libcurl reads by itself.
    """

    connect_s: float = 10.0
    stall_s: int = 20
    slowest_rate: int = 1024
    ca_file: str = ""
    user_agent: str = "modelset"


class CurlWire:
    """Performs GETs; every error leaves as ModelSetError."""

    def __init__(self, settings: WireSettings) -> None:
        self._settings = settings
        self._idle: list[Any] = []  # multi handles at rest; each keeps its connections alive

    def run(self, lanes: Lanes, guard: Guard) -> None:
        """Perform what the lanes hand out until none is running and none is handed out.

        Redirects are followed here, not by libcurl, so that each hop is judged: no credential
        leaves its origin, and no hop leads to a more private network. Raises what a lane raises.
        """
        multi = self._idle.pop() if self._idle else pycurl.CurlMulti()
        running: dict[pycurl.Curl, _Transfer] = {}
        try:
            while True:
                while (get := lanes.next()) is not None:
                    self._start(multi, running, _Transfer(get, get.url), lanes)
                if not running:
                    return
                guard.check()
                multi.perform()
                self._collect(multi, running, lanes)
                if running:
                    multi.select(min(_TICK_S, max(guard.remaining(), 0.001)))
        finally:
            for curl in running:
                multi.remove_handle(curl)
                curl.close()
            self._idle.append(multi)

    def close(self) -> None:
        """Close the connections that were kept alive."""
        while self._idle:
            self._idle.pop().close()

    def _start(
        self,
        multi: Any,
        running: dict[pycurl.Curl, "_Transfer"],
        transfer: "_Transfer",
        lanes: Lanes,
    ) -> None:
        try:
            _refuse_scheme(transfer.url, transfer.get)
        except ModelSetError as error:
            lanes.ended(transfer.get, error)
            return
        curl = pycurl.Curl()
        transfer.configure(curl, self._settings)
        running[curl] = transfer
        multi.add_handle(curl)

    def _collect(self, multi: Any, running: dict[pycurl.Curl, "_Transfer"], lanes: Lanes) -> None:
        more = 1
        while more:
            more, succeeded, failed = multi.info_read()
            ended = [(curl, 0, "") for curl in succeeded] + failed
            for curl, code, words in ended:
                transfer = running.pop(curl)
                multi.remove_handle(curl)
                error = transfer.verdict(curl, code, words)
                curl.close()
                if error is None and transfer.location:
                    self._start(multi, running, transfer.redirected(), lanes)
                else:
                    lanes.ended(transfer.get, error)


@dataclass(slots=True)
class _Transfer:
    """One GET in flight, one hop at a time."""

    get: Get
    url: str
    hops: int = 0
    privacy: int | None = None  # of the hop before: an address may not be more private than that
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    location: str = ""
    address: str = ""
    announced: bool = False
    error: ModelSetError | None = None

    def configure(self, curl: pycurl.Curl, settings: WireSettings) -> None:
        headers = dict(self.get.headers)
        if origin_of(self.url) != origin_of(self.get.url):
            headers.pop("Authorization", None)
        curl.setopt(pycurl.URL, self.url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()])
        curl.setopt(pycurl.USERAGENT, settings.user_agent)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(settings.connect_s * 1000))
        curl.setopt(pycurl.LOW_SPEED_LIMIT, settings.slowest_rate)
        curl.setopt(pycurl.LOW_SPEED_TIME, settings.stall_s)
        curl.setopt(pycurl.BUFFERSIZE, 512 * 1024)
        curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        curl.setopt(pycurl.PREREQFUNCTION, self._on_connected)
        if is_loopback(self.url):
            curl.setopt(pycurl.NOPROXY, "*")  # a proxy elsewhere cannot reach this machine
        if settings.ca_file:
            curl.setopt(pycurl.CAINFO, settings.ca_file)

    def redirected(self) -> "_Transfer":
        return _Transfer(
            self.get, urljoin(self.url, self.location), self.hops + 1, _privacy(self.address)
        )

    def verdict(self, curl: pycurl.Curl, code: int, words: str) -> ModelSetError | None:
        """What went wrong, or None; a raised refusal says more than libcurl's own words."""
        if self.error is not None:
            return self.error
        if code:
            return translate(code, words, self.url, bool(self.status))
        if self.location and self.hops >= MOST_REDIRECTS:
            return ModelSetError(
                "bad-response", f"more than {MOST_REDIRECTS} redirects from {public(self.get.url)}"
            )
        return self._announce()

    def _on_connected(self, address: str, local: str, port: int, local_port: int) -> int:
        """Runs when a connection stands and before the request leaves, on kept ones too."""
        self.address = address
        level = _privacy(address)
        if self.privacy is not None and level > self.privacy and not self.get.allow_private:
            self.error = ModelSetError(
                "address-refused",
                f"{public(self.get.url)} redirects into a private network ({address})",
                "if that is meant, add the place as a mirror with `allow_private = true`",
            )
            return int(pycurl.PREREQFUNC_ABORT)
        return int(pycurl.PREREQFUNC_OK)

    def _on_header(self, line: bytes) -> None:
        text = line.decode("iso-8859-1").rstrip("\r\n")
        if text.startswith("HTTP/"):
            status = text.partition(" ")[2][:3]
            self.status, self.headers = int(status) if status.isdigit() else 0, {}
        elif ":" in text:
            name, _, value = text.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        elif not text and self.status in _REDIRECTS:
            self.location = self.headers.get("location", "")

    def _on_body(self, data: bytes) -> int | None:
        if self.location:
            return None
        self.error = self._announce()
        if self.error is None:
            try:
                self.get.receiver.body(data)
            except ModelSetError as error:
                self.error = error
        return None if self.error is None else 0

    def _announce(self) -> ModelSetError | None:
        """Give the head to the receiver, once, as late as the first byte of the body."""
        if self.location or self.announced:
            return None
        self.announced = True
        try:
            self.get.receiver.head(Response(self.status, self.headers, self.url))
        except ModelSetError as error:
            return error
        return None


def _refuse_scheme(url: str, get: Get) -> None:
    scheme = urlsplit(url).scheme
    if scheme == "https" or (scheme == "http" and (get.allow_http or is_loopback(url))):
        return
    raise ModelSetError(
        "address-refused",
        f"{public(url)} is not https"
        + (f"; {public(get.url)} redirects there" if url != get.url else ""),
        "use its https address, or mark the mirror with `allow_http = true`",
    )


def _privacy(address: str) -> int:
    """0 public, 1 private or link-local, 2 this machine."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return 0
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped if mapped is not None else parsed
    if parsed.is_loopback or parsed.is_unspecified:
        return 2
    return 0 if parsed.is_global else 1
