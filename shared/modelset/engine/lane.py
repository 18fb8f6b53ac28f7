"""One connection's part of a file: asks for it, judges the answer, writes what comes."""

from typing import TYPE_CHECKING

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import origin_of
from modelset.core.parts import Part
from modelset.core.ports import Get, Hop, Response, ask
from modelset.engine import answer
from modelset.net.failures import public

if TYPE_CHECKING:
    from modelset.engine.fetch import Fetch

# Bytes are written in pieces of about this size, or so many that came one by one.
_PIECE = 256 * 1024
_MOST_PIECES = 64


class Lane:
    """The receiver of one GET; `asked` is the span that it asked for."""

    def __init__(self, file: "Fetch", part: Part, now: float) -> None:
        self.part = part
        self.asked = (part.at, part.end)
        self.is_stale = False
        self._file, self._share, self._began = file, file.means.share, now
        self._end = part.end  # of the answer, which may end before the part does
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._heard = self._is_given_back = False

    @property
    def rest(self) -> int:
        """Bytes that are still to come."""
        return self.part.end - self.part.at - self._waiting

    def rest_s(self, now: float) -> float:
        """Seconds that they will take at the rate so far."""
        came = self.part.at - self.part.start + self._waiting
        return (now - self._began) * self.rest / came if came else now - self._began

    def make_get(self, hop: Hop | None) -> Get:
        """The GET for the part, without a range when that is the whole file."""
        address, partial = self._file.retries.address, self._file.partial
        assert partial is not None
        headers = {}
        start, end = self.asked
        if start or end < self._file.artifact.size:
            last = "" if end == self._file.artifact.size else str(end - 1)
            headers["Range"] = f"bytes={start}-{last}"
            # A weak tag or another server's says nothing about this object; the digest will.
            if partial.origin == origin_of(address.url) and partial.validator:
                headers["If-Range"] = partial.validator
        self.get = ask(address, self, headers, hop=hop)
        return self.get

    def head(self, response: Response) -> bool:
        """Refuse an answer that cannot be this file; start over where the server does."""
        if self.is_stale:
            return False
        file = self._file
        assert file.partial is not None
        try:
            answer.refuse_status(response, file.retries.address)
            answer.refuse_encoding(response)
            if response.status == 206:
                changed = file.changed or file.partial.kept > 0
                self._end = answer.end_of_range(
                    response, self.asked, file.artifact, changed=changed
                )
                self._refuse_other(response)
            elif file.has_better(self, response):
                self._is_given_back = True
                return False
            else:
                self._take_whole(response)
        except answer.RestartError:
            if file.partial.kept:
                file.restart()
            raise
        file.opened(response)
        return True

    def body(self, pieces: list[bytes]) -> bool:
        """Take the next bytes; what was given to another lane meanwhile is left to it."""
        part, share = self.part, self._share
        if self.is_stale:
            return False
        if not self._heard:
            self._heard = True
            self._file.means.budget.heard(share)
        room, count = self.rest, sum(map(len, pieces))
        if count > room:
            if part.end == self._end:
                raise answer.too_long(self._file.retries.address, self._file.artifact)
            pieces = [b"".join(pieces)[:room]]
        self._pieces += pieces
        self._waiting += min(count, room)
        if self._waiting >= _PIECE or len(self._pieces) >= _MOST_PIECES:
            self.flush()
        if share.surplus:
            share.surplus -= 1
            self._is_given_back = True
            return False
        return count < room or part.end == self._end

    def flush(self) -> None:
        """Write what waits."""
        if self._pieces and not self.is_stale and self._file.partial is not None:
            pieces, count = self._pieces, self._waiting
            self._pieces, self._waiting = [], 0
            self._file.partial.write(self.part, pieces)
            self._file.arrived(count)

    def ended(self, error: Exception | None) -> None:
        """The GET ended; raises ModelSetError when the file cannot be had."""
        file = self._file
        self.flush()
        file.means.budget.give_back(file.means.share, heard=self._heard)
        if error is not None and not isinstance(error, ModelSetError):
            raise error
        due = min(self.part.end, self._end)
        if error is None and not self.is_stale and not self._is_given_back and self.part.at < due:
            error = answer.too_short(file.retries.address, file.artifact, self.part.at)
        file.ended(self, error)

    def _refuse_other(self, response: Response) -> None:
        partial, address = self._file.partial, self._file.retries.address
        assert partial is not None
        known, tag = partial.validator, answer.strong_tag(response)
        if partial.origin == origin_of(address.url) and known and tag and tag != known:
            raise answer.RestartError(
                "connection-lost", f"{public(response.url)} was replaced between two tries"
            )

    def _take_whole(self, response: Response) -> None:
        """All of the file comes, asked for or not: what is here already is thrown away."""
        file = self._file
        assert file.partial is not None
        # Before the kept bytes go: a sign-in page says nothing about them.
        answer.refuse_page(response, file.artifact)
        if self.asked != (0, file.artifact.size) or file.partial.kept:
            tag = answer.strong_tag(response)
            file.widen(self, changed=not tag or tag != file.partial.validator)
            self._end = file.artifact.size
        answer.refuse_length(response, file.artifact, changed=file.changed)
