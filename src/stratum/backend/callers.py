"""Who asks: reads the access token of a request, and holds the request to the role it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import State
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stratum.backend.identity import Identity
from stratum.backend.roles import Caller, Role
from stratum.core.errors import StratumError

_PATIENCE_S = 6.0
"""Longer than asking an agent that hangs for the token epoch, and then connecting to the database, may take."""
_BEARER = HTTPBearer(auto_error=False, description="The access token of a sign-in.")


def identity_of(request: Request) -> Identity:
    """The application's sign-ins, users and sessions."""
    return cast("Identity", request.app.state.identity)


async def observe_caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> Caller:
    """Who sent this request; raises `sign-in-needed`, `token-expired`, `token-refused` or `session-ended`.

    Reads the session and the user by one indexed query, unless that was done a moment ago and nothing has changed
    since, so that whoever is disabled is out at once.
    """
    if credentials is None:
        raise StratumError("sign-in-needed")
    identity = identity_of(request)
    if (known := identity.recall_caller(credentials.credentials)) is not None:
        return known
    return await _within_patience(identity, credentials.credentials)


async def _within_patience(identity: Identity, token: str) -> Caller:
    """A database that hangs answers no timeout of its own: its thread is left to it, and the reader told."""
    looking = asyncio.ensure_future(run_in_threadpool(identity.observe_caller, token))
    done, _ = await asyncio.wait({looking}, timeout=_PATIENCE_S)
    if not done:
        # What comes of it in the end concerns nobody any more.
        looking.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise StratumError("console-database-down")
    return looking.result()


def require(needed: Role) -> Callable[[Caller], Caller]:
    """A dependency that gives the caller, and raises `role-too-low` when the role does not cover `needed`."""

    def caller_with_the_role(caller: Annotated[Caller, Depends(observe_caller)]) -> Caller:
        if not caller.role.covers(needed) or (caller.read_only and needed is not Role.VIEWER):
            raise StratumError("role-too-low", needed=needed, name=caller.name, role=caller.role)
        return caller

    return caller_with_the_role


class Forgetting:
    """Has every request that may change users or sessions seen by all that come after it."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        changes = scope["type"] == "http" and scope["method"] not in {"GET", "HEAD", "OPTIONS"}
        if not changes:
            await self._app(scope, receive, send)
            return

        async def forgotten(message: Message) -> None:
            # Before the answer is out: whoever has it may act on it at once.
            self._state.identity.seen.forget()
            await send(message)

        self._state.identity.seen.forget()
        await self._app(scope, receive, forgotten)
