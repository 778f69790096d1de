"""Who may in: sign-in, first run, console token, password, sign-out, and the reader's choices."""

from __future__ import annotations

import contextlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stratum.frontend.api_client import read_json
from stratum.frontend.language import LANGUAGES
from stratum.frontend.sessions import THEMES, parse_tokens
from stratum.frontend.shell import (
    ApiRefusal,
    SignInNeeded,
    form,
    local_path,
    page,
    see,
    send,
    send_unsigned,
    visit_of,
)


async def sign_in_page(request: Request) -> Response:
    """The sign-in; on a console without users, the first run."""
    back = local_path(request.query_params.get("next"))
    if visit_of(request).user is not None:
        return see(back)
    if await _first_run_needed(request):
        return see("/first-run")
    return page(request, "sign-in.html", back=back, name="", error=None)


async def sign_in(request: Request) -> Response:
    """Sign in with name and password."""
    sent = await form(request)
    back, name = local_path(sent.get("next")), sent.get("name", "")
    try:
        answer = await send_unsigned(
            request, "POST", "/auth/login", {"name": name, "password": sent.get("password", "")}
        )
    except ApiRefusal as refusal:
        return _again(request, "sign-in.html", refusal, back=back, name=name)
    return _enter(request, read_json(answer, visit_of(request).language), back)


async def first_run_page(request: Request) -> Response:
    """Where the first administrator is created."""
    if not await _first_run_needed(request):
        return see("/sign-in")
    return page(request, "first-run.html", name="", error=None)


async def first_run(request: Request) -> Response:
    """Create the first administrator with the one-time token."""
    sent = await form(request)
    name = sent.get("name", "")
    body = {"token": sent.get("token", "").strip(), "name": name, "password": sent.get("password", "")}
    try:
        answer = await send_unsigned(request, "POST", "/auth/first-run", body)
    except ApiRefusal as refusal:
        return _again(request, "first-run.html", refusal, name=name)
    return _enter(request, read_json(answer, visit_of(request).language), "/")


async def console_token_page(request: Request) -> Response:
    """The sign-in for when the database is down."""
    return page(request, "console-token.html", error=None)


async def console_token(request: Request) -> Response:
    """Sign in, to read only, with what `stratum console-token` printed."""
    sent = await form(request)
    try:
        answer = await send_unsigned(request, "POST", "/auth/console-token", {"token": sent.get("token", "").strip()})
    except ApiRefusal as refusal:
        return _again(request, "console-token.html", refusal)
    return _enter(request, read_json(answer, visit_of(request).language), "/", read_only=True)


async def sign_out(request: Request) -> Response:
    """End this session, here also when the backend cannot be told."""
    visit = visit_of(request)
    with contextlib.suppress(ApiRefusal, SignInNeeded):
        await send(request, "POST", "/auth/logout")
    visit.sign_out()
    return see("/sign-in")


async def password_page(request: Request) -> Response:
    """Where the password is changed."""
    _signed_in(request)
    return page(request, "password.html", error=None, changed=request.query_params.get("changed") == "yes")


async def password(request: Request) -> Response:
    """Change the password; the other sessions end."""
    _signed_in(request)
    sent = await form(request)
    body = {"current_password": sent.get("current_password", ""), "new_password": sent.get("new_password", "")}
    try:
        await send(request, "POST", "/auth/password", body)
    except ApiRefusal as refusal:
        return _again(request, "password.html", refusal, changed=False)
    return see("/password", changed="yes")


async def preferences(request: Request) -> Response:
    """Keep the reader's language or light, and go back to the page."""
    sent = await form(request)
    language, theme = sent.get("language"), sent.get("theme")
    visit_of(request).choose(
        language=language if language in LANGUAGES else None, theme=theme if theme in THEMES else None
    )
    return see(local_path(sent.get("next")))


async def _first_run_needed(request: Request) -> bool:
    """Whether there is no user yet. A backend that cannot say is no reason to hide the sign-in."""
    try:
        answer = read_json(await send_unsigned(request, "GET", "/auth/first-run"), visit_of(request).language)
    except ApiRefusal:
        return False
    return answer.get("needed") is True


def _enter(request: Request, answer: dict[str, object], back: str, *, read_only: bool = False) -> Response:
    visit_of(request).sign_in(parse_tokens(answer, read_only=read_only))
    return see(back)


def _again(request: Request, template: str, refusal: ApiRefusal, **context: object) -> Response:
    """The same form with what was wrong; what was typed into it stays, but never a password or a token."""
    answer = page(request, template, status=refusal.status, error=refusal.error, **context)
    if refusal.retry_after:
        answer.headers["retry-after"] = refusal.retry_after
    return answer


def _signed_in(request: Request) -> None:
    if visit_of(request).user is None:
        raise SignInNeeded


ROUTES = (
    Route("/sign-in", sign_in_page, methods=["GET"]),
    Route("/sign-in", sign_in, methods=["POST"]),
    Route("/first-run", first_run_page, methods=["GET"]),
    Route("/first-run", first_run, methods=["POST"]),
    Route("/console-token", console_token_page, methods=["GET"]),
    Route("/console-token", console_token, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
    Route("/password", password_page, methods=["GET"]),
    Route("/password", password, methods=["POST"]),
    Route("/preferences", preferences, methods=["POST"]),
)
