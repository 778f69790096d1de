"""What the API answers about one stack, built from the core records: calm, in trouble, or with nothing in it yet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from stratum.adapters.records import to_dict
from stratum.core.answers import (
    BackupAnswer,
    BackupsAnswer,
    BackupSummary,
    ChecklistAnswer,
    DamagedBackup,
    JournalAnswer,
    ProofsAnswer,
    SettingsAnswer,
    SettingValue,
    SpokenLine,
)
from stratum.core.audit import AuditAnswer, AuditEntry, AuditSource, audited
from stratum.core.backup import Manifest
from stratum.core.checklist import LineState
from stratum.core.coverage import BaseAnswer, CoverageAnswer, reached_at
from stratum.core.errors import StratumError
from stratum.core.job import Job, JobState, JobVerb
from stratum.core.plan import JournalEntry, JournalKind, Plan, PlanEnd
from stratum.core.proof import Method, Proof, Verdict, standing_proofs
from stratum.core.protection import describe_protection
from stratum.core.receiving import ReceiverState
from stratum.core.rehearsal import Rehearsal
from stratum.core.release import ReleasesAnswer, recorded_releases
from stratum.core.rollback_cost import RollbackCost
from stratum.core.schema import ChangeKind, ColumnChange
from stratum.core.timeline import Moment, MomentKind, Reach, Span, Timeline
from stratum.core.way_back import find_release
from tests.fakes import console_changes, console_coverage
from tests.fakes.console_records import DATABASE, NOW, STACK, entry, job, line, manifest, proof, restore_plan


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """One state of the stack, from which every answer follows."""

    manifests: tuple[Manifest, ...] = ()
    proofs: tuple[Proof, ...] = ()
    damaged: tuple[DamagedBackup, ...] = ()
    lines: tuple[SpokenLine, ...] = ()
    alarms: tuple[dict[str, str], ...] = ()
    database: str = "running"
    failure_domain: str = "other-disk"
    scheduled: bool = True
    jobs: tuple[Job, ...] = ()
    journal: tuple[JournalEntry, ...] = ()
    pinned: frozenset[str] = field(default_factory=frozenset)
    receiver: ReceiverState | None = None
    bases: tuple[BackupSummary, ...] = ()
    rehearsals: tuple[Rehearsal, ...] = ()
    changing: tuple[JournalEntry, ...] = ()
    """The journal's part about releases: those that were noted, and updates at work or over."""
    gone: tuple[ColumnChange, ...] = ()
    """What the release before knew of the schema, and is gone."""
    copies_kept: bool = True
    """Those of the last update."""
    points: tuple[str, ...] = ()
    """Names of restore points, each a day older than the one before."""

    def status(self) -> dict[str, Any]:
        running = next((job.id for job in self.jobs if job.state in {JobState.RUNNING, JobState.ASKING}), None)
        protection = describe_protection(self.manifests, self.proofs, failure_domain=self.failure_domain, now=NOW)
        return {
            "format": 1,
            "status": {
                "format": 1,
                "stack": STACK,
                "protection": to_dict(protection),
                "database": self.database,
                "database_detail": "" if self.database == "running" else "PG_VERSION is missing",
                "port": 5432 if self.database == "running" else None,
                "cluster": "7575757575757575757",
                "backups": len(self.manifests),
                "broken_backups": [broken.id for broken in self.damaged],
                "foreign_files": [],
                "cut_plans": [],
                "receiver": to_dict(console_coverage.as_of_now(self.receiver)) if self.receiver else None,
            },
            "canary_at": NOW.isoformat() if self.database == "running" else None,
            "next_backup_at": (NOW + timedelta(hours=9)).isoformat() if self.scheduled else None,
            "next_drill_at": (NOW + timedelta(hours=11)).isoformat() if self.scheduled else None,
            "alarms": list(self.alarms),
            "job": running,
        }

    def checklist(self) -> ChecklistAnswer:
        fine = all(line.state in {LineState.HOLDS, LineState.ACCEPTED} for line in self.lines)
        return ChecklistAnswer(all_hold=fine, lines=self.lines)

    def coverage(self) -> CoverageAnswer:
        return console_coverage.coverage(console_coverage.as_of_now(self.receiver) if self.receiver else None)

    def backups(self) -> BackupsAnswer:
        known = (*map(self._summary, self.manifests), *self.bases)
        newest_first = sorted(known, key=lambda backup: backup.taken_at, reverse=True)
        return BackupsAnswer(backups=tuple(newest_first), broken=self.damaged)

    def base(self, backup_id: str) -> BaseAnswer | None:
        known = any(base.id == backup_id for base in self.bases)
        return BaseAnswer(pinned=False, manifest=console_coverage.base_manifest(), proofs=()) if known else None

    def backup(self, backup_id: str) -> BackupAnswer | None:
        for taken in self.manifests:
            if taken.id == backup_id:
                own = tuple(proof for proof in self.proofs if proof.backup_id == backup_id)
                return BackupAnswer(pinned=backup_id in self.pinned, manifest=taken, proofs=own)
        return None

    def newest_proofs(self) -> ProofsAnswer:
        return ProofsAnswer(proofs=tuple(sorted(self.proofs, key=lambda proof: proof.finished_at, reverse=True)))

    def newest_entries(self) -> JournalAnswer:
        return JournalAnswer(entries=tuple(sorted(self.journal, key=lambda entry: entry.at, reverse=True)))

    def releases(self) -> ReleasesAnswer:
        return ReleasesAnswer(releases=tuple(reversed(recorded_releases(self.changing))))

    def rollback_cost(self, *, with_data: bool) -> RollbackCost:
        """Raises `nothing-to-roll-back`."""
        target = find_release(recorded_releases(self.changing), None)
        found = console_changes.rollback_cost(target, with_data=with_data, gone=self.gone)
        return found if self.copies_kept else console_changes.without_copies(found)

    def rehearsal(self, rehearsal_id: str) -> Rehearsal | None:
        return next((one for one in self.rehearsals if one.id == rehearsal_id), None)

    def audit(self) -> AuditAnswer:
        """The journal with some sign-ins among it; incomplete where the database is down."""
        signed_in = AuditEntry(at=NOW - timedelta(minutes=3), source=AuditSource.CONSOLE, kind="signed-in", who="ada",
                               address="127.0.0.1")  # fmt: skip
        refused = replace(signed_in, at=NOW - timedelta(minutes=4), kind="sign-in-failed", who="<b>mallory</b>")
        known = [entry for entry in map(audited, self.journal) if entry is not None]
        running = self.database == "running" and bool(self.manifests)
        entries = sorted([*known, *((signed_in, refused) if running else ())], key=lambda entry: entry.at, reverse=True)
        return AuditAnswer(complete=self.database == "running", entries=tuple(entries))

    def timeline(self) -> Timeline:
        taken = sorted(self.manifests, key=lambda manifest: manifest.taken_at)
        if not taken:
            begins = NOW - timedelta(hours=1)
            gap = Span(begins=begins, ends=NOW, reach=Reach.NOTHING, backup_id=None)
            return Timeline(begins=begins, ends=NOW, spans=(gap,), moments=())
        spans = console_coverage.overlaid(_spans(taken), console_coverage.exact_spans(self.receiver))
        return Timeline(begins=taken[0].taken_at, ends=NOW, spans=spans, moments=tuple(self._moments()))

    def plan_restore(self, backup_id: str | None, at: datetime | None, into: str | None) -> Plan:
        """What WAL covers is reached itself: that plan names no backup. Raises `no-backup-yet`."""
        newest = self.backups().backups
        if not newest:
            raise StratumError("no-backup-yet")
        plan = restore_plan(backup_id or newest[0].id, into=into)
        if at is None or reached_at(self.timeline(), at).reach is not Reach.EXACT:
            return plan
        return replace(plan, verb="moment", params={"database": DATABASE, "at": at.isoformat()}, confirmations=0)

    def _moments(self) -> list[Moment]:
        standing = standing_proofs(self.proofs)
        moments = [
            Moment(at=manifest.taken_at, kind=MomentKind.BACKUP, id=manifest.id, backup_id=manifest.id,
                   verdict=standing[manifest.id].verdict if manifest.id in standing else None, label="")
            for manifest in self.manifests
        ] + [
            Moment(at=proof.finished_at, kind=MomentKind.DRILL if proof.method is Method.DRILL else MomentKind.VERIFY,
                   id=proof.id, backup_id=proof.backup_id, verdict=proof.verdict, label="")
            for proof in self.proofs
        ] + [
            Moment(at=entry.at, kind=MomentKind.RESTORE, id=entry.plan_id, backup_id=None, verdict=None,
                   label=f"{DATABASE} swapped")
            for entry in self.journal if entry.verb == "restore" and entry.kind is JournalKind.PLAN_ENDED
        ] + [
            Moment(at=base.taken_at, kind=MomentKind.BASE_BACKUP, id=base.id, backup_id=base.id, verdict=None, label="")
            for base in self.bases
        ] + [
            Moment(at=NOW - timedelta(days=days, minutes=7), kind=MomentKind.RESTORE_POINT, id=name, backup_id=None,
                   verdict=None, label="")
            for days, name in enumerate(self.points, start=1)
        ]  # fmt: skip
        return sorted(moments, key=lambda moment: moment.at)

    def _summary(self, manifest: Manifest) -> BackupSummary:
        proof = standing_proofs(self.proofs).get(manifest.id)
        proven = proof if proof and proof.verdict is Verdict.PROVEN else None
        return BackupSummary(
            id=manifest.id,
            kind=manifest.kind,
            taken_at=manifest.taken_at,
            databases=tuple(database.facts.properties.name for database in manifest.databases),
            rows=manifest.rows,
            bytes=manifest.bytes,
            postgresql_major=manifest.cluster.major,
            verdict=proof.verdict if proof else None,
            proven_at=proven.finished_at if proven else None,
            restore_seconds=proven.restore_seconds if proven else None,
            pinned=manifest.id in self.pinned,
        )


def _spans(taken: list[Manifest]) -> list[Span]:
    """A backup is good for 26 hours after it was due; what is later than that is a gap."""
    ends = [*(later.taken_at for later in taken[1:]), NOW]
    spans: list[Span] = []
    for backup, end in zip(taken, ends, strict=True):
        promised = min(end, backup.taken_at + timedelta(hours=26))
        spans.append(Span(begins=backup.taken_at, ends=promised, reach=Reach.BACKUP_BEFORE, backup_id=backup.id))
        if promised < end:
            spans.append(Span(begins=promised, ends=end, reach=Reach.NOTHING, backup_id=None))
    return spans


def settings() -> SettingsAnswer:
    """What the stack is set to, in all its states."""
    values = {
        "[stack] name": STACK,
        "[archive] path": "/srv/archive/a-directory-with-a-long-name/and-another-one/" + "below-it/" * 4,
        "[backup] schedule": "0 1 * * *",
        "[backup] timezone": "Europe/Paris",
        "[protect] mode": '"streaming"',
        "[protect] recovery_window": '"7d"',
        "[restore] undo_window": "7d",
    }
    return SettingsAnswer(settings=tuple(SettingValue(name=name, value=value) for name, value in values.items()))


def calm_world() -> World:
    """Three weeks of daily backups, drilled each day, one restore, everything measured."""
    manifests = tuple(manifest(days_ago=days, number=21 - days) for days in range(20, -1, -1))
    proofs = tuple(proof(taken, Verdict.PROVEN) for taken in manifests)
    ended = manifests[-3].taken_at + timedelta(hours=5)
    return World(
        rehearsals=console_changes.rehearsals(),
        changing=console_changes.updated(),
        manifests=manifests,
        proofs=proofs,
        lines=(
            line("archive", LineState.HOLDS, "the archive can be read and written"),
            line("data-directory", LineState.HOLDS, "the data directory is there and the database is running"),
            line("no-destructive-command", LineState.HOLDS, "no destructive command was run within 7 days"),
            line("off-the-disk", LineState.HOLDS, "the archive survives the loss of the data's disk (other-disk)"),
            line("checksums", LineState.ACCEPTED, "data checksums are off", fix="run `pg_checksums --enable`"),
        ),
        jobs=(job(JobVerb.BACKUP, JobState.DONE),),
        journal=(
            entry(JournalKind.PLAN_STARTED, ended - timedelta(minutes=4), verb="restore"),
            entry(JournalKind.STEP_DONE, ended - timedelta(minutes=2), verb="restore", step="build-beside"),
            entry(JournalKind.PLAN_ENDED, ended, verb="restore", end=PlanEnd.DONE),
        ),
        pinned=frozenset({manifests[3].id}),
        receiver=console_coverage.receiving(),
        bases=(console_coverage.base_backup(),),
        points=("before-the-sale", "before-migration-3f9a1c"),
    )


def troubled_world() -> World:
    """Old backups, a failed drill, a damaged directory, the archive on the data's own disk, a stopped database."""
    manifests = tuple(manifest(days_ago=days, number=9 - days) for days in (8, 5, 3))
    verdicts = (Verdict.PROVEN, Verdict.COULD_NOT_VERIFY, Verdict.FAILED)
    since = (NOW - timedelta(hours=7)).isoformat()
    refusal = "the content differs in public.orders, public.order_lines"
    return World(
        rehearsals=console_changes.rehearsals(),
        changing=console_changes.cut_update(),
        gone=(
            ColumnChange(kind=ChangeKind.GONE, name="public.users.<b>email</b>"),
            ColumnChange(kind=ChangeKind.TABLE_GONE, name="public.a_table_with_a_name_too_long_for_a_narrow_window"),
            ColumnChange(kind=ChangeKind.TO_FILL, name="public.users.tenant"),
        ),
        manifests=manifests,
        proofs=tuple(proof(taken, verdict) for taken, verdict in zip(manifests, verdicts, strict=True)),
        damaged=(DamagedBackup(id="2026-11-20T01-00-00Z-dead", why="manifest.json is missing: the backup was cut"),),
        lines=(
            line("data-directory", LineState.RED, "the database is not serving: stopped", fix="run `stratum up`"),
            line("recent-backup", LineState.RED, "the newest backup is 3 d old; more than 24 h of writes are in no "
                 "backup", fix="run `stratum backup`, and schedule it"),
            line("backup-proven", LineState.RED, f"no backup was proven: {refusal}", fix="run `stratum drill`"),
            line("clock", LineState.UNKNOWN, "could not be looked at: the server does not answer",
                 fix="set the clock"),
            line("env-private", LineState.RED, ".env can be read by others (mode 644)", fix="run `stratum check --fix`",
                 mendable=True),
        ),
        alarms=(
            {"name": "recent-backup", "since": since, "statement": "the newest backup is 3 d old"},
            {"name": "drill-failed", "since": since, "statement": refusal},
        ),
        database="stopped",
        failure_domain="same-disk",
        scheduled=False,
        jobs=(job(JobVerb.DRILL, JobState.FAILED), job(JobVerb.BACKUP, JobState.TAKEN_BACK_AFTER_RESTART)),
        receiver=console_coverage.unprotected(),
    )  # fmt: skip


def empty_world() -> World:
    """A stack on its first day: running, and nothing in the archive."""
    return World(lines=(line("recent-backup", LineState.RED, "there is no backup yet", fix="run `stratum backup`"),))
