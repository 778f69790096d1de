"""The users of the console, for an administrator, and everybody's own sessions."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stratum.frontend.shell import ApiRefusal, ask_plainly, form, page, path_part, see, send, visit_of

ROLES = ("viewer", "operator", "administrator")


async def users(request: Request) -> Response:
    """Everybody who has an account."""
    return await _users(request, error=None)


async def add_user(request: Request) -> Response:
    """Create an account with a first password, to be changed by its owner."""
    sent = await form(request)
    body = {name: sent.get(name, "") for name in ("name", "password", "role")}
    return await _change(request, "POST", "/users", body)


async def change_user(request: Request) -> Response:
    """Change the role, lock or unlock, or give a new password: whatever the form holds."""
    sent = await form(request)
    body: dict[str, object] = {name: sent[name] for name in ("role", "password") if sent.get(name)}
    if sent.get("disabled") in {"yes", "no"}:
        body["disabled"] = sent["disabled"] == "yes"
    return await _change(request, "PATCH", f"/users/{_id(request)}", body)


async def remove_user(request: Request) -> Response:
    """Remove an account; its sessions end at once."""
    return await _change(request, "DELETE", f"/users/{_id(request)}")


async def sessions(request: Request) -> Response:
    """Where this user is signed in."""
    visit = visit_of(request)
    if visit.user is not None and visit.user.read_only:
        return page(request, "sessions.html", sessions=[])
    return page(request, "sessions.html", sessions=(await ask_plainly(request, "/auth/sessions"))["sessions"])


async def end_session(request: Request) -> Response:
    """End one session."""
    await send(request, "DELETE", f"/auth/sessions/{path_part(request.path_params['session_id'])}")
    return see("/sessions")


async def end_all_sessions(request: Request) -> Response:
    """End all sessions, this one as well."""
    await send(request, "POST", "/auth/logout-everywhere")
    visit_of(request).sign_out()
    return see("/sign-in")


async def _change(request: Request, method: str, path: str, body: dict[str, Any] | None = None) -> Response:
    try:
        await send(request, method, path, body)
    except ApiRefusal as refusal:
        return await _users(request, error=refusal)
    return see("/users")


async def _users(request: Request, *, error: ApiRefusal | None) -> Response:
    """The list, with what was refused above it. A refusal of the list itself is a page of its own."""
    known = (await ask_plainly(request, "/users"))["users"]
    status, spoken = (error.status, error.error) if error else (200, None)
    return page(request, "users.html", status=status, users=known, roles=ROLES, error=spoken)


def _id(request: Request) -> str:
    return path_part(request.path_params["user_id"])


ROUTES = (
    Route("/users", users, methods=["GET"]),
    Route("/users", add_user, methods=["POST"]),
    Route("/users/{user_id}", change_user, methods=["POST"]),
    Route("/users/{user_id}/remove", remove_user, methods=["POST"]),
    Route("/sessions", sessions, methods=["GET"]),
    Route("/sessions/end-all", end_all_sessions, methods=["POST"]),
    Route("/sessions/{session_id}/end", end_session, methods=["POST"]),
)
