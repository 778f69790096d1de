"""A plan: the frozen, printable list of steps that is dry run, confirmation page and journal entry in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from stratum.core.guard import GuardResult

FORMAT = 1

Facts: TypeAlias = dict[str, str | int | float | bool | list[str] | None]
"""Flat, JSON-ready values a step needs after a crash: names, ids, numbers. Never a secret."""


class Effect(StrEnum):
    """What a step does to data that existed before the plan."""

    NONE = "none"
    ADDS = "adds"
    """Something new appears beside; nothing that existed changes."""
    SETS_ASIDE = "sets-aside"
    """What existed is kept under another name and can be put back."""
    REMOVES = "removes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing a plan does, said before it is done: what, its effect on data, and the way back."""

    name: str
    summary: str
    effect: Effect = Effect.NONE
    way_back: str = "nothing to undo"
    asks: bool = False
    """Whether the person is shown what is known by then, and asked, before this step runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything a verb is about to do, decided before any of it is done.

    Frozen and complete: shown as the dry run, asked about, written to the journal, and enough for another
    process to finish it or take it back after a crash.
    """

    format: int = FORMAT
    id: str
    verb: str
    stack: str
    created_at: datetime
    headline: str
    steps: tuple[Step, ...]
    params: Facts = field(default_factory=dict)
    """All that the steps need to be run, resumed or compensated by another process."""
    guards: tuple[GuardResult, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader should know and no step says."""
    forward_from: str | None = None
    """After a crash: once this step has taken effect the plan is finished, before it is undone."""
    confirmations: int = 0
    """How many times the stack's name has to be typed before the first asking step."""

    @property
    def destructive(self) -> bool:
        return any(step.effect in {Effect.SETS_ASIDE, Effect.REMOVES} for step in self.steps)


class PlanEnd(StrEnum):
    """How a plan ended. Undone on purpose is not undone by error."""

    DONE = "done"
    DECLINED = "declined"
    """The person said no; everything added was taken away again."""
    COMPENSATED = "compensated"
    """A step failed; everything added was taken away again."""
    STRANDED = "stranded"
    """A step failed and its way back failed too; both errors are in the journal."""


class JournalKind(StrEnum):
    """What a line of the journal states."""

    PLAN_STARTED = "plan-started"
    STEP_STARTED = "step-started"
    STEP_DONE = "step-done"
    STEP_UNDONE = "step-undone"
    PLAN_ENDED = "plan-ended"
    NOTED = "noted"
    """A fact that no plan covers, such as an identity accepted by hand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalEntry:
    """One line of the journal, written after the fact it states."""

    format: int = FORMAT
    at: datetime
    kind: JournalKind
    plan_id: str
    verb: str
    who: str
    step: str | None = None
    facts: Facts = field(default_factory=dict)
    """What a step learned, for the steps after it and for a resume."""
    plan: Plan | None = None
    """The whole plan, in its first entry only."""
    end: PlanEnd | None = None
    error: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanProgress:
    """What the journal knows of one plan."""

    plan: Plan
    done: tuple[str, ...]
    begun: tuple[str, ...]
    """Steps that were started and not undone; the last may have taken effect in part."""
    facts: Facts
    end: PlanEnd | None
    ended_at: datetime | None


def observe_progress(entries: tuple[JournalEntry, ...], plan_id: str) -> PlanProgress:
    """Read one plan's progress out of the journal's entries.

    Raises KeyError when the journal does not hold the plan.
    """
    plan: Plan | None = None
    done: list[str] = []
    begun: list[str] = []
    facts: Facts = {}
    end: PlanEnd | None = None
    ended_at: datetime | None = None
    for entry in entries:
        if entry.plan_id != plan_id:
            continue
        plan = entry.plan or plan
        facts |= entry.facts
        if entry.kind is JournalKind.STEP_STARTED and entry.step:
            begun.append(entry.step)
        elif entry.kind is JournalKind.STEP_DONE and entry.step:
            done.append(entry.step)
        elif entry.kind is JournalKind.STEP_UNDONE and entry.step:
            begun = [name for name in begun if name != entry.step]
            done = [name for name in done if name != entry.step]
        elif entry.kind is JournalKind.PLAN_ENDED:
            end, ended_at = entry.end, entry.at
    if plan is None:
        raise KeyError(plan_id)
    return PlanProgress(plan=plan, done=tuple(done), begun=tuple(begun), facts=facts, end=end, ended_at=ended_at)


def unfinished_plans(entries: tuple[JournalEntry, ...]) -> tuple[PlanProgress, ...]:
    """Plans that were started and never ended: what a crash, a power cut or kill -9 leaves behind."""
    started = [e.plan_id for e in entries if e.kind is JournalKind.PLAN_STARTED]
    ended = {e.plan_id for e in entries if e.kind is JournalKind.PLAN_ENDED}
    return tuple(observe_progress(entries, plan_id) for plan_id in started if plan_id not in ended)
