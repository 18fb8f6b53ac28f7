"""Addresses that are good for a while, as content networks hand them out."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs paths with a secret of its own; a signature lasts `lifetime` seconds."""

    secret: bytes
    lifetime: float

    def query(self, path: str) -> str:
        """Return the query that opens a path from now on."""
        expires = f"{time.time() + self.lifetime:.3f}"
        return urlencode({"expires": expires, "sig": self._signature(path, expires)})

    def opens(self, path: str, query: str) -> bool:
        """Tell whether a query opens a path now."""
        fields = parse_qs(query)
        expires, given = fields.get("expires", [""])[0], fields.get("sig", [""])[0]
        if not hmac.compare_digest(given.encode(), self._signature(path, expires).encode()):
            return False
        return time.time() < float(expires)

    def _signature(self, path: str, expires: str) -> str:
        message = f"{path}\n{expires}".encode()
        return hmac.new(self.secret, message, hashlib.sha256).hexdigest()
