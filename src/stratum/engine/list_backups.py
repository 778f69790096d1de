"""What backups there are, what is known of each, and what can be brought back when."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from stratum.core.answers import BackupAnswer, BackupsAnswer, BackupSummary, DamagedBackup, PinAnswer
from stratum.core.backup import Manifest
from stratum.core.base_backup import BaseManifest
from stratum.core.errors import StratumError
from stratum.core.proof import Proof, Verdict, standing_proofs
from stratum.core.timeline import Timeline, draw_timeline
from stratum.core.wal_reach import exact_spans
from stratum.engine.run_drill import find_manifest
from stratum.engine.verify_base import find_base
from stratum.ports import Ports

PROMISE = timedelta(hours=26)
"""How long a backup counts as recent: a daily one may take two hours."""


def list_backups(ports: Ports) -> BackupsAnswer:
    """All backups, newest first, and what in the archive is damaged. Reads manifests and proofs only."""
    standing, pinned = standing_proofs(ports.archive.proofs()), ports.archive.pinned()
    found = [_summary(m, standing.get(m.id), pinned=m.id in pinned) for m in ports.archive.manifests()]
    found += [_base_summary(b, standing.get(b.id), pinned=b.id in pinned) for b in ports.wal.bases()]
    broken = (*ports.archive.broken(), *ports.wal.broken_bases())
    return BackupsAnswer(
        backups=tuple(sorted(found, key=lambda backup: backup.taken_at, reverse=True)),
        broken=tuple(DamagedBackup(id=damaged.id, why=damaged.why) for damaged in broken),
    )


def show_backup(backup_id: str, ports: Ports) -> BackupAnswer:
    """One backup with its proofs. Raises `unknown-backup`."""
    manifest = find_manifest(backup_id, ports)
    proofs = tuple(proof for proof in ports.archive.proofs() if proof.backup_id == manifest.id)
    return BackupAnswer(pinned=manifest.id in ports.archive.pinned(), manifest=manifest, proofs=proofs)


def pin_backup(backup_id: str, ports: Ports, *, pinned: bool) -> PinAnswer:
    """Keep a backup whatever retention says, or no more. Raises `unknown-backup` and `locked`."""
    with ports.lock.hold(why="pin"):
        found = find_base(backup_id, ports) or find_manifest(backup_id, ports)
        ports.archive.pin(found.id, pinned=pinned)
    return PinAnswer(backup_id=found.id, pinned=pinned)


def export_backup(backup_id: str, into: Path, ports: Ports) -> str:
    """Copy a backup of either kind to a directory that is not there yet; its whole id. Raises `unknown-backup`."""
    base = find_base(backup_id, ports)
    if base is not None:
        ports.wal.export_base(base.id, into)
        return base.id
    manifest = find_manifest(backup_id, ports)
    ports.archive.export_backup(manifest.id, into)
    return manifest.id


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
    now, bases = ports.clock.now(), ports.wal.bases()
    return draw_timeline(
        ports.archive.manifests(),
        ports.archive.proofs(),
        ports.journal.entries(),
        now=now,
        promise=PROMISE,
        exact=exact_spans(bases, map(ports.wal.inventory, ports.wal.clusters()), now=now),
        bases=bases,
    )


def _base_summary(base: BaseManifest, proof: Proof | None, *, pinned: bool) -> BackupSummary:
    proven = proof is not None and proof.verdict is Verdict.PROVEN
    return BackupSummary(
        id=base.id,
        kind=base.kind,
        taken_at=base.finished_at,
        databases=base.databases,
        rows=0,
        bytes=base.bytes,
        postgresql_major=base.cluster.major,
        verdict=proof.verdict if proof else None,
        proven_at=proof.finished_at if proof and proven else None,
        restore_seconds=proof.restore_seconds if proof and proven else None,
        pinned=pinned,
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
