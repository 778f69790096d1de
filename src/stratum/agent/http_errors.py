"""The one shape of every error the agent answers with, and what is refused before a request is looked at."""

from __future__ import annotations

import hashlib
import hmac
import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stratum.adapters.messages import speak_error, speaking
from stratum.adapters.over_http import parse_languages, status_of
from stratum.adapters.records import to_json
from stratum.core.answers import ErrorAnswer
from stratum.core.errors import StratumError

MOST_BYTES = 64 * 1024
"""The largest body taken; the largest one that makes sense has a few hundred bytes."""

_BY_CODE = {
    "unknown-address": 404,
    "agent-secret-refused": 401,
    "console-token-refused": 403,
    "method-not-allowed": 405,
    "body-too-large": 413,
    "malformed-request": 422,
    "too-many-jobs": 429,
    "agent-stopping": 503,
}
_log = logging.getLogger("stratum.agent")


def languages_of(request: Request) -> tuple[str, ...]:
    """The languages the reader wants; English where nothing is asked for."""
    return parse_languages(request.headers.get("accept-language", "")) or ("en",)


def answer_error(request: Request, error: StratumError) -> Response:
    """The error as the response's body, in the reader's language."""
    with speaking(languages_of(request)):
        body = to_json(ErrorAnswer(error=speak_error(error)))
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Language"}
    return Response(body, status_of(error, _BY_CODE), headers, media_type="application/json")


async def answer_refusal(request: Request, error: Exception) -> Response:
    """For StratumError, wherever it comes from."""
    assert isinstance(error, StratumError)  # noqa: S101  the handler is registered for nothing else
    return answer_error(request, error)


async def answer_framework(request: Request, error: Exception) -> Response:
    """For what the routing itself refuses."""
    assert isinstance(error, HTTPException)  # noqa: S101  the handler is registered for nothing else
    path = request.url.path[:200]
    if error.status_code == 404:
        return answer_error(request, StratumError("unknown-address", path=path))
    if error.status_code == 405:
        answer = answer_error(request, StratumError("method-not-allowed", path=path, method=request.method))
        answer.headers.update(dict(error.headers or {}))
        return answer
    return answer_error(request, StratumError("malformed-request", where="request", problem=error.detail))


async def answer_fault(request: Request, error: Exception) -> Response:
    """A fault of our own: its kind only, as its text may quote what it worked on. The log has the whole of it."""
    return answer_error(request, StratumError("unexpected", problem=type(error).__name__))


class Door:
    """Lets in who knows the secret, and no body larger than any request needs. Only /health is open."""

    def __init__(self, app: ASGIApp, *, secret: str) -> None:
        self._app = app
        self._secret = _digest(secret.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refused := self._refusal(scope)) is not None:
            await answer_error(Request(scope), refused)(scope, receive, send)
            return
        await self._app(scope, _counted(receive) if scope["type"] == "http" else receive, send)

    def _refusal(self, scope: Scope) -> StratumError | None:
        headers = dict(scope["headers"])
        if scope["path"] != "/health" and not self._knows_the_secret(headers.get(b"authorization", b"")):
            return StratumError("agent-secret-refused")
        length = headers.get(b"content-length", b"0")
        too_large = length.isdigit() and int(length) > MOST_BYTES
        return StratumError("body-too-large", most=MOST_BYTES) if too_large else None

    def _knows_the_secret(self, given: bytes) -> bool:
        scheme, _, secret = given.partition(b" ")
        # Digests have one length, so that the time of the comparison says nothing of the secret's.
        return hmac.compare_digest(_digest(secret.strip()), self._secret) and scheme.lower() == b"bearer"


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _counted(receive: Receive) -> Receive:
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            raise StratumError("body-too-large", most=MOST_BYTES)
        return message

    return counting
