"""backup --kind base: a physical copy of the running cluster, published only when it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stratum import __version__
from stratum.core.base_backup import BaseManifest, TablespaceFacts
from stratum.core.errors import StratumError
from stratum.core.guard import GuardResult
from stratum.core.identity import Identity
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.wal import SEGMENT_BYTES
from stratum.engine.run_plan import new_plan_id
from stratum.engine.take_dump import clock_guard, space_guard
from stratum.engine.tripwire import record_identity, refuse_look_alike
from stratum.ports import Action, Outcome, Ports, Prepared, Role
from stratum.replication import Copied, CopyOrder

_FULL_BELOW_BYTES = 1 << 20
_STEPS = (
    Step(name="copy", summary="copy the data directory, with the WAL that makes it consistent, while the server serves",
         effect=Effect.ADDS, way_back="the unfinished copy is thrown away"),
    Step(name="publish", summary="write checksums and, last of all, the manifest", effect=Effect.ADDS,
         way_back="a backup that is whole stays: it harms nothing"),
    Step(name="remember", summary="record the cluster's identity as of now"),
)  # fmt: skip


def take_base_backup(ports: Ports) -> Outcome:
    """Copy the whole cluster now; `facts["backup_id"]` names the base backup.

    The running server is only read, after a checkpoint. Raises the tripwire's errors, `archive-…`, `disk-too-small`,
    `clock-behind`, `replication-not-permitted` and `replication-needs-restart`; after any of them no new backup is
    visible.
    """
    ports.archive.check_writable()
    refuse_look_alike(ports)
    ports.replication.check()
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb="base-backup",
        stack=ports.stack.name,
        created_at=now,
        headline="copy the whole cluster",
        steps=_STEPS,
        guards=(clock_guard(ports), _space_guard(ports)),
    )
    return ports.run(Prepared(plan=plan, actions=base_actions(plan, ports)), ports)


@dataclass(slots=True)
class _Notebook:
    """What the copy learned; a crash throws the copy away anyway."""

    started_at: datetime | None = None
    finished_at: datetime | None = None
    identity: Identity | None = None
    bootstrap_role: str = ""
    databases: tuple[str, ...] = ()
    tablespaces: tuple[TablespaceFacts, ...] = ()
    cluster_bytes: int = 0
    segment_bytes: int = SEGMENT_BYTES
    copied: Copied | None = None


def base_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Until `publish` no backup is visible, and undoing throws the copy away."""
    notebook = _Notebook()

    def copy(_: Facts) -> Facts:
        _copy(ports, ports.wal.begin_base(plan.id), notebook, label=plan.id)
        return {"backup_id": plan.id}

    def discard(_: Facts) -> None:
        ports.wal.discard_base(plan.id)

    def publish(_: Facts) -> Facts:
        manifest = _manifest(plan, ports, notebook)
        ports.wal.publish_base(manifest)
        return {"bytes": manifest.bytes, "taken_at": manifest.finished_at.isoformat()}

    def remember(_: Facts) -> None:
        record_identity(ports)

    return (
        Action(name="copy", run=copy, undo=discard),
        Action(name="publish", run=publish),
        Action(name="remember", run=remember),
    )


def _copy(ports: Ports, aside: Path, notebook: _Notebook, *, label: str) -> None:
    maintenance = ports.runtime.server(Role.MAINTENANCE).database
    notebook.started_at = maintenance.observe_health().clock_at
    notebook.identity = maintenance.observe_identity(ports.stack.databases)
    notebook.bootstrap_role = maintenance.bootstrap_role()
    notebook.databases = tuple(maintenance.database_oids())
    notebook.tablespaces = ports.replication.tablespaces()
    notebook.segment_bytes = ports.replication.segment_bytes()
    notebook.cluster_bytes = sum(maintenance.observe_size(name) for name in notebook.databases)
    try:
        with ports.progress.task("copying the cluster", total=_expected(ports), unit="bytes") as written:
            order = CopyOrder(
                into=aside, label=label, rate_limit_mb=ports.stack.protect.rate_limit_mb, on_bytes=written
            )
            notebook.copied = ports.replication.copy(order)
    except StratumError as error:
        if error.code == "tool-failed" and ports.archive.free_bytes() < _FULL_BELOW_BYTES:
            raise StratumError("archive-full", path=aside.parent) from None
        raise
    notebook.finished_at = maintenance.observe_health().clock_at


def _manifest(plan: Plan, ports: Ports, notebook: _Notebook) -> BaseManifest:
    found, copied = notebook, notebook.copied
    if found.identity is None or found.started_at is None or found.finished_at is None or copied is None:
        raise StratumError("backup-not-whole", problem="the copy was not finished")
    if not any(file.path.startswith("base.tar") and file.bytes for file in copied.files):
        raise StratumError("backup-not-whole", problem="it holds no base.tar")
    return BaseManifest(
        id=plan.id,
        stack=plan.stack,
        started_at=found.started_at,
        finished_at=found.finished_at,
        cluster=found.identity,
        bootstrap_role=found.bootstrap_role,
        segment_bytes=found.segment_bytes,
        start_lsn=copied.wal.start_lsn,
        start_timeline=copied.wal.start_timeline,
        stop_lsn=copied.wal.stop_lsn,
        tool_version=ports.runtime.tools_version(),
        stratum_version=__version__,
        databases=found.databases,
        tablespaces=found.tablespaces,
        cluster_bytes=found.cluster_bytes,
        files=copied.files,
    )


def _expected(ports: Ports) -> int | None:
    bases = ports.wal.bases()
    return bases[-1].bytes if bases else None


def _space_guard(ports: Ports) -> GuardResult:
    """The next copy is taken to be about as large as the last; the first at most as large as the databases."""
    bases = ports.wal.bases()
    if bases:
        needed = int(bases[-1].bytes * 1.2)
    else:
        maintenance = ports.runtime.server(Role.MAINTENANCE).database
        needed = sum(maintenance.observe_size(name) for name in maintenance.database_oids())
    return space_guard(what="a base backup", needed=needed, free=ports.archive.free_bytes(), where="the archive")
