"""What backups there are, what is known of each, and what can be brought back when."""

from __future__ import annotations

from datetime import timedelta

from stratum.core.answers import BackupAnswer, BackupsAnswer, BackupSummary, DamagedBackup, PinAnswer
from stratum.core.backup import Manifest
from stratum.core.errors import StratumError
from stratum.core.proof import Proof, Verdict, standing_proofs
from stratum.core.timeline import Timeline, draw_timeline
from stratum.engine.run_drill import find_manifest
from stratum.ports import Ports

PROMISE = timedelta(hours=26)
"""How long a backup counts as recent: a daily one may take two hours."""


def list_backups(ports: Ports) -> BackupsAnswer:
    """All backups, newest first, and what in the archive is damaged. Reads manifests and proofs only."""
    standing, pinned = standing_proofs(ports.archive.proofs()), ports.archive.pinned()
    newest_first = reversed(ports.archive.manifests())
    return BackupsAnswer(
        backups=tuple(_summary(m, standing.get(m.id), pinned=m.id in pinned) for m in newest_first),
        broken=tuple(DamagedBackup(id=found.id, why=found.why) for found in ports.archive.broken()),
    )


def show_backup(backup_id: str, ports: Ports) -> BackupAnswer:
    """One backup with its proofs. Raises `unknown-backup`."""
    manifest = find_manifest(backup_id, ports)
    proofs = tuple(proof for proof in ports.archive.proofs() if proof.backup_id == manifest.id)
    return BackupAnswer(pinned=manifest.id in ports.archive.pinned(), manifest=manifest, proofs=proofs)


def pin_backup(backup_id: str, ports: Ports, *, pinned: bool) -> PinAnswer:
    """Keep a backup whatever retention says, or no more. Raises `unknown-backup` and `locked`."""
    with ports.lock.hold(why="pin"):
        manifest = find_manifest(backup_id, ports)
        ports.archive.pin(manifest.id, pinned=pinned)
    return PinAnswer(backup_id=manifest.id, pinned=pinned)


def choose_manifest(backup_id: str | None, ports: Ports) -> Manifest:
    """The backup that is named, else the newest. Raises `unknown-backup` and `no-backup-yet`."""
    if backup_id is not None:
        return find_manifest(backup_id, ports)
    manifests = ports.archive.manifests()
    if not manifests:
        raise StratumError("no-backup-yet")
    return manifests[-1]


def observe_timeline(ports: Ports) -> Timeline:
    """What can be brought back until now, from what the archive holds."""
    return draw_timeline(
        ports.archive.manifests(),
        ports.archive.proofs(),
        ports.journal.entries(),
        now=ports.clock.now(),
        promise=PROMISE,
    )


def _summary(manifest: Manifest, proof: Proof | None, *, pinned: bool) -> BackupSummary:
    proven = proof is not None and proof.verdict is Verdict.PROVEN
    return BackupSummary(
        id=manifest.id,
        kind=manifest.kind,
        taken_at=manifest.taken_at,
        databases=tuple(database.facts.properties.name for database in manifest.databases),
        rows=manifest.rows,
        bytes=manifest.bytes,
        postgresql_major=manifest.cluster.major,
        verdict=proof.verdict if proof else None,
        proven_at=proof.finished_at if proof and proven else None,
        restore_seconds=proof.restore_seconds if proof and proven else None,
        pinned=pinned,
    )
