"""The protection of every second: its mode, the receiver, what WAL is stored, and the moments that have a name."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stratum.core.coverage import CoverageAnswer, exact_stretches
from stratum.core.rescue_kit import RescueKit
from stratum.core.timeline import MomentKind, Timeline
from stratum.core.wal import render_lsn
from stratum.frontend.shell import ApiRefusal, ask, form, page, send_for
from stratum.frontend.troubles import find_troubles


async def protection(request: Request) -> Response:
    """How every second is kept now, and since when."""
    return await _show(request)


async def make_kit(request: Request) -> Response:
    """Make a rescue kit and hand it to the browser as a file; it is kept nowhere."""
    sent = await form(request)
    try:
        kit = await send_for(request, "POST", "/rescue-kits", RescueKit, {"password": sent.get("password", "")})
    except ApiRefusal as refusal:
        return await _show(request, refusal=refusal)
    name = f"rescue-kit-{kit.stack}-{kit.made_at:%Y-%m-%d}.html"
    return Response(kit.page, media_type="text/html", headers={"Content-Disposition": f'attachment; filename="{name}"'})


async def _show(request: Request, *, refusal: ApiRefusal | None = None) -> Response:
    coverage, timeline = await asyncio.gather(
        ask(request, "/coverage", CoverageAnswer), ask(request, "/timeline", Timeline)
    )
    receiver = coverage.receiver
    return page(
        request,
        "protection.html",
        status=refusal.status if refusal else 200,
        refusal=refusal.error if refusal else None,
        coverage=coverage,
        receiver=receiver,
        received=render_lsn(receiver.received_lsn) if receiver and receiver.received_lsn is not None else None,
        troubles=find_troubles(receiver, datetime.now(UTC)),
        exact=tuple(reversed(exact_stretches(timeline))),
        points=tuple(moment for moment in reversed(timeline.moments) if moment.kind is MomentKind.RESTORE_POINT),
    )


ROUTES = (
    Route("/protection", protection, methods=["GET"]),
    Route("/protection/kit", make_kit, methods=["POST"]),
)
