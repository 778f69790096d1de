"""Records of one stack as the API gives them: backups, proofs, plans and jobs in each of their states."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from stratum.core.answers import SpokenError, SpokenLine
from stratum.core.backup import (
    BackupKind,
    DatabaseFacts,
    DatabaseProperties,
    DigestMode,
    DumpedDatabase,
    FileFacts,
    LargeObjectFacts,
    Manifest,
    MigrationHead,
    TableFacts,
)
from stratum.core.checklist import LineState
from stratum.core.guard import GuardResult
from stratum.core.identity import DatabaseIdentity, Identity
from stratum.core.job import Job, JobProgress, JobRequest, JobState, JobVerb, Question
from stratum.core.plan import Effect, JournalEntry, JournalKind, Plan, PlanEnd, Step
from stratum.core.proof import Check, Method, Proof, Verdict

NOW = datetime.now(UTC).replace(microsecond=0)
STACK = "shop"
DATABASE = "shop_db"
_TABLES = (
    "accounts",
    "invoices",
    "order_lines",
    "orders",
    "a_name_of_a_table_that_is_as_long_as_postgresql_lets_a_name_be",
)


def manifest(*, days_ago: int, number: int) -> Manifest:
    """A dump of one database that grows by the day."""
    taken = NOW - timedelta(days=days_ago, hours=2, minutes=11)
    backup_id = f"{taken:%Y-%m-%dT%H-%M-%SZ}-{number:04x}"
    return Manifest(
        id=backup_id,
        kind=BackupKind.DUMP,
        stack=STACK,
        started_at=taken - timedelta(seconds=1),
        taken_at=taken,
        finished_at=taken + timedelta(seconds=5),
        cluster=Identity(system_identifier="7575757575757575757", timeline=1, flushed_lsn=number,
                         server_version_num=170010,
                         databases=(DatabaseIdentity(name=DATABASE, oid=16384, has_rows=True),)),
        bootstrap_role="postgres",
        tool_version="17.10",
        stratum_version="0.2.0",
        digest_algorithm="sum64-hashtextextended-v1",
        digest_mode=DigestMode.FULL,
        databases=(DumpedDatabase(path=DATABASE, archive_version="1.16.0", facts=_facts(taken, number)),),
        roles=(),
        files=(
            FileFacts(path="globals.sql", bytes=1830, sha256="5f" * 32),
            FileFacts(path=f"{DATABASE}/toc.dat", bytes=4_800_000 + 190_000 * number, sha256="a7" * 32),
        ),
        release="v1.4.0-12-g9c0ffee",
    )  # fmt: skip


def _facts(taken: datetime, number: int) -> DatabaseFacts:
    tables = tuple(
        TableFacts(schema="public", name=name, rows=1200 * number * place + 7, digest=str(9_146_512_773 * place),
                   digested_rows=1200 * number * place + 7, bytes=65_536 * number * place)
        for place, name in enumerate(_TABLES, start=1)
    )  # fmt: skip
    properties = DatabaseProperties(
        name=DATABASE, oid=16384, owner="shop", encoding="UTF8", locale_provider="builtin", collate="C", ctype="C",
        locale="C.UTF-8", icu_rules=None, collation_version=None, connection_limit=-1, comment=None, grants=None,
        settings=(),
    )  # fmt: skip
    return DatabaseFacts(
        properties=properties,
        snapshot="770:770:",
        snapshot_at=taken,
        digest_mode=DigestMode.FULL,
        tables=tables,
        sequences=(),
        extensions=(),
        large_objects=LargeObjectFacts(count=0, digest=None),
        materialized_views=(),
        foreign_tables=(),
        collations={},
        invalid_indexes=(),
        migrations=(MigrationHead(tool="alembic", table="public.alembic_version", head="3f9a1c", applied=None),),
        size_bytes=sum(table.bytes for table in tables),
    )


def proof(taken: Manifest, verdict: Verdict, method: Method = Method.DRILL) -> Proof:
    """A proof two hours after the backup."""
    finished = min(NOW, taken.taken_at + timedelta(hours=2))
    reason = {
        Verdict.PROVEN: f"{len(_TABLES)} table digests equal (full)",
        Verdict.FAILED: "the content differs in public.orders, public.order_lines",
        Verdict.COULD_NOT_VERIFY: "could not be digested: public.orders: permission denied",
    }[verdict]
    return Proof(
        id=f"proof-{taken.id}",
        backup_id=taken.id,
        method=method,
        verdict=verdict,
        checks=(
            Check(name="row-counts", verdict=Verdict.PROVEN, reason=f"{taken.rows} rows in {len(_TABLES)} tables"),
            Check(name="content", verdict=verdict, reason=reason),
        ),
        started_at=finished - timedelta(seconds=44),
        finished_at=finished,
        digest_mode=DigestMode.FULL,
        rows=taken.rows,
        restore_seconds=41.3 if method is Method.DRILL else None,
        total_seconds=44.0,
        server_version="17.10",
    )


def line(name: str, state: LineState, statement: str, *, fix: str | None = None, mendable: bool = False) -> SpokenLine:
    """One line of the checklist as the agent says it."""
    return SpokenLine(name=name, state=state, statement=statement, fix=fix, mendable=mendable)


def entry(
    kind: JournalKind, at: datetime, *, verb: str, step: str | None = None, end: PlanEnd | None = None
) -> JournalEntry:
    """One line of the journal."""
    plan = restore_plan("2026-11-20T01-00-00Z-0013") if kind is JournalKind.PLAN_STARTED else None
    return JournalEntry(
        at=at,
        kind=kind,
        plan_id="2026-11-20T06-00-00Z-p1",
        verb=verb,
        who="ada (console)",
        step=step,
        plan=plan,
        end=end,
    )


def restore_plan(backup_id: str, *, into: str | None = None) -> Plan:
    """The plan of a restore, as the agent makes it."""
    building = (
        Step(name="roles", summary="create roles the backup knows and this cluster does not", effect=Effect.ADDS,
             way_back="they stay; a role without a password harms nothing"),
        Step(name="build-beside", summary="restore into a new database beside the live one", effect=Effect.ADDS,
             way_back="the new database is dropped"),
        Step(name="verify", summary="compare what came back with the manifest"),
    )  # fmt: skip
    swapping = (
        Step(name="swap", summary="end sessions and swap the two databases by name, in one transaction",
             effect=Effect.SETS_ASIDE, way_back="the names are swapped back", asks=True),
        Step(name="remember", summary="record the cluster's new identity"),
    )  # fmt: skip
    return Plan(
        id="2026-11-22T14-30-00Z-p9",
        verb="restore",
        stack=STACK,
        created_at=NOW,
        headline=f"restore {DATABASE} from {backup_id}, taken 2 h 11 min ago, in its place",
        steps=(*building, *(() if into else swapping)),
        params={"backup_id": backup_id, "database": DATABASE, "beside": into or f"{DATABASE}__restoring_p9",
                "kept": f"{DATABASE}__before_p9", "swap": into is None, "rebuild": False},
        guards=(
            GuardResult(name="right-version", holds=True, code="wrong-version",
                        statement="the backup is of PostgreSQL 17, the server is 17"),
        ),
        notes=(f"the database it replaces is kept for 7 d; `stratum restore --undo` swaps {DATABASE} back",),
        confirmations=0 if into else 1,
    )  # fmt: skip


def job(verb: JobVerb, state: JobState, *, number: int = 1) -> Job:
    """A job in one of its states, with what belongs to it."""
    begun = NOW - timedelta(minutes=3 * number)
    ended = state not in {JobState.QUEUED, JobState.RUNNING, JobState.ASKING}
    plain = Job(
        id=f"job-{verb}-{state}",
        request=JobRequest(verb=verb, who="ada (console)"),
        state=state,
        queued_at=begun,
        started_at=None if state is JobState.QUEUED else begun,
        ended_at=begun + timedelta(seconds=41) if ended else None,
        plan=None if state is JobState.QUEUED else restore_plan("2026-11-22T12-19-00Z-0015"),
        said=("restoring shop_db", "comparing 5 tables") if state is not JobState.QUEUED else (),
    )
    return _shaped(plain)


def _shaped(job: Job) -> Job:
    all_steps = tuple(step.name for step in job.plan.steps) if job.plan else ()
    shapes: dict[JobState, dict[str, Any]] = {
        JobState.RUNNING: {
            "step": "build-beside",
            "steps_done": ("roles",),
            "progress": JobProgress(what="restoring shop_db", done=3_100_000, total=8_790_000, unit="bytes", seconds=4),
        },
        JobState.ASKING: {
            "step": None,
            "steps_done": ("roles", "build-beside", "verify"),
            "question": Question(
                question="end sessions and swap the two databases by name, in one transaction",
                lines=(
                    "2 of 5 tables differ: 12 live rows beyond the backup, 40 rows come back",
                    "  public.orders: 75600 rows now, 75640 after (+40)",
                    "  public.accounts: 25219 rows now, 25207 after (-12)",
                ),
                confirmations=1,
                answer_by=NOW + timedelta(minutes=14),
            ),
        },
        JobState.DONE: {"step": None, "steps_done": all_steps, "facts": {"backup_id": "2026-11-22T12-19-00Z-0015"}},
        JobState.FAILED: {
            "step": "verify",
            "steps_done": ("roles", "build-beside"),
            "verdict": Verdict.FAILED if job.request.verb is JobVerb.DRILL else None,
            "error": SpokenError(
                code="restore-not-proven",
                message="what came back is not what the backup says: the content differs in public.orders",
                data="untouched; the running database was not stopped",
                next="restore the proven backup before it: 2026-11-14T12-19-00Z-0001",
                details={},
            ),
        },
    }
    return replace(job, **shapes.get(job.state, {}))
