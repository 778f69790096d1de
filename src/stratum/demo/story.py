"""The whole story on a real PostgreSQL: bring up, fill, back up under writes, prove, lose, get back, count."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from stratum.config import load_settings
from stratum.core.backup import Manifest
from stratum.core.plan import Plan
from stratum.core.proof import Verdict
from stratum.core.services import console_address
from stratum.demo.accounting import Accounting, Ledgerbook, RecoveryPoint, era_of
from stratum.demo.clients import LedgerClients
from stratum.demo.disasters import DISASTERS, Disaster, Scene
from stratum.demo.ledger import DEFAULT_ROWS, check_invariants, create_ledger, observe_chapter
from stratum.engine.bring_up import bring_up, take_down
from stratum.engine.finish_plans import under_lock
from stratum.engine.restore import Target, restore
from stratum.engine.run_drill import find_manifest, run_drill
from stratum.engine.take_dump import take_dump
from stratum.ports import Ports, Progress
from stratum.wiring import init_stack, open_stack, without_console

FORMAT = 1
_WRITES_BETWEEN = 40
_DAMAGE_IS_FELT_S = 60.0

Say = Callable[[str], None]


class StoryStopped(Exception):
    """The story could not go on: the clients could not write, or a backup could not be proven."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovered:
    """One disaster and what the writing clients found afterwards."""

    name: str
    recovery_point: str
    rows_in_point: int
    rows_missing: int
    rows_after_point: int
    rows_unexpected: int
    recovered_s: float
    broken_invariants: tuple[str, ...]
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoReport:
    """What `stratum demo --json` prints."""

    format: int = FORMAT
    verdict: Verdict
    disasters: tuple[Recovered, ...]
    restore_s: float
    backup_s: float
    backup_rows: int
    kept: str | None = None
    """The directory of the stack that was kept, still running; None where all was removed."""
    console: str | None = None
    """Where its console is."""


@dataclass(slots=True)
class _Stage:
    """The running stack and those who write to it."""

    ports: Ports
    directory: Path
    clients: LedgerClients
    book: Ledgerbook
    say: Say
    results: list[Recovered] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return self.ports.runtime.application_environment()["DATABASE_URL"]


def tell(*, say: Say, progress: Progress, rows: int = DEFAULT_ROWS, keep: bool = False) -> DemoReport:
    """Play the story in a directory of its own, which is removed at the end. Raises StoryStopped.

    With `keep` the stack stays when the story ended, and its console is started.
    """
    with _directory(keep=keep) as directory:
        report = _play(directory, say=say, progress=progress, rows=rows)
        return replace(report, kept=str(directory), console=_start_console(directory, progress)) if keep else report


def _play(directory: Path, *, say: Say, progress: Progress, rows: int) -> DemoReport:
    with _stage(directory, say, progress, rows) as stage:
        stage.say("Four clients write transfers and remember every one the server acknowledged.")
        backup_s, manifest, restore_s = _protect(stage)
        for number, disaster in enumerate(DISASTERS, start=1):
            stage.say(f"\nDisaster {number} of {len(DISASTERS)}: {disaster.told}.")
            _suffer(stage, disaster)
            if disaster is not DISASTERS[-1]:
                _protect(stage)
    proven = all(result.verdict is Verdict.PROVEN for result in stage.results)
    return DemoReport(
        verdict=Verdict.PROVEN if proven else Verdict.FAILED,
        disasters=tuple(stage.results),
        restore_s=restore_s,
        backup_s=backup_s,
        backup_rows=manifest.rows,
    )


@contextmanager
def _directory(*, keep: bool) -> Iterator[Path]:
    """A place for one stack; it is kept only after all went well."""
    directory, done = Path(tempfile.mkdtemp(prefix="stratum-demo-")), False
    try:
        directory.chmod(0o755)
        yield directory
        done = True
    finally:
        if not (keep and done):
            shutil.rmtree(directory)


@contextmanager
def _stage(directory: Path, say: Say, progress: Progress, rows: int) -> Iterator[_Stage]:
    init_stack(directory, name="demo", archive="archive")
    ports = without_console(open_stack(directory, consent=_agree, progress=progress))
    say("Bringing a stack up: a real PostgreSQL, no Docker.")
    under_lock(ports, why="demo", verb=lambda: bring_up(ports))
    try:
        dsn = ports.runtime.application_environment()["DATABASE_URL"]
        say(f"Filling a ledger with {rows} transfers and one table of every awkward kind.")
        create_ledger(dsn, rows=rows)
        book = Ledgerbook(observe_chapter(dsn))
        clients = LedgerClients(lambda: ports.runtime.application_environment()["DATABASE_URL"])
        with clients:
            yield _Stage(ports=ports, directory=directory, clients=clients, book=book, say=say)
    finally:
        take_down(ports)


def _start_console(directory: Path, progress: Progress) -> str | None:
    """Bring the stack up again, as anybody would: with its console."""
    ports = open_stack(directory, consent=_agree, progress=progress)
    try:
        under_lock(ports, why="demo", verb=lambda: bring_up(ports))
    except BaseException:
        take_down(ports)
        raise
    return console_address(ports.services.observe(ask=False))


def _agree(plan: Plan, question: str, lines: Sequence[str]) -> bool:
    """The demo's own stack may be restored without asking anyone."""
    del plan, question, lines
    return True


def _protect(stage: _Stage) -> tuple[float, Manifest, float]:
    """Back up under writes and prove it; seconds of the backup, the backup, seconds of the drill's restore."""
    _wait_for_writes(stage)
    started = time.monotonic()
    manifest = _take_backup(stage)
    backup_s = round(time.monotonic() - started, 2)
    stage.say(f"Backup {manifest.id} under writes: {manifest.rows} rows in {backup_s:.1f} s.")
    outcome = under_lock(stage.ports, why="demo", verb=lambda: run_drill(manifest, stage.ports))
    proof = next(p for p in stage.ports.archive.proofs() if p.id == outcome.facts["proof_id"])
    if proof.verdict is not Verdict.PROVEN or proof.restore_seconds is None:
        raise StoryStopped(f"the drill says {proof.verdict}: {'; '.join(check.reason for check in proof.checks)}")
    stage.say(f"Drill: restored into a throwaway server in {proof.restore_seconds:.1f} s, every table equal: proven.")
    _wait_for_writes(stage)
    return backup_s, manifest, proof.restore_seconds


def _take_backup(stage: _Stage) -> Manifest:
    outcome = under_lock(stage.ports, why="demo", verb=lambda: take_dump(stage.ports))
    return find_manifest(str(outcome.facts["backup_id"]), stage.ports)


def _suffer(stage: _Stage, disaster: Disaster) -> None:
    before = len(stage.ports.archive.manifests())
    disaster.strike(_scene(stage))
    started = time.monotonic()
    outcome = under_lock(stage.ports, why="demo", verb=lambda: restore(stage.ports, Target()))
    seconds = round(time.monotonic() - started, 2)
    for note in outcome.plan.notes:
        stage.say(f"  {note}")
    manifest = find_manifest(str(outcome.plan.params["backup_id"]), stage.ports)
    _wait_for_writes(stage)
    accounting = _count(stage, manifest)
    broken = tuple(f"{i.name}: {i.detail}" for i in check_invariants(stage.dsn) if not i.ok)
    used_damaged = disaster.damages_newest_backup and manifest.id != stage.ports.archive.manifests()[before - 1].id
    result = _judge(disaster, manifest, accounting, seconds, (*broken, *(("used the damaged backup",) * used_damaged)))
    stage.results.append(result)
    stage.say(_told(result))
    if result.verdict is not Verdict.PROVEN:
        raise StoryStopped(f"{disaster.name}: {result}")


def _scene(stage: _Stage) -> Scene:
    data = load_settings(stage.directory).database_directory / "data"

    def take_backup() -> Path:
        return stage.ports.archive.backup_path(_take_backup(stage).id)

    return Scene(dsn=stage.dsn, data_directory=data, take_backup=take_backup)


def _count(stage: _Stage, manifest: Manifest) -> Accounting:
    """Rows by the writing clients' own memory: the recovery point's snapshot says which of them it promised."""
    facts = manifest.databases[0].facts
    era = era_of(
        system_identifier=manifest.cluster.system_identifier,
        timeline=manifest.cluster.timeline,
        database_oid=facts.properties.oid,
    )
    recovered = observe_chapter(stage.dsn)
    accounting = stage.book.account(
        point=RecoveryPoint(era=era, snapshot=facts.snapshot), recovered=recovered, evidence=stage.clients.evidence()
    )
    if accounting.clean:
        stage.book.continue_from(recovered, accounting)
    return accounting


def _judge(
    disaster: Disaster, manifest: Manifest, accounting: Accounting, seconds: float, broken: tuple[str, ...]
) -> Recovered:
    whole = accounting.clean and not broken
    return Recovered(
        name=disaster.name,
        recovery_point=manifest.id,
        rows_in_point=accounting.rows_in_point,
        rows_missing=accounting.rows_missing,
        rows_after_point=accounting.rows_after_point,
        rows_unexpected=accounting.rows_unexpected,
        recovered_s=seconds,
        broken_invariants=broken,
        verdict=Verdict.PROVEN if whole else Verdict.FAILED,
    )


def _told(result: Recovered) -> str:
    return (
        f"  back after {result.recovered_s:.1f} s from {result.recovery_point}: {result.verdict}\n"
        f"  rows of the recovery point that are missing:  {result.rows_missing} of {result.rows_in_point}\n"
        f"  rows acknowledged after it, which a dump cannot bring back:  {result.rows_after_point}"
    )


def _wait_for_writes(stage: _Stage) -> None:
    if not stage.clients.wait_for_acknowledged(_WRITES_BETWEEN, timeout_s=_DAMAGE_IS_FELT_S):
        raise StoryStopped(f"the clients could not write: {stage.clients.failures()}")
