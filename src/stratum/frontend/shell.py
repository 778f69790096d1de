"""What every page uses: ask the API for the one who visits, show a page, read a form, send the browser on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import httpx
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from stratum.adapters.records import parse
from stratum.core.errors import StratumError
from stratum.core.job import Job
from stratum.frontend.api_client import Api, ApiRefusal, Asker, read_json, refusal_of
from stratum.frontend.sessions import SharedRefresh, Tokens, Visit
from stratum.frontend.settings import FrontendSettings
from stratum.frontend.templating import templates

__all__ = [
    "ApiRefusal",
    "SignInNeeded",
    "ask",
    "ask_plainly",
    "form",
    "fragment",
    "listen",
    "local_path",
    "open_stream",
    "order",
    "page",
    "path_part",
    "see",
    "send",
    "send_for",
    "send_unsigned",
    "visit_of",
]

T = TypeVar("T")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class SignInNeeded(Exception):
    """Nobody is signed in, or the session has ended."""


def visit_of(request: Request) -> Visit:
    """This request's cookies, language and user."""
    return cast("Visit", request.scope["state"]["visit"])


def settings_of(request: Request) -> FrontendSettings:
    return cast("FrontendSettings", request.app.state.settings)


# --- asking the API -------------------------------------------------------------------------------------------------


async def ask(request: Request, path: str, kind: type[T]) -> T:
    """Read a record. Raises `ApiRefusal`, or `SignInNeeded` when the session is over."""
    return await send_for(request, "GET", path, kind)


async def ask_plainly(request: Request, path: str) -> dict[str, Any]:
    """Read a JSON object that no record of `core` describes."""
    return read_json(await send(request, "GET", path), visit_of(request).language)


async def send_for(
    request: Request, method: str, path: str, kind: type[T], body: Mapping[str, object] | None = None
) -> T:
    """Send, and read the record that comes back."""
    answer = await send(request, method, path, body)
    try:
        return parse(kind, answer.content, file=f"the API's answer to {path.partition('?')[0]}")
    except StratumError as error:
        raise _unreadable(request, error) from None


async def order(request: Request, path: str, body: Mapping[str, object] | None = None) -> Job:
    """Order work on data; the answer is the job that does it."""
    return await send_for(request, "POST", path, Job, body)


async def send(request: Request, method: str, path: str, body: Mapping[str, object] | None = None) -> httpx.Response:
    """Send as the one who visits; an expired access token is renewed on the way."""
    return await _signed(request, lambda asker: _api(request).call(asker, method, path, body))


async def listen(request: Request, path: str) -> AsyncIterator[str]:
    """Listen to a stream of events; each has the data of one."""
    return await _signed(request, lambda asker: _api(request).events(asker, path))


async def open_stream(request: Request, path: str) -> httpx.Response:
    """Begin to read a long answer; close it with `aclose`."""
    return await _signed(request, lambda asker: _api(request).stream(asker, path))


async def send_unsigned(
    request: Request, method: str, path: str, body: Mapping[str, object] | None = None
) -> httpx.Response:
    """Send as nobody in particular: to sign in, for example."""
    return await _api(request).call(_asker(request, None), method, path, body)


async def _signed(request: Request, call: Callable[[Asker], Awaitable[T]]) -> T:
    visit = visit_of(request)
    if visit.user is None:
        raise SignInNeeded
    if visit.access is None:
        await _renew(request)
    used = visit.access
    try:
        return await call(_asker(request, used))
    except ApiRefusal as refusal:
        if refusal.error.code not in _TOKEN_IS_OVER:
            raise
    # Another part of the same page may have renewed it meanwhile.
    if visit.access == used:
        await _renew(request)
    try:
        return await call(_asker(request, visit.access))
    except ApiRefusal as refusal:
        if refusal.error.code in _TOKEN_IS_OVER:
            raise SignInNeeded from None
        raise


_TOKEN_IS_OVER = frozenset({"sign-in-needed", "token-expired", "token-refused", "session-ended"})
"""What a new access token may mend. A wrong password typed into a form is answered by another code."""


async def _renew(request: Request) -> None:
    visit = visit_of(request)
    if visit.refresh is None:
        raise SignInNeeded
    shared = cast("SharedRefresh", request.app.state.shared_refresh)
    try:
        tokens: Tokens = await shared.successor(visit.refresh, visit.language)
    except ApiRefusal as refusal:
        if refusal.status in {400, 401, 403}:
            raise SignInNeeded from None
        raise
    visit.keep(tokens)


def _api(request: Request) -> Api:
    return cast("Api", request.app.state.api)


def _asker(request: Request, access: str | None) -> Asker:
    return Asker(
        language=visit_of(request).language,
        access=access,
        address=request.client.host if request.client else None,
        agent=request.headers.get("user-agent", "")[:300] or None,
    )


def _unreadable(request: Request, error: StratumError) -> ApiRefusal:
    problem = error.details.get("problem", error.message)
    return refusal_of(StratumError("console-unreachable", problem=problem), visit_of(request).language, status=502)


# --- answering the browser ------------------------------------------------------------------------------------------


def page(request: Request, template: str, *, status: int = 200, **context: object) -> Response:
    """A page in the reader's language, never kept by a cache."""
    return HTMLResponse(fragment(request, template, **context), status_code=status)


def fragment(request: Request, template: str, **context: object) -> str:
    """A template filled in with what every page knows and with this page's own values."""
    visit = visit_of(request)
    known = _known(request, visit)
    return templates(visit.language).get_template(template).render(known | context)


def _known(request: Request, visit: Visit) -> dict[str, Any]:
    user = visit.user
    return {
        "csrf": visit.csrf,
        "user": user,
        "can_operate": user is not None and not user.read_only and user.role in {"operator", "administrator"},
        "can_administer": user is not None and not user.read_only and user.role == "administrator",
        "language": visit.language,
        "theme": visit.theme,
        "now": datetime.now(UTC),
        "path": request.url.path,
        "full_path": _full_path(request),
    }


def _full_path(request: Request) -> str:
    """Where the reader is, to come back to; a form's target is no place to come back to."""
    if request.method not in {"GET", "HEAD"}:
        return "/"
    query = request.url.query
    return local_path(request.url.path + (f"?{query}" if query else ""))


async def form(request: Request) -> dict[str, str]:
    """What the form sent; its token was checked before any page saw it."""
    return cast("dict[str, str]", request.scope["state"]["form"])


def see(path: str, **query: str) -> Response:
    """Send the browser to one of the console's own pages."""
    return RedirectResponse(local_path(path) + (f"?{urlencode(query)}" if query else ""), status_code=303)


def local_path(text: str | None) -> str:
    r"""A path of this console, or its first page: nothing leads away from here.

    Browsers read `//host` and `/\host` as another host. (https://url.spec.whatwg.org/#relative-state)
    """
    plain = text is not None and text.isprintable() and "\\" not in text
    return text if text and plain and text.startswith("/") and not text.startswith("//") else "/"


def path_part(text: str) -> str:
    """An id as one part of an API path; anything that no id can be is an unknown page."""
    if not _PART.fullmatch(text):
        raise StratumError("no-such-page")
    return quote(text, safe="")
