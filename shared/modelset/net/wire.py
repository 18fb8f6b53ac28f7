"""GETs over libcurl's multi interface: the one place where bytes come in."""

from collections.abc import Mapping
from typing import Any

import pycurl

from modelset.core.errors import ModelSetError
from modelset.core.ports import Guard, Lanes, Throttle
from modelset.net.address import refuse_scheme
from modelset.net.failures import stalled
from modelset.net.transfer import READS, Transfer, WireSettings

# How long one wait for sockets may last, so that a stop or a deadline is noticed in time.
_TICK_S = 0.1
# How much of a connection is read at a time below a bound of the rate; libcurl takes no less.
_LEAST_BITE, _MOST_BITE = 1024, 16 * 1024
# Half of what sixteen connections bring at a time. glibc gives what is freed back to the system
# and takes it page by page again, but keeps twice the size of a block that has come and gone.
_KEPT = 24 * 1024 * 1024


class CurlWire:
    """Performs GETs; every error leaves as ModelSetError."""

    def __init__(self, settings: WireSettings, throttle: Throttle | None = None) -> None:
        self._settings, self._throttle = settings, throttle
        bytes(_KEPT)
        self._idle: list[Any] = []  # multi handles at rest; each keeps its connections alive

    def run(self, lanes: Lanes, guard: Guard) -> None:
        """Perform what the lanes hand out until none is running and none is handed out.

        Redirects are followed here, not by libcurl, so that each hop is judged: no credential
        leaves its origin, and no hop leads to a more private network. Raises what a lane raises.
        """
        multi = self._idle.pop() if self._idle else pycurl.CurlMulti()
        running: dict[pycurl.Curl, Transfer] = {}
        looked = 0.0
        try:
            while True:
                while (get := lanes.next()) is not None:
                    self._start(multi, running, Transfer.of(get), lanes)
                if not running:
                    return
                guard.check()
                if self._is_held_back(running, guard):
                    continue
                multi.perform()
                has_ended = self._hand_over(multi, running, lanes)
                has_ended = self._collect(multi, running, lanes) or has_ended
                if (now := guard.now()) - looked > _TICK_S:
                    looked = now
                    self._end_silent(multi, running, lanes, now)
                if not has_ended:  # else a connection is free, and used before any wait
                    multi.select(min(_TICK_S, max(guard.remaining(), 0.001)))
        finally:
            for curl in list(running):
                _drop(multi, running, curl)
            self._idle.append(multi)

    def close(self) -> None:
        """Close the connections that were kept alive."""
        while self._idle:
            self._idle.pop().close()

    def _start(
        self,
        multi: Any,
        running: dict[pycurl.Curl, "Transfer"],
        transfer: "Transfer",
        lanes: Lanes,
    ) -> None:
        try:
            refuse_scheme(transfer.url, transfer.get)
        except ModelSetError as error:
            lanes.ended(transfer.get, error)
            return
        curl = pycurl.Curl()
        transfer.configure(curl, self._settings)
        if self._throttle is not None:
            transfer.throttle = self._throttle
            # Small bites, or one look at the sockets takes what a slow link brings in seconds.
            rate = self._throttle.rate()
            bite = int(rate * _TICK_S / READS) if rate else _MOST_BITE
            curl.setopt(pycurl.BUFFERSIZE, min(max(bite, _LEAST_BITE), _MOST_BITE))
        running[curl] = transfer
        multi.add_handle(curl)

    def _is_held_back(self, running: Mapping[pycurl.Curl, "Transfer"], guard: Guard) -> bool:
        wait_s = self._throttle.wait_s() if self._throttle is not None else 0.0
        if wait_s <= 0:
            return False
        wait_s = min(wait_s, _TICK_S)
        guard.sleep(wait_s)
        for transfer in running.values():
            transfer.pulse.skip(wait_s)
        return True

    def _end_silent(
        self, multi: Any, running: dict[pycurl.Curl, "Transfer"], lanes: Lanes, now: float
    ) -> None:
        for curl, transfer in list(running.items()):
            words = transfer.pulse.verdict(now, self._settings, bounded=self._throttle is not None)
            if words:
                _drop(multi, running, curl)
                lanes.ended(transfer.get, stalled(transfer.url, words))

    def _hand_over(self, multi: Any, running: dict[pycurl.Curl, "Transfer"], lanes: Lanes) -> bool:
        """Give what has come to its receivers; whether one of them wants no more."""
        has_ended = False
        for curl, transfer in list(running.items()):
            if transfer.pieces and not transfer.hand_over(curl):
                _drop(multi, running, curl)
                lanes.ended(transfer.get, transfer.error)
                has_ended = True
        return has_ended

    def _collect(self, multi: Any, running: dict[pycurl.Curl, "Transfer"], lanes: Lanes) -> bool:
        """Hand over what has ended; whether anything has."""
        more, has_ended = 1, False
        while more:
            more, succeeded, failed = multi.info_read()
            ended = [(curl, 0, "") for curl in succeeded] + failed
            has_ended = has_ended or bool(ended)
            for curl, code, words in ended:
                transfer = running[curl]
                error = transfer.verdict(curl, code, words)
                _drop(multi, running, curl)
                if error is None and transfer.location:
                    self._start(multi, running, transfer.redirected(), lanes)
                else:
                    lanes.ended(transfer.get, error)
        return has_ended


def _drop(multi: Any, running: dict[pycurl.Curl, Transfer], curl: pycurl.Curl) -> None:
    """Let go of a transfer; its connection is kept only where the answer has ended."""
    del running[curl]
    multi.remove_handle(curl)
    curl.close()
