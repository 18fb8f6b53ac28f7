"""Services that models are only called at: who has the key may list them."""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from urllib.parse import unquote

from modelset.demo.exchange import Ask, Reply, json_reply

KEY = "demo-key"

_MODELS = "/v1/models"
_CREATED = 1_700_000_000


def answer_openai(ask: Ask) -> Reply:
    """Answer a request under `/openai` or `/vsegpt`, which speak the same."""
    if not _is_key(ask.token):
        message = "Incorrect API key provided." if ask.token else "You didn't provide an API key."
        return _openai_error(401, message, "invalid_api_key" if ask.token else None)
    if ask.path == _MODELS:
        known = ("gpt-4o-mini", "tts-1", "whisper-1")
        return json_reply({"object": "list", "data": [_openai_model(name) for name in known]})
    name = unquote(ask.path.removeprefix(f"{_MODELS}/"))
    if not ask.path.startswith(f"{_MODELS}/") or not name:
        return _openai_error(404, f"Invalid URL ({ask.method} {ask.path})", None)
    return json_reply(_openai_model(name))


def answer_anthropic(ask: Ask) -> Reply:
    """Answer a request under `/anthropic`."""
    if not _is_key(ask.headers.get("x-api-key")):
        return _anthropic_error(401, "authentication_error", "invalid x-api-key")
    if ask.path != _MODELS:
        return _anthropic_error(404, "not_found_error", "Not found")
    name = "claude-sonnet-4-5"
    model = {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "2025-09-29T00:00:00Z",
    }
    return json_reply({"data": [model], "has_more": False, "first_id": name, "last_id": name})


def answer_elevenlabs(ask: Ask) -> Reply:
    """Answer a request under `/elevenlabs`."""
    if not _is_key(ask.headers.get("xi-api-key")):
        detail: object = {"status": "invalid_api_key", "message": "Invalid API key"}
        return json_reply({"detail": detail}, status=401)
    if ask.path != _MODELS:
        return json_reply({"detail": "Not Found"}, status=404)
    model = {"model_id": "eleven_multilingual_v2", "name": "Eleven Multilingual v2"}
    return json_reply([{**model, "can_do_text_to_speech": True, "languages": []}])


SERVICES: dict[str, Callable[[Ask], Reply]] = {
    "openai": answer_openai,
    "vsegpt": answer_openai,
    "anthropic": answer_anthropic,
    "elevenlabs": answer_elevenlabs,
}


def _is_key(given: str | None) -> bool:
    return compare_digest((given or "").encode(), KEY.encode())


def _openai_model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "system"}


def _openai_error(status: int, message: str, code: str | None) -> Reply:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return json_reply({"error": error}, status=status)


def _anthropic_error(status: int, kind: str, message: str) -> Reply:
    document = {"type": "error", "error": {"type": kind, "message": message}}
    return json_reply(document, status=status)
