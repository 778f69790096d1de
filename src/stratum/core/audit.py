"""The audit: what was done to the data and to the console, by whom, as one list."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from stratum.core.plan import JournalEntry, JournalKind, PlanEnd

FORMAT = 1


class AuditSource(StrEnum):
    """Where an entry was written down."""

    CONSOLE = "console"
    """The console's own database: sign-ins and users."""
    JOURNAL = "journal"
    """The archive's journal: everything that was done to data, from wherever."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """One thing that happened."""

    at: datetime
    source: AuditSource
    kind: str
    """Of the console: `signed-in`, `user-created`, …; of the journal: `plan-started`, `plan-ended` or `noted`."""
    who: str
    verb: str | None = None
    """Of the plan."""
    plan_id: str | None = None
    end: PlanEnd | None = None
    headline: str | None = None
    """What a plan that started is about."""
    error: str | None = None
    """Why a plan did not end as it should, in one sentence."""
    address: str | None = None
    """Where a sign-in came from."""
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditAnswer:
    """The newest entries, newest first."""

    format: int = FORMAT
    complete: bool
    """False while the console's database cannot be read: the entries are the journal's alone then."""
    entries: tuple[AuditEntry, ...]


def audited(entry: JournalEntry) -> AuditEntry | None:
    """A journal entry as the audit shows it; None for the steps of a plan, which its job and the journal tell."""
    if entry.kind not in {JournalKind.PLAN_STARTED, JournalKind.PLAN_ENDED, JournalKind.NOTED}:
        return None
    return AuditEntry(
        at=entry.at,
        source=AuditSource.JOURNAL,
        kind=entry.kind.value,
        who=entry.who,
        verb=entry.verb,
        plan_id=entry.plan_id,
        end=entry.end,
        headline=entry.plan.headline if entry.plan else None,
        error=(entry.error or {}).get("message"),
        details=_noted(entry) if entry.kind is JournalKind.NOTED else {},
    )


def _noted(entry: JournalEntry) -> dict[str, str]:
    """What was noted, as far as it is words; a note has no plan whose headline would say it."""
    return {name: value for name, value in entry.facts.items() if isinstance(value, str)}
