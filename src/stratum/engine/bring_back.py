"""restore on the host of a Compose stack: out of what a lost volume comes back, WAL or a dump."""

from __future__ import annotations

from datetime import datetime

from stratum.core.errors import StratumError
from stratum.core.volume_recovery import Moment
from stratum.engine.rebuild_volume import rebuild_volume
from stratum.engine.recover_volume import recover_volume
from stratum.engine.restore import Target
from stratum.ports import Outcome, Ports
from stratum.project import Project

_INSTEAD = frozenset({"recovery-failed", "wal-damaged", "target-out-of-reach", "server-start-failed", "backup-damaged"})
"""What ends a recovery while the dumps may still be whole."""


def bring_back(ports: Ports, project: Project, target: Target, *, why: str) -> Outcome:
    """Bring a lost cluster back: from a base backup and WAL where they reach later than the newest dump, else from it.

    Where WAL that promised more turns out to be damaged, the newest dump is taken, and that is said. Raises what
    `recover_volume` and `rebuild_volume` raise.
    """
    if target.backup_id is None and target.database is None and reaches_later(ports, target.at):
        try:
            return recover_volume(ports, project, Moment(at=target.at), why=why)
        except StratumError as error:
            if error.code not in _INSTEAD:
                raise
            ports.progress.say(f"the newest base backup does not come back ({error.message}); a dump is taken instead")
    return rebuild_volume(ports, project, target, why=why)


def reaches_later(ports: Ports, at: datetime | None) -> bool:
    """Whether a base backup and the WAL after it come closer to the moment than any dump of the recorded cluster."""
    identity = ports.archive.recorded_identity()
    bases = [
        base
        for base in ports.wal.bases()
        if identity is None or base.cluster.system_identifier == identity.system_identifier
    ]
    if not bases or (at is not None and at < bases[0].finished_at):
        return False
    system = bases[-1].cluster.system_identifier
    received = [segment.closed_at for segment in ports.wal.inventory(system).segments]
    reached = max([bases[-1].finished_at, *received])
    dumps = [manifest.taken_at for manifest in ports.archive.manifests() if at is None or manifest.taken_at <= at]
    return not dumps or min(reached, at or reached) >= max(dumps)
