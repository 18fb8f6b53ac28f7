"""Judges the head of an answer: whether it can be the file that was asked for."""

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Address, origin_of
from modelset.core.parts import Span
from modelset.core.ports import Response
from modelset.core.types import Artifact
from modelset.net.failures import error_for, page_or, public

_CHANGED_HINT = "if the new file is the one you want, run `modelset update KEY` for this model"

# What asking again where the redirects began cannot mend.
_NOT_MENDED = ("rate-limited", "server-error", "stalled", "body-truncated")


class RestartError(ModelSetError):
    """The server has another object than the one whose bytes are here."""


class ExpiredError(ModelSetError):
    """A signed address refuses; asked for again where it came from, it mends itself."""


def may_be_mended(error: ModelSetError) -> bool:
    """Whether a remembered redirect is to blame, so that its beginning should be asked again.

    Not for another object: it may be another one every time, and that has to count as a try.
    """
    is_other = isinstance(error, RestartError)
    return not is_other and error.kind.retry != "never" and error.failure.code not in _NOT_MENDED


def dislikes_many(error: ModelSetError) -> bool:
    """Whether a server that serves other connections refuses this one."""
    code = error.failure.code
    return isinstance(error, ExpiredError) or code in ("access-denied", "rate-limited")


def refuse_status(response: Response, address: Address) -> None:
    """Raise for every status but 200 and 206."""
    if response.status in (200, 206):
        return
    if response.status == 416:
        raise RestartError(
            "connection-lost", f"{public(response.url)}: the range is not there any more"
        )
    if response.status == 403 and origin_of(response.url) != origin_of(address.url):
        raise ExpiredError(
            "connection-lost", f"{public(response.url)}: the signed address has expired"
        )
    raise error_for(response)


def refuse_encoding(response: Response) -> None:
    """Raise for a body that the server compressed unasked: its ranges count other bytes."""
    if response.headers.get("content-encoding", "identity") not in ("identity", ""):
        raise ModelSetError("bad-response", f"{public(response.url)}: the body is compressed")


def refuse_page(response: Response, artifact: Artifact) -> None:
    """Raise `html-page` for a page where no page was asked for, such as that of a sign-in."""
    is_page = response.headers.get("content-type", "").startswith("text/html")
    if is_page and not artifact.name.endswith((".html", ".htm")):
        raise page_or("html-page", response, "")


def refuse_length(response: Response, artifact: Artifact, *, changed: bool) -> None:
    """Raise when the whole body is announced with another size than the pinned one."""
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) != artifact.size:
        raise wrong_size(response, int(length), artifact, changed=changed)


def end_of_range(response: Response, asked: Span, artifact: Artifact, *, changed: bool) -> int:
    """Where the span of a 206 ends, which may be earlier than asked; raises for another span."""
    actual = response.headers.get("content-range", "")
    span, _, total = actual.removeprefix("bytes ").partition("/")
    if total.isdecimal() and int(total) != artifact.size:
        failure = wrong_size(response, int(total), artifact, changed=changed).failure
        raise RestartError(failure.code, failure.message, failure.hint)
    first, _, last = span.partition("-")
    fits = first.isdecimal() and last.isdecimal() and int(first) == asked[0]
    if not fits or not asked[0] <= int(last) < asked[1]:
        raise ModelSetError(
            "bad-response",
            f"{public(response.url)}: range {actual or 'missing'},"
            f" expected bytes {asked[0]}-{asked[1] - 1}/{artifact.size}",
        )
    return int(last) + 1


def strong_tag(response: Response) -> str:
    """The ETag when it stands for exactly these bytes, else nothing."""
    tag = response.headers.get("etag", "")
    return "" if tag.startswith("W/") else tag


def wrong_size(
    response: Response, size: int, artifact: Artifact, *, changed: bool
) -> ModelSetError:
    """The error for a file that is longer or shorter than pinned."""
    if changed:
        return ModelSetError(
            "object-changed",
            f"{public(response.url)} was replaced between two tries:"
            f" {size} bytes now, {artifact.size} pinned",
            _CHANGED_HINT,
        )
    return ModelSetError(
        "size-mismatch",
        f"{public(response.url)} has {size} bytes, {artifact.size} are pinned",
        _CHANGED_HINT,
    )


def too_long(address: Address, artifact: Artifact) -> ModelSetError:
    """The error for a body that does not end where the file does."""
    return ModelSetError(
        "size-mismatch", f"{public(address.url)} sends more than {artifact.size} bytes",
        _CHANGED_HINT,
    )  # fmt: skip


def too_short(address: Address, artifact: Artifact, kept: int) -> ModelSetError:
    """The error for a body that ends quietly before the file does."""
    return ModelSetError(
        "body-truncated",
        f"{public(address.url)}: {kept} of {artifact.size} bytes came",
        "run the same command again; it resumes",
    )


def mismatch(artifact: Artifact, address: Address, actual: str, *, changed: bool) -> ModelSetError:
    """The error for bytes of the right number and a wrong digest."""
    where = public(address.url)
    algorithm = artifact.digest.partition(":")[0]
    if changed:
        return ModelSetError(
            "object-changed",
            f"{where} was replaced between two tries: {algorithm}:{actual} now,"
            f" {artifact.digest} pinned",
            _CHANGED_HINT,
        )
    return ModelSetError(
        "digest-mismatch",
        f"{artifact.name} from {where} has {algorithm}:{actual}, {artifact.digest} is pinned",
        "run the same command again; if it persists, the source or a mirror serves wrong bytes",
    )
