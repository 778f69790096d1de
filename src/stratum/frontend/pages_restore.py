"""A restore: choose, see the plan, start it, and undo it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stratum.core.answers import BackupsAnswer
from stratum.core.plan import Plan
from stratum.frontend.pages_backups import see_job
from stratum.frontend.render import parse_time
from stratum.frontend.shell import ApiRefusal, ask, form, order, page, send_for

_FIELDS = ("backup_id", "at", "database", "into")


async def choose(request: Request) -> Response:
    """What to bring back and where to; what the address already says is filled in."""
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
    # The plan is started as it was shown: "the newest" may be another one by then.
    fields = {**wanted, "backup_id": str(found.params.get("backup_id", ""))}
    fields.pop("at", None)
    return page(request, "plan.html", plan=found, backup=chosen, request_fields=fields)


async def start(request: Request) -> Response:
    """Start the restore that was shown. It builds beside, and asks before anything live changes."""
    sent = await form(request)
    return see_job(await order(request, "/restores", {name: sent[name] for name in _FIELDS if sent.get(name)}))


async def undo(request: Request) -> Response:
    """Start the undoing of the last restore; it asks as well."""
    sent = await form(request)
    return see_job(await order(request, "/restores/undo", {n: sent[n] for n in ("database",) if sent.get(n)}))


class TimeNotReadError(ValueError):
    """The time that was typed is none."""


def parse_wanted(query: Mapping[str, str]) -> dict[str, str]:
    """The restore asked for, as the API takes it. A link names only what it means, the form says it by its choice.

    Raises `TimeNotReadError`.
    """
    wanted: dict[str, str] = {}
    target = query.get("target") or ("backup" if query.get("backup") else "time" if query.get("at") else "newest")
    if target == "backup" and query.get("backup"):
        wanted["backup_id"] = query["backup"]
    if target == "time":
        try:
            wanted["at"] = parse_time(query.get("at", "")).isoformat()
        except ValueError:
            raise TimeNotReadError(query.get("at", "")) from None
    if query.get("database"):
        wanted["database"] = query["database"]
    if query.get("where", "into") == "into" and query.get("into"):
        wanted["into"] = query["into"]
    return wanted


async def _choice(
    request: Request, query: Mapping[str, str], *, refusal: ApiRefusal | TimeNotReadError | None = None
) -> Response:
    known = (await ask(request, "/backups", BackupsAnswer)).backups
    target = query.get("target") or ("backup" if query.get("backup") else "time" if query.get("at") else "newest")
    return page(
        request,
        "restore.html",
        status=getattr(refusal, "status", 400) if refusal else 200,
        backups=known,
        databases=known[0].databases if known else (),
        chosen=target,
        backup_id=query.get("backup", ""),
        at=query.get("at", ""),
        database=query.get("database", ""),
        into=query.get("into", "") if query.get("where", "into") == "into" else "",
        error=getattr(refusal, "error", None),
        unread_time=str(refusal) if isinstance(refusal, TimeNotReadError) else None,
    )


ROUTES = (
    Route("/restore", choose, methods=["GET"]),
    Route("/restore", start, methods=["POST"]),
    Route("/restore/plan", plan, methods=["GET"]),
    Route("/restore/undo", undo, methods=["POST"]),
)
