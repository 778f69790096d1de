"""The rescue kit, for an administrator: made anew each time, handed out once, and noted in the audit."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic.dataclasses import dataclass
from starlette.concurrency import run_in_threadpool

from stratum.backend.agent_client import agent_of, handed_on, refuse_unless_done
from stratum.backend.auth_routes import STRICT, Password
from stratum.backend.callers import identity_of, require
from stratum.backend.errors import documented
from stratum.backend.events import EventKind, Visitor, record_event, visitor_of
from stratum.backend.identity import Identity
from stratum.backend.roles import Caller, Role
from stratum.backend.sessions import check_password
from stratum.core.rescue_kit import RescueKit

KIT_S = 60.0
"""Places are asked for their state on the way, some of them on other machines."""
MAKE: dict[str, Any] = {
    "response_model": RescueKit,
    "responses": documented(400, 401, 403, 404, 409, 423, 429),
}
Administrator = Annotated[Caller, Depends(require(Role.ADMINISTRATOR))]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class KitOrder:
    """The password once more: a kit tells whoever finds it where everything is."""

    password: Password


def kit_router() -> APIRouter:
    """The one route of the kit."""
    router = APIRouter(tags=["work"])

    @router.post("/rescue-kits", **MAKE)
    async def make_rescue_kit(request: Request, caller: Administrator, body: KitOrder) -> Response:
        """Make a rescue kit and hand it out. It is kept nowhere, and no private key is in it."""
        identity, visitor = identity_of(request), visitor_of(request)
        await run_in_threadpool(check_password, identity, visitor, caller, body.password)
        made = await agent_of(request).ask(request, "POST", "/rescue-kits", seconds=KIT_S)
        refuse_unless_done(made)
        # Before it is out: what was handed out and not noted could not be asked about later.
        await run_in_threadpool(_note, identity, visitor, caller)
        return handed_on(made)

    return router


def _note(identity: Identity, visitor: Visitor, caller: Caller) -> None:
    with identity.transaction() as session:
        record_event(session, identity, visitor, kind=EventKind.RESCUE_KIT_MADE, who=caller.name)
