"""The audit: who did what, to the data and to the console, newest first."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stratum.core.audit import AuditAnswer, AuditEntry, AuditSource
from stratum.frontend.shell import ask, page

KINDS = ("all", "data", "sign-ins", "failures")
"""What the list can be narrowed to; anything else is taken for the name of a verb."""


async def audit(request: Request) -> Response:
    """The newest entries; `kind` narrows them to work on data, sign-ins, failures, or one verb."""
    answer = await ask(request, "/audit", AuditAnswer)
    wanted = request.query_params.get("kind", "all")
    entries = [entry for entry in answer.entries if is_wanted(entry, wanted)]
    return page(request, "audit.html", entries=entries, complete=answer.complete, wanted=wanted, kinds=KINDS)


def is_wanted(entry: AuditEntry, wanted: str) -> bool:
    """Whether an entry is of the kind asked for."""
    if wanted == "all":
        return True
    if wanted == "data":
        return entry.source is AuditSource.JOURNAL
    if wanted == "sign-ins":
        return entry.source is AuditSource.CONSOLE
    if wanted == "failures":
        return entry.error is not None or entry.kind in {"sign-in-failed", "refresh-token-reused"}
    return entry.verb == wanted


ROUTES = (Route("/audit", audit, methods=["GET"]),)
