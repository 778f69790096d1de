"""prune: apply retention; what goes and why is shown first, and nothing goes while anything looks wrong."""

from __future__ import annotations

from datetime import timedelta

from stratum.core.guard import GuardResult
from stratum.core.plan import Effect, Facts, Plan, Step, observe_progress
from stratum.core.proof import Verdict, newest_drill
from stratum.core.retention import RetentionDecision, decide_retention
from stratum.core.sizes import render_bytes
from stratum.engine.check_copies import is_copied
from stratum.engine.prune_physical import decide_base_backups, removable_wal, remove_base, remove_wal
from stratum.engine.restore_files import observe_kept_files
from stratum.engine.run_plan import new_plan_id
from stratum.engine.take_dump import clock_guard
from stratum.engine.tripwire import refuse_look_alike
from stratum.engine.undo_restore import observe_kept
from stratum.ports import Action, Outcome, Ports, Prepared, Role


def decide(ports: Ports) -> tuple[RetentionDecision, ...]:
    """What retention says of every backup now; reads only."""
    return decide_retention(
        ports.archive.manifests(),
        proofs=ports.archive.proofs(),
        pinned=ports.archive.pinned(),
        policy=ports.stack.retention,
        now=ports.clock.now(),
    )


def prune(ports: Ports) -> Outcome:
    """Remove backups that no rule keeps, and replaced databases whose undo window is over.

    Raises the tripwire's errors, `retention-stopped` and `clock-behind`; nothing is removed then. The newest
    proven backup is never removed.
    """
    refuse_look_alike(ports)
    ports.archive.check_writable()
    now = ports.clock.now()
    going = [decision for decision in decide(ports) if not decision.keep and is_copied(decision.backup_id, ports)]
    bases = [d for d in decide_base_backups(ports) if not d.keep and is_copied(d.backup_id, ports)]
    wal = removable_wal(ports)
    databases, clusters, files = _expired_databases(ports), _expired_clusters(ports), _expired_files(ports)
    plan = Plan(
        id=new_plan_id(now),
        verb="prune",
        stack=ports.stack.name,
        created_at=now,
        headline=f"remove {len(going) + len(bases)} backups and {len(databases) + len(clusters)} replaced databases",
        steps=(
            *(_backup_step(decision) for decision in (*going, *bases)),
            *(
                _step(f"wal-{cluster}", f"remove WAL before segment {first}: no base backup needs it")
                for cluster, first in wal.items()
            ),
            *(_step(f"drop-{name}", f"drop database {name}: its undo window is over") for name in databases),
            *(_step(f"delete-{label}", f"delete the data directory kept as {label}") for label in clusters),
            *(
                _step(f"discard-{name}-{label}", f"delete the files of {name} that a restore replaced ({label})")
                for name, label in files
            ),
        ),
        params={
            "backups": [decision.backup_id for decision in going],
            "bases": [decision.backup_id for decision in bases],
            "wal": [f"{cluster} {first}" for cluster, first in wal.items()],
            "databases": list(databases),
            "clusters": list(clusters),
            "files": [f"{name} {label}" for name, label in files],
        },
        guards=(_drill_guard(ports), _collapse_guard(ports), clock_guard(ports)),
    )
    return ports.run(Prepared(plan=plan, actions=prune_actions(plan, ports)), ports)


def prune_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """Each removal stands alone and can be repeated; none can be undone, so a cut plan just keeps the rest."""

    def remove(backup_id: str) -> Action:
        def run(_: Facts) -> None:
            ports.archive.remove_backup(backup_id)

        def tidy(_: Facts) -> None:
            """A removal that began is finished: the backup is not listed any more, and half of it is no use."""
            if all(manifest.id != backup_id for manifest in ports.archive.manifests()):
                ports.archive.remove_backup(backup_id)

        return Action(name=f"remove-{backup_id}", run=run, undo=tidy)

    def drop(name: str) -> Action:
        def run(_: Facts) -> None:
            ports.runtime.server(Role.MAINTENANCE).database.drop_database(name)

        return Action(name=f"drop-{name}", run=run)

    def delete(label: str) -> Action:
        def run(_: Facts) -> None:
            ports.runtime.remove_kept_cluster(label)

        return Action(name=f"delete-{label}", run=run)

    def discard(entry: str) -> Action:
        name, label = entry.split(" ")

        def run(_: Facts) -> None:
            ports.file_sets.discard(name, label)

        return Action(name=f"discard-{name}-{label}", run=run)

    return (
        *(remove(name) for name in _names(plan, "backups")),
        *(remove_base(name, ports) for name in _names(plan, "bases")),
        *(remove_wal(entry, ports) for entry in _names(plan, "wal")),
        *(drop(name) for name in _names(plan, "databases")),
        *(delete(name) for name in _names(plan, "clusters")),
        *(discard(entry) for entry in _names(plan, "files")),
    )


def _names(plan: Plan, param: str) -> tuple[str, ...]:
    value = plan.params.get(param)
    return tuple(value) if isinstance(value, list) else ()


def _backup_step(decision: RetentionDecision) -> Step:
    why = f"{', '.join(decision.reasons)}; frees {render_bytes(decision.bytes)}"
    return _step(f"remove-{decision.backup_id}", f"remove backup {decision.backup_id}: {why}")


def _step(name: str, summary: str) -> Step:
    return Step(name=name, summary=summary, effect=Effect.REMOVES, way_back="none: what is removed is gone")


def _expired_databases(ports: Ports) -> tuple[str, ...]:
    oldest = ports.clock.now() - ports.stack.restore.undo_window
    return tuple(kept.name for kept in observe_kept(ports) if kept.since < oldest)


_SET_ASIDE = frozenset({"restore", "restore-cluster", "undo-restore-cluster"})
"""Verbs whose plans keep a data directory that they replaced."""


def _expired_clusters(ports: Ports) -> tuple[str, ...]:
    """Data directories that a restore set aside longer ago than the undo window, by that restore's journal."""
    oldest: dict[str, bool] = {}
    entries = ports.journal.entries()
    for plan in (entry.plan for entry in entries if entry.plan is not None and entry.verb in _SET_ASIDE):
        ended = observe_progress(entries, plan.id).ended_at
        expired = ended is not None and ports.clock.now() - ended > _at_least_a_day(ports.stack.restore.undo_window)
        oldest[str(plan.params.get("aside"))] = expired
    return tuple(label for label in ports.runtime.kept_clusters() if oldest.get(label, False))


def _expired_files(ports: Ports) -> tuple[tuple[str, str], ...]:
    """What restores of files replaced longer ago than the undo window, where it can be deleted from here."""
    window = ports.stack.restore.undo_window
    return tuple(
        (kept.name, kept.label)
        for kept in observe_kept_files(ports)
        if ports.clock.now() - kept.since > window and ports.file_sets.writable(kept.name)
    )


def _at_least_a_day(window: timedelta) -> timedelta:
    """What a disaster left is looked at by people; they get a day whatever the setting."""
    return max(window, timedelta(days=1))


def _drill_guard(ports: Ports) -> GuardResult:
    drill = newest_drill(ports.archive.proofs())
    holds = drill is None or drill.verdict is Verdict.PROVEN
    said = f"the newest drill ({drill.backup_id}) says {drill.verdict}" if drill else "no drill was run yet"
    return GuardResult(name="newest-drill-holds", holds=holds, statement=said, code="retention-stopped",
                       details={"reason": said})  # fmt: skip


def _collapse_guard(ports: Ports) -> GuardResult:
    """Rows that collapsed mean an accident whose cure may be an old backup: keep them all."""
    entries = [entry for entry in ports.journal.entries() if entry.verb == "backup" and entry.end is not None]
    last = entries[-1] if entries else None
    collapsed = last is not None and last.error is not None and last.error.get("code") == "rows-collapsed"
    said = "the newest dump lost most of its rows" if collapsed else "row counts have not collapsed"
    return GuardResult(name="row-counts-hold", holds=not collapsed, statement=said, code="retention-stopped",
                       details={"reason": said})  # fmt: skip
