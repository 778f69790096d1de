"""verify of what is physical: every stored byte of a base backup and of WAL, and the holes in what was received."""

from __future__ import annotations

from itertools import pairwise

from stratum.core.base_backup import BaseManifest
from stratum.core.errors import StratumError
from stratum.core.proof import Check, Method, Proof, Verdict, overall
from stratum.core.wal import WalInventory
from stratum.engine.run_plan import new_plan_id
from stratum.ports import Ports


def verify_base(manifest: BaseManifest, ports: Ports) -> Proof:
    """Compare a base backup's stored bytes with its record, and its tars with `backup_manifest`; record the proof.

    A pass says that the bytes are those that were written; only a drill says that they come back.
    """
    started, clock = ports.clock.now(), ports.clock.monotonic()
    checks = ports.wal.check_base(manifest)
    finished = ports.clock.now()
    proof = Proof(
        id=new_plan_id(finished),
        backup_id=manifest.id,
        method=Method.VERIFY,
        verdict=overall(checks),
        checks=checks,
        started_at=started,
        finished_at=finished,
        digest_mode=ports.stack.backup.digest,
        total_seconds=round(ports.clock.monotonic() - clock, 3),
    )
    ports.archive.record_proof(proof)
    return proof


def verify_wal(ports: Ports) -> tuple[Check, ...]:
    """Read every stored WAL file of every cluster again, and name the holes between them."""
    checks: list[Check] = []
    for cluster in ports.wal.clusters():
        checks += ports.wal.check_wal(cluster)
        checks += gaps(ports.wal.inventory(cluster))
    return tuple(checks)


def gaps(inventory: WalInventory) -> tuple[Check, ...]:
    """A failed check for each hole in a timeline's segments: moments behind it need a newer base backup."""
    found: list[Check] = []
    by_timeline: dict[int, list[int]] = {}
    for stored in inventory.segments:
        by_timeline.setdefault(stored.segment.timeline, []).append(stored.segment.number)
    for timeline, numbers in by_timeline.items():
        ordered = sorted(set(numbers))
        for before, after in pairwise(ordered):
            if after - before > 1:
                reason = f"timeline {timeline}: {after - before - 1} segments are missing after segment {before:X}"
                found.append(Check(name="wal-gap", verdict=Verdict.FAILED, reason=reason))
    return tuple(found)


def find_base(base_id: str, ports: Ports) -> BaseManifest | None:
    """The base backup of this id or of its last part; None where none is meant."""
    bases = ports.wal.bases()
    found = [base for base in bases if base.id == base_id or base.id.rsplit("-", 1)[-1] == base_id]
    if len(found) > 1:
        raise StratumError("unknown-backup", backup=base_id)
    return found[0] if found else None
