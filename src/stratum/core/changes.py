"""What a console shows of changes: rehearsals in short, and each update, rollback or upgrade as far as it came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from stratum.core.plan import JournalEntry, JournalKind, Plan, PlanEnd, observe_progress
from stratum.core.rehearsal import Rehearsal, RehearsalVerdict

FORMAT = 1
CHANGING = frozenset(
    {"update", "rollback", "upgrade-postgres", "undo-upgrade-postgres", "upgrade-volume", "undo-upgrade-volume"}
)
"""Verbs that a host drives, so that no job of the agent's shows them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RehearsalSummary:
    """One rehearsal in a list."""

    id: str
    at: datetime
    backup_id: str
    verdict: RehearsalVerdict
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RehearsalsAnswer:
    """All rehearsals there are records of, newest first."""

    format: int = FORMAT
    rehearsals: tuple[RehearsalSummary, ...]


class ChangeStep(StrEnum):
    """Where one step of a change stands, as the journal has it."""

    DONE = "done"
    BEGUN = "begun"
    """Started and neither done nor undone: at work, or cut."""
    UNDONE = "undone"
    TO_COME = "to-come"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One update, rollback or upgrade."""

    plan: Plan
    who: str
    states: tuple[ChangeStep, ...]
    """Of each step of the plan, in its order."""
    end: PlanEnd | None
    """None while it runs, or after something cut it."""
    ended_at: datetime | None
    last_at: datetime
    """When the journal last heard of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangesAnswer:
    """The changes that have not ended, and the newest that has; newest first."""

    format: int = FORMAT
    changes: tuple[Change, ...]


def list_rehearsals(recorded: Iterable[Rehearsal]) -> RehearsalsAnswer:
    """In short, newest first."""
    newest_first = sorted(recorded, key=lambda one: one.at, reverse=True)
    return RehearsalsAnswer(
        rehearsals=tuple(
            RehearsalSummary(id=one.id, at=one.at, backup_id=one.backup_id, verdict=one.verdict, summary=one.summary)
            for one in newest_first
        )
    )


def observe_changes(entries: tuple[JournalEntry, ...]) -> ChangesAnswer:
    """What the journal tells of changes: every one that has not ended, and the newest that has."""
    started = [e for e in entries if e.kind is JournalKind.PLAN_STARTED and e.verb in CHANGING and e.plan]
    ended = {e.plan_id for e in entries if e.kind is JournalKind.PLAN_ENDED}
    newest_ended = next((e.plan_id for e in reversed(started) if e.plan_id in ended), None)
    shown = [e for e in reversed(started) if e.plan_id not in ended or e.plan_id == newest_ended]
    return ChangesAnswer(changes=tuple(_change(entry, entries) for entry in shown))


def _change(start: JournalEntry, entries: tuple[JournalEntry, ...]) -> Change:
    progress = observe_progress(entries, start.plan_id)
    own = [entry for entry in entries if entry.plan_id == start.plan_id]
    undone = {entry.step for entry in own if entry.kind is JournalKind.STEP_UNDONE}
    states: list[ChangeStep] = []
    for step in progress.plan.steps:
        if step.name in progress.done:
            states.append(ChangeStep.DONE)
        elif step.name in progress.begun:
            states.append(ChangeStep.BEGUN)
        else:
            states.append(ChangeStep.UNDONE if step.name in undone else ChangeStep.TO_COME)
    return Change(
        plan=progress.plan,
        who=start.who,
        states=tuple(states),
        end=progress.end,
        ended_at=progress.ended_at,
        last_at=own[-1].at,
    )
