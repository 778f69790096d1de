"""The routes of signing in and out, and of one's own sessions and password."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from stratum.backend import first_run, sessions, users
from stratum.backend.callers import identity_of, require
from stratum.backend.errors import documented
from stratum.backend.events import visitor_of
from stratum.backend.names import UserName
from stratum.backend.roles import Caller, Role
from stratum.core.errors import StratumError

STRICT = ConfigDict(extra="forbid")
"""A field nobody knows is a misunderstanding: it is refused, and not passed over."""

Password = Annotated[str, Field(min_length=1, max_length=1000)]
OpaqueToken = Annotated[str, Field(min_length=1, max_length=500)]
AnyCaller = Annotated[Caller, Depends(require(Role.VIEWER))]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FirstRunRequest:
    """The one-time token of the log, and who the first administrator is."""

    token: OpaqueToken
    name: UserName
    password: Password


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SignInRequest:
    """A name and its password."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    password: Password


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ConsoleTokenRequest:
    """A token of `stratum console-token`."""

    token: OpaqueToken


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RefreshRequest:
    """The newest refresh token."""

    refresh_token: OpaqueToken


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PasswordChange:
    """One's own password, and the next one."""

    current_password: Password
    new_password: Password


@dataclass(frozen=True, kw_only=True)
class FirstRunAnswer:
    """Whether the first administrator is still to be made."""

    needed: bool


@dataclass(frozen=True, kw_only=True)
class Me:
    """Whoever asks."""

    id: UUID | None
    name: str
    role: Role
    read_only: bool
    """A console-token session."""


@dataclass(frozen=True, kw_only=True)
class SessionsAnswer:
    """One's sessions that have not ended."""

    sessions: tuple[sessions.SessionSummary, ...]


def auth_router() -> APIRouter:
    """Every route under /auth."""
    router = APIRouter(prefix="/auth", tags=["auth"])
    _add_sign_ins(router)
    _add_own_account(router)
    _add_own_sessions(router)
    return router


def _add_sign_ins(router: APIRouter) -> None:
    refusals: dict[str, Any] = {"responses": documented(401, 429)}

    @router.get("/first-run")
    def observe_first_run(request: Request) -> FirstRunAnswer:
        """Whether there is no administrator yet."""
        return FirstRunAnswer(needed=first_run.is_needed(identity_of(request)))

    @router.post("/first-run", responses=documented(403, 409, 429))
    def finish_first_run(request: Request, response: Response, body: FirstRunRequest) -> sessions.TokensAnswer:
        """Make the first administrator with the one-time token that the backend's log shows, and sign in."""
        _keep_nowhere(response)
        return first_run.make_first_administrator(
            identity_of(request), visitor_of(request), token=body.token, name=body.name, password=body.password
        )

    @router.post("/login", **refusals)
    def sign_in(request: Request, response: Response, body: SignInRequest) -> sessions.TokensAnswer:
        """Sign in with a name and its password."""
        _keep_nowhere(response)
        return sessions.sign_in(identity_of(request), visitor_of(request), body.name, body.password)

    @router.post("/console-token", responses=documented(403, 429))
    def sign_in_by_console_token(
        request: Request, response: Response, body: ConsoleTokenRequest
    ) -> sessions.TokensAnswer:
        """Sign in for 30 minutes, to read only, with a token of `stratum console-token`: this needs no database."""
        _keep_nowhere(response)
        return sessions.sign_in_by_console_token(identity_of(request), visitor_of(request), body.token)

    @router.post("/refresh", responses=documented(401))
    def refresh(request: Request, response: Response, body: RefreshRequest) -> sessions.TokensAnswer:
        """New tokens for the newest refresh token. One that was used before ends the whole session."""
        _keep_nowhere(response)
        return sessions.refresh(identity_of(request), visitor_of(request), body.refresh_token)


def _add_own_account(router: APIRouter) -> None:
    @router.get("/me", responses=documented(401))
    def observe_me(caller: AnyCaller) -> Me:
        """Who this access token speaks for."""
        return Me(id=caller.user_id, name=caller.name, role=caller.role, read_only=caller.read_only)

    @router.post("/password", status_code=204, responses=documented(401, 403, 429))
    def change_password(request: Request, caller: AnyCaller, body: PasswordChange) -> None:
        """Change one's own password; every other session of one's own ends."""
        _refuse_read_only(caller)
        users.change_own_password(
            identity_of(request), visitor_of(request), caller, current=body.current_password, new=body.new_password
        )


def _add_own_sessions(router: APIRouter) -> None:
    @router.post("/logout", status_code=204, responses=documented(401, 404))
    def sign_out(request: Request, caller: AnyCaller) -> None:
        """End this session. A console-token session is known nowhere: its token is to be forgotten."""
        if caller.session_id is not None:
            sessions.end_session(identity_of(request), visitor_of(request), caller, caller.session_id)

    @router.post("/logout-everywhere", status_code=204, responses=documented(401))
    def sign_out_everywhere(request: Request, caller: AnyCaller) -> None:
        """End every session of one's own, this one too."""
        sessions.end_all_sessions(identity_of(request), visitor_of(request), caller)

    @router.get("/sessions", responses=documented(401))
    def list_sessions(request: Request, caller: AnyCaller) -> SessionsAnswer:
        """One's own sessions that have not ended, the one used last first."""
        found = sessions.list_sessions(identity_of(request), caller) if caller.user_id else ()
        return SessionsAnswer(sessions=found)

    @router.delete("/sessions/{session_id}", status_code=204, responses=documented(401, 403, 404))
    def end_session(request: Request, caller: AnyCaller, session_id: UUID) -> None:
        """End one of one's own sessions."""
        _refuse_read_only(caller)
        sessions.end_session(identity_of(request), visitor_of(request), caller, session_id)


def _keep_nowhere(response: Response) -> None:
    """Tokens belong into no cache (RFC 6749, 5.1)."""
    response.headers["Cache-Control"] = "no-store"


def _refuse_read_only(caller: Caller) -> None:
    if caller.read_only:
        raise StratumError("role-too-low", needed="user with an account", name=caller.name, role=caller.role)
