"""The audit: the console's own events among the entries of the archive's journal, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from stratum.adapters.records import parse
from stratum.backend.agent_client import agent_of, refuse_unless_done
from stratum.backend.callers import identity_of
from stratum.backend.data_routes import READ, Limit, Viewer
from stratum.backend.events import ConsoleEvent, newest_events
from stratum.backend.identity import Identity
from stratum.backend.work_routes import Moment
from stratum.core.answers import JournalAnswer
from stratum.core.audit import AuditAnswer, AuditEntry, AuditSource, audited
from stratum.core.errors import StratumError

_JOURNAL_LOOKED_AT = "1000"
Before = Annotated[Moment | None, Query(description="Only what is older: for the next page.")]


def audit_router() -> APIRouter:
    """The one route of the audit."""
    router = APIRouter(tags=["audit"])

    @router.get("/audit", **READ)
    async def list_audit(request: Request, caller: Viewer, limit: Limit = 200, before: Before = None) -> AuditAnswer:  # noqa: ARG001  who may ask is all
        """Who did what. While the console's database is down it is the journal's part alone, and says so."""
        events = await run_in_threadpool(_events, identity_of(request), limit, before)
        found = await agent_of(request).ask(request, "GET", "/journal", query={"limit": _JOURNAL_LOOKED_AT})
        refuse_unless_done(found)
        journal = parse(JournalAnswer, found.content, file="the agent's answer")
        entries = [entry for entry in map(audited, journal.entries) if entry is not None]
        wanted = [entry for entry in entries if before is None or entry.at < before]
        merged = sorted([*wanted, *(events or ())], key=lambda entry: entry.at, reverse=True)
        return AuditAnswer(complete=events is not None, entries=tuple(merged[:limit]))

    return router


def _events(identity: Identity, limit: int, before: datetime | None) -> tuple[AuditEntry, ...] | None:
    """The console's own part; None while its database cannot be read."""
    try:
        return tuple(_entry(event) for event in newest_events(identity, limit=limit, before=before))
    except (SQLAlchemyError, StratumError):
        return None


def _entry(event: ConsoleEvent) -> AuditEntry:
    return AuditEntry(
        at=event.at,
        source=AuditSource.CONSOLE,
        kind=event.kind,
        who=event.who,
        address=event.address,
        details=event.details,
    )
