"""One function gives the sha256 of a file; lists of files write it in a form of their own."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from modelset.store.files import CHUNK
from modelset.store.records import record_digest, sha256_of


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK + 7])
def test_a_sum_is_that_of_hashlib(tmp_path: Path, size: int) -> None:
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    path = tmp_path / "file"
    path.write_bytes(body)
    digest = hashlib.sha256(body).digest()
    assert sha256_of(path) == sha256_of(str(path)) == digest.hex()
    encoded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert record_digest(str(path)) == f"sha256={encoded}"


def test_somebody_may_end_it_between_two_chunks(tmp_path: Path) -> None:
    class Enough(Exception):  # noqa: N818 - no error
        pass

    path, seen = tmp_path / "file", 0
    path.write_bytes(bytes(5 * CHUNK))

    def pause() -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise Enough

    with pytest.raises(Enough):
        sha256_of(path, pause)
    assert seen == 2


def test_what_cannot_be_read_is_an_error_or_nothing(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(OSError, match=r"directory"):
            sha256_of(path)
        assert record_digest(str(path)) == ""
