"""The timeline: one picture of what can be brought back, and the curves below it."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stratum.core.answers import BackupsAnswer, SettingsAnswer
from stratum.core.backup import BackupKind
from stratum.core.timeline import Timeline
from stratum.frontend.moment_field import fill_field
from stratum.frontend.shell import ask, page
from stratum.frontend.timeline_svg import Range, draw_timeline


async def timeline(request: Request) -> Response:
    """The picture for a day, a week, a month or all; an unknown range is a month."""
    wanted = request.query_params.get("range", Range.MONTH)
    shown = Range(wanted) if wanted in set(Range) else Range.MONTH
    drawn, backups, settings = await asyncio.gather(
        ask(request, "/timeline", Timeline),
        ask(request, "/backups", BackupsAnswer),
        ask(request, "/settings", SettingsAnswer),
    )
    return page(
        request,
        "timeline.html",
        picture=draw_timeline(drawn, shown),
        shown=shown.value,
        backups=tuple(backup for backup in backups.backups if backup.kind is BackupKind.DUMP),
        moment=fill_field({}, drawn, settings),
    )


ROUTES = (Route("/timeline", timeline, methods=["GET"]),)
