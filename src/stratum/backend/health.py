"""Says within a second whether the backend can work, and when it cannot, why not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from stratum.adapters.messages import speak_error, speaking
from stratum.backend.callers import identity_of
from stratum.backend.database import ping
from stratum.backend.errors import languages_of
from stratum.backend.identity import Identity
from stratum.core.answers import SpokenError
from stratum.core.errors import StratumError

_PATIENCE_S = 0.8
"""The rest of the second is for the answer's way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveAnswer:
    """The backend runs."""

    format: int = 1
    alive: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthAnswer:
    """Whether everything the backend needs answers."""

    format: int = 1
    ready: bool
    reasons: tuple[SpokenError, ...]
    """Why it is not ready, each as an error; empty when it is."""


def health_router() -> APIRouter:
    """Open to everybody: an orchestrator has no sign-in, and nothing here is a secret."""
    router = APIRouter(tags=["health"])
    not_ready: dict[int | str, dict[str, Any]] = {
        503: {"model": HealthAnswer, "description": "Something that is needed does not answer"}
    }

    @router.get("/health/live")
    async def health_live() -> LiveAnswer:
        """The process answers; this says nothing about the database or the agent."""
        return LiveAnswer()

    @router.get("/health/ready", responses=not_ready)
    async def health_ready(request: Request, response: Response) -> HealthAnswer:
        """Whether requests can be served: the console's database and the agent answer."""
        return await _observe_health(request, response)

    @router.get("/health", responses=not_ready)
    async def health(request: Request, response: Response) -> HealthAnswer:
        """The same as /health/ready."""
        return await _observe_health(request, response)

    return router


async def _observe_health(request: Request, response: Response) -> HealthAnswer:
    identity, found = identity_of(request), list[StratumError]()

    async def look(probe: Callable[[Identity], None], error: StratumError) -> None:
        if not await _answers(probe, identity):
            found.append(error)

    database, agent = StratumError("console-database-down"), StratumError("token-epoch-unknown")
    asked = [look(_ask_database, database)]
    asked += [] if identity.settings.rehearsed else [look(_ask_agent, agent)]
    await asyncio.gather(*asked)
    response.status_code = 503 if found else 200
    response.headers["Cache-Control"] = "no-store"
    with speaking(languages_of(request)):
        reasons = tuple(speak_error(error) for error in sorted(found, key=lambda error: error.code))
    return HealthAnswer(ready=not found, reasons=reasons)


async def _answers(probe: Callable[[Identity], None], identity: Identity) -> bool:
    """A probe that hangs is left to its own timeout, in its thread."""
    try:
        await asyncio.wait_for(asyncio.to_thread(probe, identity), _PATIENCE_S)
    except (OSError, SQLAlchemyError, StratumError):
        return False
    return True


def answers_database(identity: Identity) -> bool:
    """Whether the console's database can be worked with now; blocks for its own timeout at most."""
    try:
        _ask_database(identity)
    except (OSError, SQLAlchemyError, StratumError):
        return False
    return True


def _ask_database(identity: Identity) -> None:
    if not identity.prepared.is_set():
        raise StratumError("console-database-down")
    ping(identity.engine)


def _ask_agent(identity: Identity) -> None:
    identity.door.epoch()
