"""The releases, the change at work or over with its way back, the rehearsals, and the report of one."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stratum.core.changes import ChangesAnswer, RehearsalsAnswer
from stratum.core.rehearsal import Rehearsal
from stratum.core.release import ReleasesAnswer
from stratum.core.rollback_cost import RollbackCost
from stratum.frontend.shell import ApiRefusal, ask, page, path_part


async def releases(request: Request) -> Response:
    """What ran after each deploy; a change that has not ended stands on top, and the page renews itself meanwhile."""
    known, changes, rehearsals = await asyncio.gather(
        ask(request, "/releases", ReleasesAnswer),
        ask(request, "/changes", ChangesAnswer),
        ask(request, "/rehearsals", RehearsalsAnswer),
    )
    return page(
        request,
        "releases.html",
        releases=known.releases,
        changes=[(change, tuple(zip(change.plan.steps, change.states, strict=True))) for change in changes.changes],
        at_work=any(change.end is None for change in changes.changes),
        rehearsals=rehearsals.rehearsals,
    )


async def rehearsal(request: Request) -> Response:
    """What a new version did to a clone of the data: the verdict, then everything that was seen."""
    rehearsal_id = path_part(request.path_params["rehearsal_id"])
    return page(request, "rehearsal.html", found=await ask(request, f"/rehearsals/{rehearsal_id}", Rehearsal))


async def rollback_cost(request: Request) -> Response:
    """What going back would cost, counted now, and the command that does it: by code alone, or with the data."""
    with_data = request.query_params.get("with") == "data"
    found: RollbackCost | None = None
    refusal: ApiRefusal | None = None
    try:
        found = await ask(request, f"/rollback-cost?data={str(with_data).lower()}", RollbackCost)
    except ApiRefusal as said:
        refusal = said
    return page(
        request,
        "rollback-cost.html",
        status=refusal.status if refusal else 200,
        cost=found,
        with_data=with_data,
        error=refusal.error if refusal else None,
    )


ROUTES = (
    Route("/releases", releases, methods=["GET"]),
    Route("/rollback-cost", rollback_cost, methods=["GET"]),
    Route("/rehearsals/{rehearsal_id}", rehearsal, methods=["GET"]),
)
