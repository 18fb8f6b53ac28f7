"""One try at the rest of a file: judges the answer, takes the bytes, hands out the GETs."""

from collections.abc import Callable

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Address, origin_of
from modelset.core.ports import Get, Response
from modelset.core.types import Artifact
from modelset.net.failures import error_for, page_or, public
from modelset.store.files import Hasher
from modelset.store.partial import Partial


class Digests:
    """The artifact's own digest and the sha256 that the registry remembers, of the same bytes."""

    def __init__(self, make: Callable[[], tuple[Hasher, Hasher]]) -> None:
        self._make = make
        self.restart()

    def restart(self) -> None:
        """Forget every byte."""
        self.own, self.sha256 = self._make()

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self.own.update(data)
        if self.sha256 is not self.own:
            self.sha256.update(data)


class OneStream:
    """The rest of one file over one connection: lanes of the transfer, receiver of its answer."""

    def __init__(
        self,
        artifact: Artifact,
        address: Address,
        partial: Partial,
        digests: Digests,
        moved: Callable[[int], None],
    ) -> None:
        self._artifact, self._address = artifact, address
        self._partial, self._digests = partial, digests
        self._moved = moved
        self._asked = False
        self.changed = False  # the server has another object than the one we hold the start of

    def next(self) -> Get | None:
        """The one GET, from where the kept bytes end; none for a file that is complete."""
        if self._asked or self._partial.kept == self._artifact.size:
            return None
        self._asked = True
        headers = {"Accept-Encoding": "identity"}
        if self._address.authorization:
            headers["Authorization"] = self._address.authorization
        if self._partial.kept:
            headers["Range"] = f"bytes={self._partial.kept}-"
            # A weak tag or another server's says nothing about this object; the digest will.
            if self._partial.origin == origin_of(self._address.url) and self._partial.validator:
                headers["If-Range"] = self._partial.validator
        return Get(
            self._address.url,
            self,
            headers,
            allow_http=self._address.allow_http,
            allow_private=self._address.allow_private,
        )

    def ended(self, get: Get, error: Exception | None) -> None:
        """Raise what went wrong, or `body-truncated` when a quiet end came too early."""
        if error is not None:
            raise error
        if self._partial.kept < self._artifact.size:
            raise ModelSetError(
                "body-truncated",
                f"{public(get.url)}: {self._partial.kept} of {self._artifact.size} bytes came",
                "run the same command again; it resumes",
            )

    def head(self, response: Response) -> None:
        """Refuse an answer that cannot be this file; start over where the server does."""
        if response.status not in (200, 206):
            if response.status == 416:
                self._restart()
                raise ModelSetError(
                    "connection-lost", f"{public(response.url)}: the range is not there any more"
                )
            raise self._refusal(response)
        if response.headers.get("content-encoding", "identity") not in ("identity", ""):
            raise ModelSetError("bad-response", f"{public(response.url)}: the body is compressed")
        if response.status == 206:
            self._check_range(response)
        else:
            self._check_whole(response)
        tag = response.headers.get("etag", "")
        self._partial.came_from(origin_of(self._address.url), "" if tag.startswith("W/") else tag)

    def body(self, data: bytes) -> None:
        """Write, hash and count the bytes; one byte too many is refused."""
        if self._partial.kept + len(data) > self._artifact.size:
            raise ModelSetError(
                "size-mismatch",
                f"{public(self._address.url)} sends more than {self._artifact.size} bytes",
                _CHANGED_HINT,
            )
        self._partial.write(data)
        self._digests.update(data)
        self._moved(len(data))

    def _restart(self) -> None:
        self.changed = True
        self._moved(-self._partial.kept)
        self._partial.restart()
        self._digests.restart()

    def _refusal(self, response: Response) -> ModelSetError:
        if response.status == 403 and origin_of(response.url) != origin_of(self._address.url):
            # The next try begins at the address that signs, so an expired signature mends itself.
            return ModelSetError(
                "connection-lost", f"{public(response.url)}: the signed address has expired"
            )
        return error_for(response)

    def _check_range(self, response: Response) -> None:
        expected = f"bytes {self._partial.kept}-{self._artifact.size - 1}/{self._artifact.size}"
        actual = response.headers.get("content-range", "")
        if actual == expected:
            self._check_tag(response)
            return
        total = actual.rpartition("/")[2]
        if total.isdigit() and int(total) != self._artifact.size:
            self._restart()
            raise self._wrong_size(response, int(total))
        raise ModelSetError(
            "bad-response",
            f"{public(response.url)}: range {actual or 'missing'}, expected {expected}",
        )

    def _check_tag(self, response: Response) -> None:
        known, tag = self._partial.validator, response.headers.get("etag", "")
        same_place = self._partial.origin == origin_of(self._address.url)
        if same_place and known and tag and tag != known and not tag.startswith("W/"):
            self._restart()
            raise ModelSetError(
                "connection-lost", f"{public(response.url)} was replaced between two tries"
            )

    def _check_whole(self, response: Response) -> None:
        is_page = response.headers.get("content-type", "").startswith("text/html")
        if is_page and not self._artifact.name.endswith((".html", ".htm")):
            # Before the kept bytes go: a sign-in page says nothing about them.
            raise page_or("html-page", response, "")
        if self._partial.kept:
            self._restart()
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) != self._artifact.size:
            raise self._wrong_size(response, int(length))

    def _wrong_size(self, response: Response, size: int) -> ModelSetError:
        if self.changed:
            return ModelSetError(
                "object-changed",
                f"{public(response.url)} was replaced between two tries:"
                f" {size} bytes now, {self._artifact.size} pinned",
                _CHANGED_HINT,
            )
        return ModelSetError(
            "size-mismatch",
            f"{public(response.url)} has {size} bytes, {self._artifact.size} are pinned",
            _CHANGED_HINT,
        )


_CHANGED_HINT = "if the new file is the one you want, delete the model from the lock and run again"
