"""Every failure as a page, or a piece of one, with the three parts in the reader's language."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from stratum.core.errors import ExitCode, StratumError
from stratum.frontend.api_client import ApiRefusal, refusal_of
from stratum.frontend.shell import SignInNeeded, fragment, page, see, visit_of

_LOG = logging.getLogger(__name__)
_STATUS = {"no-such-page": 404, "form-not-ours": 403, "form-too-large": 413, "page-failed": 500}
_BY_EXIT = {ExitCode.USAGE: 400, ExitCode.REFUSED: 409, ExitCode.LOCKED: 423}


async def show_refusal(request: Request, error: Exception) -> Response:
    """What the API said, as it said it."""
    assert isinstance(error, ApiRefusal)  # noqa: S101  (Starlette calls a handler with its own kind only)
    headers = {"retry-after": error.retry_after} if error.retry_after else {}
    if _is_piece(request):
        html = fragment(request, "_failure.html", error=error.error)
        # htmx shows only answers of success: the piece says itself what failed.
        return HTMLResponse(html, headers=headers)
    answer = page(request, "error.html", status=error.status, error=error.error)
    answer.headers.update(headers)
    return answer


async def show_error(request: Request, error: Exception) -> Response:
    """An error of the pages' own."""
    assert isinstance(error, StratumError)  # noqa: S101  (the same)
    status = _STATUS.get(error.code) or _BY_EXIT.get(error.exit, 500)
    return await show_refusal(request, refusal_of(error, visit_of(request).language, status=status))


async def show_http_error(request: Request, error: Exception) -> Response:
    """An address or a method that does not exist."""
    assert isinstance(error, HTTPException)  # noqa: S101  (the same)
    answer = await show_error(request, StratumError("no-such-page"))
    if answer.status_code == 404:
        answer.status_code = error.status_code
    return answer


async def show_fault(request: Request, error: Exception) -> Response:
    """A fault of the frontend: told in the log, never on the page."""
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return await show_error(request, StratumError("page-failed"))


async def ask_to_sign_in(request: Request, error: Exception) -> Response:  # noqa: ARG001  (Starlette's signature)
    """To the sign-in, and back to the page afterwards."""
    visit = visit_of(request)
    if visit.user is not None:
        visit.sign_out()
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = {"next": target} if request.method == "GET" and target != "/" else {}
    answer = see("/sign-in", **back)
    if _is_piece(request):
        # A piece of a page cannot be a sign-in: the whole page goes there. (https://htmx.org/reference/#response_headers)
        return Response(headers={"hx-redirect": answer.headers["location"]})
    return answer


def refuse(scope: Scope, error: StratumError) -> ASGIApp:
    """The answer to a request that reaches no page."""

    async def answer(_: Scope, receive: Receive, send: Send) -> None:
        await (await show_error(Request(scope), error))(scope, receive, send)

    return answer


def _is_piece(request: Request) -> bool:
    return request.headers.get("hx-request") == "true"


HANDLERS = {
    ApiRefusal: show_refusal,
    SignInNeeded: ask_to_sign_in,
    StratumError: show_error,
    HTTPException: show_http_error,
}
