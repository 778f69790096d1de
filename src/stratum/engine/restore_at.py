"""restore --at: the moment itself where WAL reaches it, the newest dump before it where none does."""

from __future__ import annotations

from dataclasses import replace

from stratum.core.errors import StratumError
from stratum.core.recovery_path import SKEW
from stratum.core.volume_recovery import Moment
from stratum.engine.bring_back import reaches_later
from stratum.engine.moments import describe_moment, order_of
from stratum.engine.recover_moment import file_moment
from stratum.engine.restore import Target, restore
from stratum.engine.restore_cluster import find_replaced, restore_cluster, undo_cluster
from stratum.engine.restore_table import restore_table
from stratum.engine.undo_restore import observe_kept, undo_restore
from stratum.ports import Outcome, Ports, RunState

_NOT_EXACT = frozenset({"target-out-of-reach", "no-backup-yet"})


def restore_to(ports: Ports, target: Target, moment: Moment | None, *, table: tuple[str, str] | None = None) -> Outcome:
    """Bring one database, or one table of it, back to a backup or a moment.

    With a moment the cluster of then is recovered aside and the database dumped out of it; that dump is an ordinary
    backup, and is restored as one. A lost cluster comes back whole, from WAL where it reaches later than the newest
    dump. Raises what recovery and restores raise; the live database is untouched after any of it.
    """
    everything = target.backup_id is None and target.database is None and table is None
    if everything and _is_lost(ports) and _reaches(ports, target, moment):
        return restore_cluster(ports, moment or Moment())
    if moment is None or not _is_exact(ports, moment):
        return _restore(ports, target, table)
    filed = file_moment(ports, moment, database=target.database or ports.stack.databases[0])
    if filed.end is None:
        return filed
    return _restore(ports, replace(target, backup_id=str(filed.facts["backup_id"]), at=None), table)


def undo_last(ports: Ports, database: str | None) -> Outcome:
    """Take back whichever came last: a switch of the whole cluster, or a restore of one database."""
    if database is None and _cluster_came_last(ports):
        return undo_cluster(ports)
    return undo_restore(ports, database)


def _restore(ports: Ports, target: Target, table: tuple[str, str] | None) -> Outcome:
    return restore(ports, target) if table is None else restore_table(ports, target, table)


def _is_exact(ports: Ports, moment: Moment) -> bool:
    """Whether WAL reaches it; a time that it does not reach is the newest dump's before it, and that is said."""
    if ports.runtime.observe().state is not RunState.RUNNING:
        return False
    try:
        ports.recovery.check(order_of(moment, ports))
    except StratumError as error:
        asks_for_more = moment.at is None or moment.timeline is not None or moment.at > ports.clock.now() + SKEW
        if asks_for_more or error.code not in _NOT_EXACT:
            raise
        if not any(moment.at is not None and manifest.taken_at <= moment.at for manifest in ports.archive.manifests()):
            raise
        ports.progress.say(
            f"{describe_moment(moment)} is not reached exactly ({error.message}); the newest dump before it is taken"
        )
        return False
    return True


def _reaches(ports: Ports, target: Target, moment: Moment | None) -> bool:
    """Whether WAL reaches it better than a dump; a position or a name only WAL knows."""
    return (moment is not None and moment.at is None) or reaches_later(ports, target.at)


def _is_lost(ports: Ports) -> bool:
    """Whether a whole cluster is to be brought back here, on the embedded runtime."""
    lost = ports.runtime.observe().state in {RunState.ABSENT, RunState.DAMAGED}
    return lost and not ports.stack.external and not ports.inside


def _cluster_came_last(ports: Ports) -> bool:
    label = find_replaced(ports)
    if label is None or ports.runtime.observe().state is not RunState.RUNNING:
        return label is not None
    switched = max(e.at for e in ports.journal.entries() if e.plan is not None and e.plan.params.get("aside") == label)
    kept = observe_kept(ports)
    return not kept or kept[0].since < switched
