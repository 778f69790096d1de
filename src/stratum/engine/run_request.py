"""Runs the verb that a request names, exactly as the command line runs it."""

from __future__ import annotations

from collections.abc import Callable

from stratum.core.backup import BackupKind
from stratum.core.base_backup import BaseManifest
from stratum.core.job import JobRequest, JobVerb
from stratum.core.plan import Plan, PlanEnd, Step
from stratum.core.volume_recovery import Moment
from stratum.engine.list_backups import choose_manifest
from stratum.engine.prune import prune
from stratum.engine.recover_moment import drill_moment
from stratum.engine.restore import Target
from stratum.engine.restore_at import restore_to, undo_last
from stratum.engine.run_drill import run_drill
from stratum.engine.run_plan import new_plan_id, run_plan
from stratum.engine.take_base_backup import take_base_backup
from stratum.engine.take_dump import take_dump
from stratum.engine.verify_backup import verify_backup
from stratum.engine.verify_base import find_base, verify_base
from stratum.ports import Outcome, Ports


def run_request(request: JobRequest, ports: Ports) -> Outcome:
    """Carry it out, or show its plan where the ports are those of a dry run. The caller holds the lock.

    Raises what the verb raises; a guard that does not hold is its error.
    """
    return _VERBS[request.verb](request, ports)


def _backup(request: JobRequest, ports: Ports) -> Outcome:
    if request.kind is BackupKind.BASE:
        return take_base_backup(ports)
    return take_dump(ports, accept_fewer_rows=request.accept_fewer_rows)


def _verify(request: JobRequest, ports: Ports) -> Outcome:
    """A verification changes nothing that could be taken back, so it has a plan to look at and none in the journal."""
    base = find_base(request.backup_id, ports) if request.backup_id is not None else None
    manifest = base or choose_manifest(request.backup_id, ports)
    plan = _verification(manifest.id, ports)
    if ports.run is not run_plan:
        return Outcome(plan=plan, end=None, facts={})
    proof = verify_base(manifest, ports) if isinstance(manifest, BaseManifest) else verify_backup(manifest, ports)
    facts = {"backup_id": manifest.id, "proof_id": proof.id, "verdict": proof.verdict.value}
    return Outcome(plan=plan, end=PlanEnd.DONE, facts={**facts})


def _verification(backup_id: str, ports: Ports) -> Plan:
    now = ports.clock.now()
    return Plan(
        id=new_plan_id(now),
        verb="verify",
        stack=ports.stack.name,
        created_at=now,
        headline=f"verify {backup_id}",
        steps=(Step(name="verify", summary="read every stored byte and compare it with the manifest"),),
        params={"backup_id": backup_id},
    )


def _drill(request: JobRequest, ports: Ports) -> Outcome:
    if request.at is not None:
        return drill_moment(ports, Moment(at=request.at))
    return run_drill(choose_manifest(request.backup_id, ports), ports)


def _restore(request: JobRequest, ports: Ports) -> Outcome:
    target = Target(backup_id=request.backup_id, at=request.at, database=request.database, into=request.into)
    return restore_to(ports, target, Moment(at=request.at) if request.at else None)


def _undo(request: JobRequest, ports: Ports) -> Outcome:
    return undo_last(ports, request.database)


def _prune(_: JobRequest, ports: Ports) -> Outcome:
    return prune(ports)


_VERBS: dict[JobVerb, Callable[[JobRequest, Ports], Outcome]] = {
    JobVerb.BACKUP: _backup,
    JobVerb.VERIFY: _verify,
    JobVerb.DRILL: _drill,
    JobVerb.RESTORE: _restore,
    JobVerb.UNDO_RESTORE: _undo,
    JobVerb.PRUNE: _prune,
}
