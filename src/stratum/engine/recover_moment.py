"""restore --at on a living cluster, and drill --at: a moment is recovered aside, looked at, and filed as a dump."""

from __future__ import annotations

from datetime import datetime

from stratum import __version__
from stratum.core.backup import DIGEST_ALGORITHM, BackupKind, DumpedDatabase, Manifest
from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.proof import Check, Method, Proof, Verdict, listed, overall
from stratum.core.volume_recovery import Moment
from stratum.engine.moments import describe_moment, moment_params, order_of
from stratum.engine.run_plan import new_plan_id
from stratum.engine.take_dump import file_name, space_guard
from stratum.ports import Action, Outcome, Ports, Prepared
from stratum.recovery import RecoveredServer

_SPARE_BYTES = 256 << 20
_FILE_STEPS = (
    Step(name="recover", summary="recover the cluster of that moment in a throwaway server, look at it, and dump it",
         effect=Effect.ADDS, way_back="server and dump are thrown away"),
    Step(name="publish", summary="write checksums and, last of all, the manifest", effect=Effect.ADDS,
         way_back="a backup that is whole stays: it harms nothing"),
)  # fmt: skip
_DRILL_STEPS = (
    Step(name="drill", summary="recover the cluster of that moment in a throwaway server, look at it, throw it away",
         effect=Effect.NONE, way_back="the throwaway server is removed"),
)  # fmt: skip


def file_moment(ports: Ports, moment: Moment, *, database: str) -> Outcome:
    """File one database as it was at a moment as an ordinary backup; `facts["backup_id"]` names it.

    The live cluster is not touched. Raises `no-backup-yet`, `target-out-of-reach`, `wal-damaged`, `recovery-failed`
    and `disk-too-small`.
    """
    ports.archive.check_writable()
    ports.recovery.check(order_of(moment, ports))
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb="moment",
        stack=ports.stack.name,
        created_at=now,
        headline=f"file {database} as of {describe_moment(moment)} as a backup",
        steps=_FILE_STEPS,
        params={"database": database, **moment_params(moment)},
        guards=(space_guard(what="recovery", needed=needed_bytes(ports), free=ports.runtime.free_bytes(),
                            where="the scratch directory"),),
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=moment_actions(plan, ports)), ports)


def moment_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Until `publish` no backup is visible, and undoing throws everything away."""
    found: list[Manifest] = []

    def recover(_: Facts) -> Facts:
        name = str(plan.params["database"])
        aside = ports.archive.begin_backup(plan.id)
        with ports.recovery.throwaway(order_of(moment_of(plan), ports)) as recovered:
            refuse_failed(recovered.cluster.checks)
            server = recovered.server
            server.tools.dump_roles(aside / "globals.sql")
            (aside / "globals.sql").chmod(0o600)
            with server.database.snapshot(name) as snapshot:
                facts = snapshot.observe_facts(ports.stack.backup.digest)
                server.tools.dump(name, snapshot=snapshot.name, into=aside / file_name(name))
            version = server.tools.archive_version(aside / file_name(name))
            dumped = DumpedDatabase(path=file_name(name), archive_version=version, facts=facts)
            found.append(_manifest(plan, ports, recovered, dumped))
        return {"backup_id": plan.id, "reached": recovered.cluster.reached, "base_id": recovered.cluster.base_id}

    def discard(_: Facts) -> None:
        ports.archive.discard_partial(plan.id)

    def publish(_: Facts) -> Facts:
        if not found:
            raise StratumError("backup-not-whole", problem="the moment was not recovered")
        ports.archive.publish(found[0])
        return {"rows": found[0].rows}

    return (Action(name="recover", run=recover, undo=discard), Action(name="publish", run=publish))


def drill_moment(ports: Ports, moment: Moment) -> Outcome:
    """Prove that a moment can be reached, or say why it could not be. The running database is not touched.

    The verdict is recorded whatever it is; `facts["proof_id"]` names it. Raises `no-backup-yet`,
    `target-out-of-reach` and `disk-too-small` before anything is written.
    """
    base_id = ports.recovery.check(order_of(moment, ports))
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb="drill-moment",
        stack=ports.stack.name,
        created_at=now,
        headline=f"drill {describe_moment(moment)}",
        steps=_DRILL_STEPS,
        params={"base_id": base_id, **moment_params(moment)},
        guards=(space_guard(what="the drill", needed=needed_bytes(ports), free=ports.runtime.free_bytes(),
                            where="the scratch directory"),),
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=drill_moment_actions(plan, ports)), ports)


def drill_moment_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's step does. Undone, no throwaway server is left."""

    def drill(_: Facts) -> Facts:
        proof, reached = _prove(plan, ports)
        ports.archive.record_proof(proof)
        return {"proof_id": proof.id, "verdict": proof.verdict.value, "reached": reached}

    def sweep(_: Facts) -> None:
        ports.runtime.sweep_scratch()

    return (Action(name="drill", run=drill, undo=sweep),)


def refuse_failed(checks: tuple[Check, ...]) -> None:
    """Raises `recovery-failed` where a look at the recovered cluster failed."""
    failed = [f"{check.name}: {check.reason}" for check in checks if check.verdict is Verdict.FAILED]
    if failed:
        raise StratumError("recovery-failed", problem=listed(failed))


def moment_of(plan: Plan) -> Moment:
    """The moment a plan is about."""
    params = {key: None if plan.params.get(key) is None else str(plan.params[key]) for key in _KEYS}
    return Moment(
        at=datetime.fromisoformat(params["at"]) if params["at"] else None,
        lsn=params["lsn"],
        name=params["name"],
        before_xid=int(params["before_xid"]) if params["before_xid"] else None,
        timeline=int(params["timeline"]) if params["timeline"] else None,
    )


_KEYS = ("at", "lsn", "name", "before_xid", "timeline")


def _manifest(plan: Plan, ports: Ports, recovered: RecoveredServer, dumped: DumpedDatabase) -> Manifest:
    cluster, server = recovered.cluster, recovered.server
    return Manifest(
        id=plan.id,
        kind=BackupKind.DUMP,
        stack=plan.stack,
        started_at=plan.created_at,
        taken_at=moment_of(plan).at or cluster.last_commit_at or plan.created_at,
        finished_at=ports.clock.now(),
        cluster=cluster.identity,
        bootstrap_role=server.database.bootstrap_role(),
        tool_version=ports.runtime.tools_version(),
        stratum_version=__version__,
        digest_algorithm=DIGEST_ALGORITHM,
        digest_mode=ports.stack.backup.digest,
        databases=(dumped,),
        roles=server.database.roles(),
        files=ports.archive.measure(ports.archive.partial_path(plan.id)),
    )


def _prove(plan: Plan, ports: Ports) -> tuple[Proof, str]:
    started, clock = ports.clock.now(), ports.clock.monotonic()
    checks: tuple[Check, ...]
    seconds, rows, reached, base_id = None, None, "", str(plan.params["base_id"])
    try:
        with ports.recovery.throwaway(order_of(moment_of(plan), ports)) as recovered:
            found = recovered.cluster
            checks, seconds, reached, base_id = found.checks, recovered.seconds, found.reached, found.base_id
            rows = sum(facts.rows for facts in found.databases)
    except StratumError as error:
        if error.code not in {"recovery-failed", "wal-damaged"}:
            raise
        checks = (Check(name="recovery", verdict=Verdict.FAILED, reason=error.message),)
    proof = Proof(
        id=plan.id,
        backup_id=base_id,
        method=Method.DRILL,
        verdict=overall(checks),
        checks=checks,
        started_at=started,
        finished_at=ports.clock.now(),
        digest_mode=ports.stack.backup.digest,
        rows=rows,
        restore_seconds=None if seconds is None else round(seconds, 3),
        total_seconds=round(ports.clock.monotonic() - clock, 3),
    )
    return proof, reached


def needed_bytes(ports: Ports) -> int:
    """What a recovered cluster takes on the scratch disk, about."""
    bases = ports.wal.bases()
    return (bases[-1].cluster_bytes if bases else 0) + _SPARE_BYTES
