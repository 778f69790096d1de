"""What is received and stored of the WAL, for whoever looks at how every second is kept; reads only."""

from __future__ import annotations

from stratum.core.coverage import BaseAnswer, CoverageAnswer, StoredWal
from stratum.core.errors import StratumError
from stratum.core.wal import WalInventory
from stratum.engine.verify_base import find_base
from stratum.ports import Ports


def report_coverage(ports: Ports) -> CoverageAnswer:
    """Put the receiver's own record beside what the archive holds. Raises `archive-missing`."""
    recorded = ports.archive.recorded_identity()
    current = recorded.system_identifier if recorded else None
    clusters = sorted(ports.wal.clusters(), key=lambda cluster: (cluster != current, cluster))
    return CoverageAnswer(
        mode=ports.stack.protect.mode,
        recovery_window=ports.stack.protect.recovery_window,
        receiver=ports.wal.receiver(),
        wal=tuple(stored_wal(ports.wal.inventory(cluster)) for cluster in clusters),
    )


def show_base(backup_id: str, ports: Ports) -> BaseAnswer:
    """One base backup with its proofs. Raises `unknown-backup`."""
    manifest = find_base(backup_id, ports)
    if manifest is None:
        raise StratumError("unknown-backup", backup=backup_id)
    proofs = tuple(proof for proof in ports.archive.proofs() if proof.backup_id == manifest.id)
    return BaseAnswer(pinned=manifest.id in ports.archive.pinned(), manifest=manifest, proofs=proofs)


def stored_wal(inventory: WalInventory) -> StoredWal:
    """An inventory in numbers."""
    segments = inventory.segments
    return StoredWal(
        system_identifier=inventory.system_identifier,
        incarnations=tuple(reversed(inventory.incarnations)),
        segments=len(segments),
        bytes=sum(segment.bytes for segment in segments),
        newest_at=max((segment.closed_at for segment in segments), default=None),
    )
