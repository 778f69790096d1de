"""A restore: choose, see the plan, start it, and undo it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stratum.core.answers import BackupsAnswer
from stratum.core.backup import BackupKind
from stratum.core.plan import Plan
from stratum.frontend.moment_field import moment_field
from stratum.frontend.moments import TimeNotReadError, parse_moment
from stratum.frontend.pages_backups import see_job
from stratum.frontend.shell import ApiRefusal, ask, form, order, page, path_part, see, send_for

_FIELDS = ("backup_id", "at", "database", "into")


async def choose(request: Request) -> Response:
    """What to bring back and where to; what the address already says is filled in.

    A base backup is no target by itself: its own page offers the seconds it reaches.
    """
    wanted = request.query_params.get("backup")
    if wanted:
        known = (await ask(request, "/backups", BackupsAnswer)).backups
        if any(backup.id == wanted and backup.kind is BackupKind.BASE for backup in known):
            return see(f"/backups/base/{path_part(wanted)}")
    return await _choice(request, request.query_params)


async def plan(request: Request) -> Response:
    """The plan of this restore. Reads only: nothing is started by looking at it."""
    try:
        wanted = parse_wanted(request.query_params)
        found = await send_for(request, "POST", "/restores/plan", Plan, dict(wanted))
    except (ApiRefusal, TimeNotReadError) as refusal:
        return await _choice(request, request.query_params, refusal=refusal)
    known = await ask(request, "/backups", BackupsAnswer)
    chosen = next((b for b in known.backups if b.id == found.params.get("backup_id")), None)
    # Whether it is the moment or a backup before it, the plan says, and not what the timeline promised.
    return page(
        request, "plan.html", plan=found, backup=chosen, at=wanted.get("at"), request_fields=shown_order(wanted, found)
    )


def shown_order(wanted: Mapping[str, str], plan: Plan) -> dict[str, str]:
    """The order that starts the plan as it was shown: "the newest" may be another backup by then.

    A plan that names no backup reaches the moment itself, which stays what it was.
    """
    backup_id = plan.params.get("backup_id")
    if not backup_id:
        return dict(wanted)
    return {**{name: value for name, value in wanted.items() if name != "at"}, "backup_id": str(backup_id)}


async def start(request: Request) -> Response:
    """Start the restore that was shown. It builds beside, and asks before anything live changes."""
    sent = await form(request)
    return see_job(await order(request, "/restores", {name: sent[name] for name in _FIELDS if sent.get(name)}))


async def undo(request: Request) -> Response:
    """Start the undoing of the last restore; it asks as well."""
    sent = await form(request)
    return see_job(await order(request, "/restores/undo", {n: sent[n] for n in ("database",) if sent.get(n)}))


def parse_wanted(query: Mapping[str, str]) -> dict[str, str]:
    """The restore asked for, as the API takes it. A link names only what it means, the form says it by its choice.

    Raises `TimeNotReadError`.
    """
    wanted: dict[str, str] = {}
    target = query.get("target") or ("backup" if query.get("backup") else "time" if query.get("at") else "newest")
    if target == "backup" and query.get("backup"):
        wanted["backup_id"] = query["backup"]
    if target == "time":
        wanted["at"] = parse_moment(query.get("at", ""), query.get("zone", "")).isoformat()
    if query.get("database"):
        wanted["database"] = query["database"]
    if query.get("where", "into") == "into" and query.get("into"):
        wanted["into"] = query["into"]
    return wanted


async def _choice(
    request: Request, query: Mapping[str, str], *, refusal: ApiRefusal | TimeNotReadError | None = None
) -> Response:
    answer, moment = await asyncio.gather(ask(request, "/backups", BackupsAnswer), moment_field(request, query))
    known = tuple(backup for backup in answer.backups if backup.kind is BackupKind.DUMP)
    databases = next((backup.databases for backup in answer.backups if backup.databases), ())
    target = query.get("target") or ("backup" if query.get("backup") else "time" if query.get("at") else "newest")
    return page(
        request,
        "restore.html",
        status=getattr(refusal, "status", 400) if refusal else 200,
        backups=known,
        databases=databases,
        chosen=target if known else "time",
        moment=moment,
        backup_id=query.get("backup", ""),
        database=query.get("database", ""),
        into=query.get("into", "") if query.get("where", "into") == "into" else "",
        error=getattr(refusal, "error", None),
        unread_time=str(refusal) if isinstance(refusal, TimeNotReadError) else moment.unread,
    )


ROUTES = (
    Route("/restore", choose, methods=["GET"]),
    Route("/restore", start, methods=["POST"]),
    Route("/restore/plan", plan, methods=["GET"]),
    Route("/restore/undo", undo, methods=["POST"]),
)
