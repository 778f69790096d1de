"""Ways to a moment out of one archive: what base backups and WAL are tried, and what is said where none leads to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from stratum.adapters.wal_store import DirectoryWalStore
from stratum.core.errors import StratumError
from stratum.core.recovery_path import OutOfReach, RecoveryPath, never_came, plan_path
from stratum.core.volume_recovery import Moment, RecoveryOrder


def find_path(store: DirectoryWalStore, order: RecoveryOrder) -> RecoveryPath:
    """Which base backup and WAL reach the moment. Raises `no-backup-yet` and `target-out-of-reach`."""
    return next(find_paths(store, order))


def find_paths(store: DirectoryWalStore, order: RecoveryOrder) -> Iterator[RecoveryPath]:
    """The way to a moment; for a name or a transaction, of which no clock says when it was, from each older base too.

    Raises `no-backup-yet`, and `target-out-of-reach` where there is no way, or no other one.
    """
    bases, moment = store.bases(), order.moment
    if not bases:
        raise StratumError("no-backup-yet")
    inventory = store.inventory(order.system_identifier or bases[-1].cluster.system_identifier)
    found = plan_path(bases, inventory, moment, now=datetime.now(UTC))
    while isinstance(found, RecoveryPath):
        yield found
        gap = found.gap if moment.at is not None else None
        older = [base for base in bases if base.stop_lsn < found.base.stop_lsn]
        found = plan_path(older, inventory, moment, now=datetime.now(UTC))
        if isinstance(found, OutOfReach) or moment.lsn is not None or moment.at is not None:
            found = never_came(bases, inventory, moment, now=datetime.now(UTC), gap=gap)
    raise out_of_reach(moment, found)


def out_of_reach(moment: Moment, found: OutOfReach) -> StratumError:
    """The refusal a person sees, with the nearest moments that can be reached."""
    nearest = [f"{at:%Y-%m-%d %H:%M:%S} UTC" for at in (found.earlier, found.later) if at is not None]
    wanted = {"lsn": moment.lsn, "name": moment.name, "transaction": moment.before_xid}
    named = next((f"{kind} {value}" for kind, value in wanted.items() if value is not None), "the last moment")
    return StratumError(
        "target-out-of-reach",
        target=f"{moment.at:%Y-%m-%d %H:%M:%S} UTC" if moment.at else named,
        why=found.why.format_map(found.details),
        nearest=" and ".join(nearest) or "none; `stratum backups list` shows the dumps",
    )
