"""Asks a server of this project, for `modelset monitor`, whether it is ready."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from modelset.core.errors import KINDS, ModelSetError
from modelset.core.mirrors import Address, is_address, is_loopback
from modelset.core.ports import Get, Response, ask
from modelset.core.values import dataclass
from modelset.engine.guard import RunGuard
from modelset.model_set import ModelSet

# For the connection and the answer together; a timer that hangs is worse than one that fails.
_LONGEST_S = 10.0
# An answer is a few lines; of a page that somebody else sends, no more is read.
_LARGEST = 64 * 1024
_MOST_WORDS = 200


@dataclass(slots=True)
class _Question:
    """One GET kept in memory; the lanes of its transfer and its receiver at once."""

    address: Address
    asked: bool = False
    status: int = 0
    content: bytes = b""

    def next(self) -> Get | None:
        if self.asked:
            return None
        self.asked = True
        return ask(self.address, self, {"Accept": "application/json"})

    def ended(self, get: Get, error: Exception | None) -> None:
        if error is not None:
            raise error

    def head(self, response: Response) -> bool:
        self.status = response.status
        return True

    def body(self, pieces: list[bytes]) -> bool:
        self.content += b"".join(pieces)[: _LARGEST - len(self.content)]
        return len(self.content) < _LARGEST


def readiness_url(url: str) -> str:
    """Where a server says whether it is ready; raises `usage` or `address-refused`."""
    parts = urlsplit(url) if is_address(url) else None
    if parts is None or "@" in parts.netloc or parts.query or parts.fragment:
        # Not repeated: it may hold a password.
        hint = "such as http://127.0.0.1:8000, or https://models.example.org"
        raise ModelSetError("usage", "--server takes the address of a server, and no more", hint)
    if parts.scheme != "https" and not is_loopback(url):
        hint = "use its https address; plain http is for this machine itself"
        raise ModelSetError("address-refused", f"{url} is not https", hint)
    return url.rstrip("/").removesuffix("/readyz") + "/readyz"


def ask_server(models: ModelSet, url: str) -> dict[str, Any]:
    """What a server says: `exit_code` is 0 when it is ready, 4 when not, 5 when not reached."""
    question = _Question(Address(url))
    base = url.removesuffix("/readyz")
    try:
        with models.world() as world:
            world.places.wire.run(question, RunGuard(models.stop, _LONGEST_S))
    except ModelSetError as error:
        if models.stop.code:
            raise
        code = error.failure.code
        return _answer(url, 0, code, error.failure.message, _MEND.get(code, error.failure.hint))
    status = question.status
    if status == 200:
        return _answer(url, status, "", f"{base} is ready", "")
    said = _words_of(question.content)
    if status == 503:
        words = f"{base} is not ready" + (f": {said}" if said else "")
        return _answer(
            url, status, "model-missing", words, f"see {base}, or `modelset check` there"
        )
    words = f"{url} answers {status}" + (f": {said}" if said else "")
    return _answer(url, status, "bad-response", words, "check the address, and what listens there")


_MEND = {
    "network-unreachable": "see whether it runs: `systemctl status modelset`, or its logs",
    "connect-timeout": "see whether it runs, and what is between it and this machine",
    "deadline": f"it did not answer within {_LONGEST_S:.0f} s: see its logs",
}


def _answer(url: str, status: int, code: str, words: str, mend: str) -> dict[str, Any]:
    return {
        "url": url,
        "status": status,
        "ready": not code,
        "exit_code": KINDS[code].exit_code if code else 0,
        "code": code,
        "words": words,
        "mend": mend,
    }


def _words_of(content: bytes) -> str:
    """What an answer says of itself, as one line that can do no harm to a terminal."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(document, Mapping):
        return ""
    missing = document.get("missing")
    if isinstance(missing, list) and missing and all(isinstance(key, str) for key in missing):
        said = f"{', '.join(missing)} missing"
    else:
        texts = [document.get(name) for name in ("detail", "title", "status")]
        said = next((one for one in texts if isinstance(one, str) and one), "")
    return "".join(one if one.isprintable() else " " for one in said[:_MOST_WORDS]).strip()
