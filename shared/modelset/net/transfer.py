"""One GET in flight, hop by hop, and the judgement of every hop."""

from urllib.parse import urljoin, urlsplit

import pycurl

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import origin_of
from modelset.core.ports import Get, Hop, Response, Throttle
from modelset.core.proxies import Proxies, Proxy
from modelset.core.values import dataclass, field
from modelset.net.address import ascii_of, privacy_of
from modelset.net.failures import proxy_wants_credentials, public, translate

MOST_REDIRECTS = 10
# One look at the sockets brings up to so many buffers of each connection, which are in memory
# until they are handed over.
READS = 11
BUFFER = 256 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_SUPPRESS_CONNECT_HEADERS = 265  # CURLOPT_SUPPRESS_CONNECT_HEADERS, unnamed in pycurl


@dataclass(frozen=True, slots=True)
class WireSettings:
    """Clocks in seconds, the slowest acceptable rate in bytes a second, and where trust comes from.

    `ca_file` is a PEM bundle, `ca_folder` one or more folders of certificates, and `ca_origin` the
    variable or file that names either; certifi's are trusted where neither is given. What libcurl
    would read of the environment is not used.
    """

    connect_s: float = 10.0
    stall_s: int = 20
    slowest_rate: int = 1024
    ca_file: str = ""
    ca_folder: str = ""
    ca_origin: str = ""
    proxies: Proxies = field(default_factory=Proxies)
    user_agent: str = "modelset"


@dataclass(slots=True)
class Pulse:
    """What a connection did lately; libcurl's own clock only knows an average.

    `heard` and `since` are times of the guard's clock, 0 before its first look.
    """

    count: int = 0
    seen: int = 0
    heard: float = 0.0
    since: float = 0.0
    mark: int = 0
    connected: bool = False

    def skip(self, seconds: float) -> None:
        """Leave out a time in which nothing was asked for."""
        if self.heard:
            self.heard += seconds
            self.since += seconds

    def verdict(self, now: float, settings: WireSettings, *, bounded: bool) -> str:
        """Why to give the connection up, empty when it does well; libcurl bounds a connect."""
        if not self.connected:
            return ""
        if self.count != self.seen or not self.heard:
            self.seen, self.heard = self.count, now
        if not self.since:
            self.since, self.mark = now, self.count
        if now - self.heard > settings.stall_s:
            return f"silent for {settings.stall_s} s"
        if now - self.since > settings.stall_s:
            came, self.mark = self.count - self.mark, self.count
            passed, self.since = now - self.since, now
            if came < settings.slowest_rate * passed and not bounded:
                return f"{came} bytes in {passed:.0f} s"
        return ""


@dataclass(slots=True)
class Transfer:
    """One GET in flight, one hop at a time."""

    get: Get
    url: str
    hops: int = 0
    privacy: int | None = None  # of the hop before: an address may not be more private than that
    throttle: Throttle | None = None
    pulse: Pulse = field(default_factory=Pulse)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    location: str = ""
    address: str = ""
    proxy: Proxy | None = None
    ca_origin: str = ""
    multiplexed: bool = False
    announced: bool = False
    enough: bool = False
    pieces: list[bytes] = field(default_factory=list)
    error: ModelSetError | None = None

    @classmethod
    def of(cls, get: Get) -> "Transfer":
        """The first hop of a GET, or the last of an earlier one of the same file."""
        if get.hop is None:
            return cls(get, get.url)
        return cls(get, get.hop.url, get.hop.count, get.hop.privacy)

    def configure(self, curl: pycurl.Curl, settings: WireSettings) -> None:
        """Set a handle up for this hop."""
        headers = dict(self.get.headers)
        if origin_of(self.url) == origin_of(self.get.url):
            headers |= self.get.credential
        curl.setopt(pycurl.URL, ascii_of(self.url))
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()])
        curl.setopt(pycurl.USERAGENT, settings.user_agent)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(settings.connect_s * 1000))
        curl.setopt(pycurl.BUFFERSIZE, BUFFER)
        if self.get.shared:
            curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
            curl.setopt(pycurl.PIPEWAIT, 1)
        else:
            # Over one connection, several ranges share the rate that each could have alone.
            curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
        # libcurl comes with 16 KiB at a time: too often for any code of our own.
        curl.setopt(pycurl.WRITEFUNCTION, self.pieces.append)
        curl.setopt(pycurl.PREREQFUNCTION, self._on_connected)
        self._go_through(curl, settings)

    def _go_through(self, curl: pycurl.Curl, settings: WireSettings) -> None:
        """The proxy of this hop, and whose certificates are trusted."""
        self.proxy, self.ca_origin = settings.proxies.choose(self.url), settings.ca_origin
        # Set even when empty: libcurl would look into the environment by itself.
        curl.setopt(pycurl.PROXY, self.proxy.url.encode() if self.proxy else b"")
        curl.setopt(pycurl.NOPROXY, "")
        curl.setopt(_SUPPRESS_CONNECT_HEADERS, 1)
        places = (self.url, self.proxy.url if self.proxy else "")
        if any(urlsplit(place).scheme == "https" for place in places):
            import certifi  # slow to load

            folder = settings.ca_folder or None
            file = settings.ca_file or (None if folder else certifi.where())
            for option in (pycurl.CAINFO, pycurl.PROXY_CAINFO):
                curl.setopt(option, file)  # None also unsets what libcurl was built with
            for option in (pycurl.CAPATH, pycurl.PROXY_CAPATH):
                curl.setopt(option, folder)

    def redirected(self) -> "Transfer":
        """The next hop."""
        return Transfer(self.get, self._following(), self.hops + 1, privacy_of(self.address))

    def hand_over(self, curl: pycurl.Curl) -> bool:
        """Give what has come to the receiver; whether the transfer is to go on."""
        pieces = self.pieces.copy()
        self.pieces.clear()
        count = sum(map(len, pieces))
        self.pulse.count += count
        if self.throttle is not None:
            self.throttle.took(count)
        if self.location:
            return True  # nobody reads the body of a redirect
        self.error = self._announce(curl)
        if self.error is None and not self.enough:
            try:
                self.enough = not self.get.receiver.body(pieces)
            except ModelSetError as error:
                self.error = error
        return self.error is None and not self.enough

    def verdict(self, curl: pycurl.Curl, code: int, words: str) -> ModelSetError | None:
        """What went wrong, or None; a raised refusal says more than libcurl's own words."""
        if self.error is not None or self.enough:
            return self.error
        if code:
            silent = not self.status
            return translate(code, words, self.url, silent, self.proxy, self.ca_origin)
        if self.location and self.hops >= MOST_REDIRECTS:
            return ModelSetError(
                "bad-response", f"more than {MOST_REDIRECTS} redirects from {public(self.get.url)}"
            )
        try:
            self._following()
        except ValueError:
            return ModelSetError(
                "bad-response", f"{public(self.get.url)} redirects to what is no address"
            )
        return self._announce(curl)

    def _following(self) -> str:
        """Where a redirect leads; raises ValueError when that is no address."""
        url = urljoin(self.url, ascii_of(self.location.encode("iso-8859-1")))
        _ = urlsplit(url).port  # raises
        return url

    def _on_connected(self, address: str, local: str, port: int, local_port: int) -> int:
        """Runs when a connection stands and before the request leaves, on kept ones too."""
        # Behind a proxy the connection says nothing of the place; a name is resolved over there.
        self.address = urlsplit(self.url).hostname or "" if self.proxy else address
        self.pulse.connected = True
        level = privacy_of(self.address)
        if self.privacy is not None and level > self.privacy and not self.get.allow_private:
            self.error = ModelSetError(
                "address-refused",
                f"{public(self.get.url)} redirects into a private network ({self.address})",
                "if that is meant, add the place as a mirror with `allow_private = true`",
            )
            return int(pycurl.PREREQFUNC_ABORT)
        return int(pycurl.PREREQFUNC_OK)

    def _on_header(self, line: bytes) -> None:
        self.pulse.count += len(line)
        text = line.decode("iso-8859-1").rstrip("\r\n")
        if text.startswith("HTTP/"):
            self.multiplexed = text.startswith("HTTP/2")
            status = text.partition(" ")[2][:3]
            self.status, self.headers = int(status) if status.isdecimal() else 0, {}
        elif ":" in text:
            name, _, value = text.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        elif not text and self.status in _REDIRECTS:
            self.location = self.headers.get("location", "")

    def _announce(self, curl: pycurl.Curl) -> ModelSetError | None:
        """Give the head to the receiver, once, as late as the first byte of the body."""
        if self.location or self.announced:
            return None
        self.announced = True
        if self.status == 407:
            return proxy_wants_credentials(self.url, self.proxy)
        hop = Hop(self.url, self.hops, self.privacy) if self.hops else None
        # A server that repeats the credential in its complaint must not get it into a message.
        headers = dict(self.headers)
        for value in self.get.credential.values():
            secret = value.rpartition(" ")[2]
            headers = {name: text.replace(secret, "...") for name, text in headers.items()}
        try:
            wait_s = curl.getinfo(pycurl.STARTTRANSFER_TIME) - curl.getinfo(pycurl.PRETRANSFER_TIME)
            response = Response(
                self.status, headers, self.url, hop, self.multiplexed, max(wait_s, 0.0)
            )
            self.enough = not self.get.receiver.head(response)
        except ModelSetError as error:
            return error
        return None
