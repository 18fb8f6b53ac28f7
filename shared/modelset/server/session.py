"""Routes of a session: the page gives the token once, and gets a cookie for it."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from modelset.server.access import COOKIE, client_of
from modelset.server.models import Own
from modelset.server.shapes import Credentials

router = APIRouter(prefix="/v1/session", tags=["session"])


@router.post("", status_code=204)
async def post_session(request: Request, service: Own, credentials: Credentials) -> Response:
    """Open a session with the token of the server."""
    name = service.access.open_session(credentials.token, client_of(request.scope))
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE, name, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return response


@router.delete("", status_code=204)
async def delete_session(request: Request, service: Own) -> Response:
    """End the session."""
    service.access.close_session(request.scope)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE)
    return response
