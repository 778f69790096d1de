"""The one shape of every error the backend answers with: three parts, in the language the reader asked for."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stratum.adapters.messages import speak_error, speaking
from stratum.adapters.over_http import parse_languages, status_of
from stratum.adapters.records import to_json
from stratum.core.answers import ErrorAnswer
from stratum.core.errors import StratumError

MOST_BYTES = 1024 * 1024
"""The largest body taken; the largest one that makes sense has a few hundred bytes."""

_BY_CODE: dict[str, int] = {
    "malformed-request": 422,
    "unknown-address": 404,
    "method-not-allowed": 405,
    "body-too-large": 413,
    "sign-in-needed": 401,
    "wrong-sign-in": 401,
    "token-expired": 401,
    "token-refused": 401,
    "session-ended": 401,
    "refresh-token-reused": 401,
    "role-too-low": 403,
    "first-run-token-refused": 403,
    "console-token-refused": 403,
    "too-many-tries": 429,
    "password-too-weak": 422,
    "token-epoch-unknown": 503,
    "console-database-down": 503,
    "agent-unreachable": 503,
}
_MEANING: dict[int, str] = {
    400: "What was asked for cannot be understood",
    401: "No valid sign-in",
    403: "The role, or the token, does not allow it",
    404: "There is no such thing",
    405: "The address does not take this method",
    409: "A guard refused it",
    413: "The body is too large",
    422: "The request is not understood",
    423: "Another plan holds the stack's lock",
    429: "Too many tries; `Retry-After` says how many seconds to wait",
    500: "It failed; `data` says what that means for the data",
    503: "The console's database or the agent does not answer",
}
_LOG = logging.getLogger("stratum.backend")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these error statuses."""
    return {status: {"model": ErrorAnswer, "description": _MEANING[status]} for status in statuses}


def languages_of(request: Request) -> tuple[str, ...]:
    """The languages the reader wants; English where nothing is asked for."""
    return parse_languages(request.headers.get("accept-language", "")) or ("en",)


def answer_error(request: Request, error: StratumError, headers: dict[str, str] | None = None) -> Response:
    """The error as the response's body, with the status its code stands for."""
    with speaking(languages_of(request)):
        body = to_json(ErrorAnswer(error=speak_error(error)))
    told = {"Cache-Control": "no-store", "Vary": "Accept-Language", **(headers or {})}
    if error.code == "too-many-tries":
        told["Retry-After"] = error.details["seconds"]
    status = status_of(error, _BY_CODE)
    if status == 401:
        told["WWW-Authenticate"] = "Bearer"
    return Response(body, status, told, media_type="application/json")


def refuse_unknown_parameters(request: Request) -> None:
    """A misspelt parameter is a misunderstanding like a misspelt field: `?limti=5` must not pass for no limit.

    A dependency of every route. Raises `malformed-request`.
    """
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            raise StratumError("malformed-request", where=f"query.{name[:60]!a}", problem="nothing is called so")


def speak_in_one_shape(app: FastAPI) -> None:
    """Make every error of `app`, whoever raised it, an ErrorAnswer."""
    app.add_exception_handler(StratumError, _refusal)
    app.add_exception_handler(RequestValidationError, _misunderstanding)
    app.add_exception_handler(HTTPException, _of_the_framework)
    for kind in (OperationalError, InterfaceError, PoolTimeoutError):
        app.add_exception_handler(kind, _database_down)
    app.add_exception_handler(Exception, _fault)


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, StratumError)  # noqa: S101  the handler is registered for nothing else
    return answer_error(request, error)


async def _misunderstanding(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  the handler is registered for nothing else
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return answer_error(request, StratumError("malformed-request", where=where[:200], problem=first["msg"][:300]))


async def _of_the_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  the handler is registered for nothing else
    path = request.url.path[:200]
    if error.status_code == 404:
        return answer_error(request, StratumError("unknown-address", path=path))
    if error.status_code == 405:
        refused = StratumError("method-not-allowed", path=path, method=request.method)
        return answer_error(request, refused, {"Allow": ", ".join(_methods_of(request)) or "GET"})
    if error.status_code == 413:
        return answer_error(request, StratumError("body-too-large", most=MOST_BYTES))
    return answer_error(request, StratumError("malformed-request", where="body", problem=error.detail))


def _methods_of(request: Request) -> list[str]:
    """Every method of the address; the framework names those of the first route that has it."""
    path = request.url.path
    known = request.app.openapi()["paths"].items()
    return sorted({way.upper() for place, ways in known if _fits(place, path) for way in ways})


def _fits(place: str, path: str) -> bool:
    pieces, given = place.split("/"), path.split("/")
    same = (piece.startswith("{") or piece == part for piece, part in zip(pieces, given, strict=False))
    return len(pieces) == len(given) and all(same)


async def _database_down(request: Request, error: Exception) -> Response:
    _LOG.warning("the console's database does not answer: %s", _first_line(error))
    return answer_error(request, StratumError("console-database-down"))


def _first_line(error: Exception) -> str:
    """The driver's own words; SQLAlchemy's add the statement and its values, which may be a person's."""
    inner = error.orig if isinstance(error, DBAPIError) else error
    return (str(inner).splitlines() or [type(error).__name__])[0]


async def _fault(request: Request, error: Exception) -> Response:
    """The kind of the error only: its text may quote what it worked on. The log has the whole of it."""
    return answer_error(request, StratumError("unexpected", problem=type(error).__name__))


class BodyLimit:
    """Refuses a body of more than MOST_BYTES, whether its length is announced or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _announced_length(scope) > MOST_BYTES:
            refusal = answer_error(Request(scope), StratumError("body-too-large", most=MOST_BYTES))
            await refusal(scope, receive, send)
            return
        await self._app(scope, _counted(receive), send)


def _announced_length(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _counted(receive: Receive) -> Receive:
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            # FastAPI turns every other error that comes out of reading a body into 400.
            raise HTTPException(413)
        return message

    return counting
