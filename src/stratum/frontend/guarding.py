"""What stands before and after every page: the headers, the cookies, and the check of each form."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stratum.core.errors import StratumError
from stratum.frontend.csrf import is_same_origin
from stratum.frontend.sessions import Visit

MOST_BYTES = 1024 * 1024
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_BODY_SECONDS = 30.0
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: with it browsers send `Origin: null` with the console's own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}

Refuse = Callable[[Scope, StratumError], ASGIApp]


class Guarded:
    """Gives each request its `Visit` and each answer its headers; lets no unchecked form reach a page."""

    def __init__(self, app: ASGIApp, *, secret: str, previous: str | None = None, refuse: Refuse) -> None:
        self._app, self._secret, self._previous, self._refuse = app, secret, previous, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        secure = scope.get("scheme") == "https"
        visit = Visit(headers, secret=self._secret, previous=self._previous, secure=secure)
        state = scope.setdefault("state", {})
        state["visit"] = visit
        answer = _answering(scope, send, visit)
        if scope["method"] in _SAFE:
            await self._app(scope, receive, answer)
            return
        try:
            state["form"] = _checked(await _read(headers, receive), headers, visit)
        except StratumError as error:
            await self._refuse(scope, error)(scope, receive, answer)
            return
        await self._app(scope, receive, answer)


def _answering(scope: Scope, send: Send, visit: Visit) -> Callable[[Message], Awaitable[None]]:
    async def answer(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if not scope["path"].startswith("/static/"):
                headers.setdefault("cache-control", "no-store")
                message["headers"] = [*message["headers"], *visit.headers()]
        await send(message)

    return answer


async def _read(headers: Headers, receive: Receive) -> bytes:
    """The form's body. Raises `form-too-large`, and `form-not-ours` for one that does not arrive."""
    if int(headers.get("content-length", "0") or 0) > MOST_BYTES:
        raise StratumError("form-too-large")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while (message := await receive())["type"] == "http.request":
                body += message.get("body", b"")
                if len(body) > MOST_BYTES:
                    raise StratumError("form-too-large")
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise StratumError("form-not-ours") from None
    return bytes(body)


def _checked(body: bytes, headers: Headers, visit: Visit) -> dict[str, str]:
    """The form's fields. Raises `form-not-ours` for one of another site, session or kind."""
    kind = headers.get("content-type", "application/x-www-form-urlencoded").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded" or not is_same_origin(headers):
        raise StratumError("form-not-ours")
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200, errors="strict"))
    except ValueError:
        raise StratumError("form-not-ours") from None
    if not visit.sent_from_here(fields.get("csrf", "") or headers.get("x-csrf-token", "")):
        raise StratumError("form-not-ours")
    return fields
