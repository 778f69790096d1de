"""Releases, rehearsals and updates for the stand-ins: one that is over, one that was cut, and every kind of finding."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from stratum.core.plan import Effect, JournalEntry, JournalKind, Plan, PlanEnd, Step
from stratum.core.recovery import TableDifference
from stratum.core.rehearsal import (
    Blocks,
    CommandRun,
    HeldLock,
    Loss,
    Rehearsal,
    RehearsalVerdict,
    RunStatement,
    TableChange,
)
from stratum.core.release import VERB, Look, Release, release_facts
from stratum.core.rollback_cost import DatabaseCost, HeadMoved, RollbackCost
from stratum.core.schema import ChangeKind, ColumnChange
from tests.fakes.console_records import NOW, STACK

_BACKUP = "2026-11-20T01-00-00Z-0013"
_IMAGES = {"app": f"sha256:{'4f' * 32}"}


def rehearsals() -> tuple[Rehearsal, ...]:
    """A safe one, and one that loses a column, locks and rewrites a table, and fails."""
    losses = (Loss(name="shop.public.users.email", what="column", count=12_345),)
    return (
        _rehearsal("2026-11-19T08-00-00Z-a1", RehearsalVerdict.SAFE, "safe", ok=True),
        _rehearsal(
            "2026-11-20T08-00-00Z-b2",
            RehearsalVerdict.FAILS,
            "fails: migrate: column <b>email</b> does not exist",
            ok=False,
            losses=losses,
        ),
    )


def _rehearsal(
    name: str, verdict: RehearsalVerdict, summary: str, *, ok: bool, losses: tuple[Loss, ...] = ()
) -> Rehearsal:
    said = "" if ok else "ERROR:  column <b>email</b> does not exist\n" + "LINE 1: " + "x" * 300
    return Rehearsal(
        obstacles=("shop.public.users.email: the column is gone, or has another name",),
        id=name,
        backup_id=_BACKUP,
        at=NOW - timedelta(days=3 if ok else 2),
        verdict=verdict,
        summary=summary,
        runs=(CommandRun(name="migrate", ok=ok, seconds=4.2, said=said),),
        losses=losses,
        locks=(HeldLock(table="shop.public.users", mode="AccessExclusiveLock", blocks=Blocks.EVERYBODY, seconds=3.5),),
        statements=(RunStatement(seconds=3.5, text="ALTER TABLE users ALTER COLUMN id TYPE bigint" + " -- x" * 60),),
        statement_count=7,
        tables=(
            TableChange(table="shop.public.users", rows_before=12_345, rows_after=12_345, bytes_before=1_000_000,
                        bytes_after=1_200_000, rewritten=True, changed=("email is gone", "id is bigint, was integer")),
            TableChange(table="shop.public.invoices", rows_before=None, rows_after=0, bytes_before=0,
                        bytes_after=8192, rewritten=False),
        ),
        difference=("- CREATE TABLE public.users (", "+ CREATE TABLE public.invoices ("),
        growth_bytes=208_192,
        downtime_seconds=4.2,
        clone_seconds=11.0,
        total_seconds=19.0,
        clone_bytes=48_000_000,
        notes=("the lint of SQL could not be had",),
    )  # fmt: skip


def updated() -> tuple[JournalEntry, ...]:
    """Two releases, the second by an update that came to its end."""
    begun = NOW - timedelta(days=1)
    done = _entry(JournalKind.PLAN_ENDED, begun + timedelta(minutes=1), end=PlanEnd.DONE)
    steps = tuple(
        _entry(kind, begun, step=step.name)
        for step in _plan(begun).steps
        for kind in (JournalKind.STEP_STARTED, JournalKind.STEP_DONE)
    )
    return (
        _release("2026-11-01T06-00-00Z-r1", NOW - timedelta(days=12), "up", "1a" * 20),
        _entry(JournalKind.PLAN_STARTED, begun, plan=_plan(begun)),
        *steps,
        done,
        _release("2026-11-20T06-00-00Z-r2", begun + timedelta(minutes=1), "update", "9c" * 20),
    )


def cut_update() -> tuple[JournalEntry, ...]:
    """Two releases, and an update that was cut in its second step."""
    begun = NOW - timedelta(minutes=20)
    return (
        _release("2026-10-20T06-00-00Z-r0", NOW - timedelta(days=24), "up", "07" * 20),
        _release("2026-11-01T06-00-00Z-r1", NOW - timedelta(days=12), "up", "1a" * 20),
        _entry(JournalKind.PLAN_STARTED, begun, plan=_plan(begun)),
        _entry(JournalKind.STEP_STARTED, begun, step="stop"),
        _entry(JournalKind.STEP_DONE, begun, step="stop"),
        _entry(JournalKind.STEP_STARTED, begun, step="migrate"),
    )


def rollback_cost(target: Release, *, with_data: bool, gone: tuple[ColumnChange, ...]) -> RollbackCost:
    """Of one database that has more, less and other rows than its copy, and columns that were added."""
    tables = (
        TableDifference(table="public.invoices", rows_live=4_321, rows_backup=None, content_differs=True),
        TableDifference(table="public.users", rows_live=12_400, rows_backup=12_345, content_differs=True),
        TableDifference(table="public.sessions_that_ended", rows_live=7, rows_backup=9, content_differs=True),
        TableDifference(table="public.<b>rates</b>", rows_live=40, rows_backup=40, content_differs=True),
    )
    cost = DatabaseCost(
        database="shop",
        tables=tables if with_data else tables[:3],
        rows_lost=4_376,
        rows_gained=2,
        added=(
            ColumnChange(kind=ChangeKind.NEW_TABLE, name="public.invoices"),
            ColumnChange(kind=ChangeKind.NEW, name="public.users.locale"),
            ColumnChange(kind=ChangeKind.OTHER_TYPE, name="public.users.id", type_now="bigint", type_then="integer"),
        ),
        gone=gone,
    )
    refused = bool(gone) and not with_data
    return RollbackCost(
        release=target, with_data=with_data, refused=refused, compared=True, databases=(cost,), heads=()
    )


def without_copies(cost: RollbackCost) -> RollbackCost:
    """The same, where nothing is there to compare with."""
    moved = HeadMoved(database="shop", then="0001", now="0002")
    return replace(cost, compared=False, refused=False, databases=(), heads=(moved,))


def _plan(at: datetime) -> Plan:
    return Plan(
        id="2026-11-20T06-00-00Z-u1",
        verb="update",
        stack=STACK,
        created_at=at,
        headline="Bring the application to 9c9c9c9c9c9c",
        steps=(
            Step(name="stop", summary="stop the application", effect=Effect.SETS_ASIDE, way_back="start it as it was"),
            Step(name="migrate", summary="migrate the data", effect=Effect.SETS_ASIDE, way_back="swap the copies back"),
            Step(name="start", summary="start the new version", effect=Effect.SETS_ASIDE, way_back="stop it again"),
        ),
    )


def _entry(
    kind: JournalKind, at: datetime, *, step: str | None = None, end: PlanEnd | None = None, plan: Plan | None = None
) -> JournalEntry:
    return JournalEntry(at=at, kind=kind, plan_id="2026-11-20T06-00-00Z-u1", verb="update", who="ada", step=step,
                        end=end, plan=plan)  # fmt: skip


def _release(name: str, at: datetime, verb: str, commit: str) -> JournalEntry:
    look = Look(commit=commit, images=_IMAGES, configuration="c0ffee", stratum="0.6.0")
    facts = release_facts(look, verb=verb, plan_id="", heads={"shop": "20261101_invoices"})
    return JournalEntry(at=at, kind=JournalKind.NOTED, plan_id=name, verb=VERB, who="ada", facts=facts)
