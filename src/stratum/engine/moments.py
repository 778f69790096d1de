"""Orders for recovery: what a moment is called, and what is asked of the cluster that is recovered."""

from __future__ import annotations

from stratum.core.volume_recovery import Moment, RecoveryOrder
from stratum.ports import Ports


def order_of(moment: Moment, ports: Ports, *, compared: bool = True) -> RecoveryOrder:
    """The recorded cluster as of a moment, with the stack's own smoke statements; digested where it is `compared`."""
    identity = ports.archive.recorded_identity()
    copied = {base.cluster.system_identifier for base in ports.wal.bases()}
    known = identity.system_identifier if identity and identity.system_identifier in copied else None
    return RecoveryOrder(
        stack=ports.stack.name,
        moment=moment,
        databases=ports.stack.databases,
        digest=ports.stack.backup.digest if compared else None,
        smoke_sql=ports.stack.drill.smoke_sql,
        system_identifier=known,
    )


def describe_moment(moment: Moment) -> str:
    """For a headline."""
    if moment.at is not None:
        return f"{moment.at:%Y-%m-%d %H:%M:%S} UTC"
    if moment.lsn is not None:
        return f"position {moment.lsn}"
    if moment.name is not None:
        return f"restore point {moment.name}"
    if moment.before_xid is not None:
        return f"just before transaction {moment.before_xid}"
    return "the last received write"


def moment_params(moment: Moment) -> dict[str, str | None]:
    """A moment as a plan keeps it."""
    return {
        "at": moment.at.isoformat() if moment.at else None,
        "lsn": moment.lsn,
        "name": moment.name,
        "before_xid": None if moment.before_xid is None else str(moment.before_xid),
        "timeline": None if moment.timeline is None else str(moment.timeline),
    }
