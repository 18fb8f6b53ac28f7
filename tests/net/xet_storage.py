"""A Hub whose files lie in Xet, on loopback: what the Hub tells, reconstructions, and xorbs.

The protocol is the one that hf_xet 1.8 asks for: `/v1/reconstructions/HASH` with a range names
chunks of xorbs and where their bytes lie; a xorb is a row of chunks, each with a header of eight
bytes (version, length as stored, way of compressing, length).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.faults.answers import File
from tests.faults.origin import Answer, Exchange, Origin

CHUNK = 100_000
CHUNKS_OF_XORB = 40
REVISION = "c0ffee" * 6 + "beef"
REPO = "acme/big"
STORAGE_TOKEN = "xet-read-only"


def digest(data: bytes) -> str:
    """The sha256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def document(content: object, headers: Mapping[str, str] = {}) -> Answer:
    """An answer of JSON."""
    body = json.dumps(content).encode()

    def answer(exchange: Exchange) -> None:
        head = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        exchange.head(200, {**head, **headers})
        exchange.body(body)

    return answer


def _stored(chunk: bytes) -> bytes:
    length = len(chunk).to_bytes(3, "little")
    return b"\0" + length + b"\0" + length + chunk


def _chunks(data: bytes) -> list[bytes]:
    return [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]


@dataclass(slots=True)
class XetHub:
    """One repository of the fake Hub; `add` puts a file into Xet and lists it."""

    origin: Origin
    rows: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.origin.serve(self.token_path, self.gives(STORAGE_TOKEN))

    @property
    def base(self) -> str:
        return self.origin.url + "/hf/"

    @property
    def listing_path(self) -> str:
        return f"/hf/api/models/{REPO}/tree/{REVISION}"

    @property
    def token_path(self) -> str:
        return f"/hf/api/models/{REPO}/xet-read-token/{REVISION}"

    def gives(self, token: str, endpoint: str = "") -> Answer:
        """The Hub's answer that names the storage and a token for it."""
        where = endpoint or self.origin.url
        return document({}, {"X-Xet-Cas-Url": where, "X-Xet-Access-Token": token})

    def url(self, name: str) -> str:
        """The address of a file."""
        return f"{self.base}{REPO}/resolve/{REVISION}/{name}"

    def hash_of(self, data: bytes) -> str:
        """A name for the file; hf_xet does not compare it with the bytes."""
        return digest(data[:1000] + str(len(data)).encode())

    def reconstruction_path(self, data: bytes) -> str:
        """Where hf_xet asks how a file is put together."""
        return f"/v1/reconstructions/{self.hash_of(data)}"

    def add(self, name: str, data: bytes) -> str:
        """Serve a file through Xet; returns its address."""
        self.list_row({"path": name, "size": len(data), "xetHash": self.hash_of(data)})
        chunks = _chunks(data)
        for at in range(0, len(chunks), CHUNKS_OF_XORB):
            xorb = b"".join(map(_stored, chunks[at : at + CHUNKS_OF_XORB]))
            self.origin.serve(self.xorb_path(data, at // CHUNKS_OF_XORB), File(xorb))
        self.origin.serve(self.reconstruction_path(data), self.reconstruct(data))
        return self.url(name)

    def xorb_path(self, data: bytes, number: int) -> str:
        """Where the bytes of one xorb lie."""
        return f"/xorbs/{self.hash_of(data)[:8]}/{number}"

    def list_row(self, row: dict[str, object]) -> None:
        """Let the Hub list a file."""
        self.rows.append({"type": "file", "oid": "0" * 40, **row})
        self.origin.serve(self.listing_path, document(self.rows))

    def reconstruct(self, data: bytes) -> Answer:
        """The answer that names the parts of a file's range."""
        chunks = _chunks(data)

        def answer(exchange: Exchange) -> None:
            text = exchange.request.headers.get("range", "bytes=0-").removeprefix("bytes=")
            first, _, last = text.partition("-")
            start, end = int(first), min(int(last or len(data)), len(data) - 1)
            low, high = start // CHUNK, end // CHUNK + 1
            terms: list[dict[str, object]] = []
            fetch: dict[str, object] = {}
            for number in range(low // CHUNKS_OF_XORB, (high - 1) // CHUNKS_OF_XORB + 1):
                base = number * CHUNKS_OF_XORB
                row = chunks[base : base + CHUNKS_OF_XORB]
                span = {"start": max(low - base, 0), "end": min(high - base, len(row))}
                name = digest(f"{number} of {self.hash_of(data)}".encode())
                inside = row[span["start"] : span["end"]]
                before = sum(len(chunk) + 8 for chunk in row[: span["start"]])
                length = sum(len(chunk) + 8 for chunk in inside)
                terms.append(
                    {"hash": name, "unpacked_length": sum(map(len, inside)), "range": span}
                )
                where = {
                    "range": span,
                    "url": self.origin.url + self.xorb_path(data, number) + "?signature=s1gned",
                    "url_range": {"start": before, "end": before + length - 1},
                }
                fetch[name] = [where]
            offset = start - low * CHUNK
            document({"offset_into_first_range": offset, "terms": terms, "fetch_info": fetch})(
                exchange
            )

        return answer
