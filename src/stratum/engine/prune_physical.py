"""prune of what is physical: base backups outside the recovery window, and WAL that no base backup needs."""

from __future__ import annotations

from stratum.core.plan import Facts
from stratum.core.proof import Verdict, standing_proofs
from stratum.core.retention import RetentionDecision, decide_bases, oldest_needed
from stratum.core.wal import parse_segment_name
from stratum.engine.check_copies import wal_is_copied
from stratum.ports import Action, Ports


def decide_base_backups(ports: Ports) -> tuple[RetentionDecision, ...]:
    """What the recovery window says of every base backup now; reads only."""
    proven = [proof for proof in standing_proofs(ports.archive.proofs()).values() if proof.verdict is Verdict.PROVEN]
    known = {base.id: base for base in ports.wal.bases()}
    newest = max((proof for proof in proven if proof.backup_id in known),
                 key=lambda proof: known[proof.backup_id].finished_at, default=None)  # fmt: skip
    needed = ports.archive.pinned() | (frozenset({newest.backup_id}) if newest else frozenset())
    return decide_bases(known.values(), needed=needed, window=ports.stack.protect.recovery_window,
                        now=ports.clock.now())  # fmt: skip


def removable_wal(ports: Ports) -> dict[str, str]:
    """Of each cluster the first segment that stays, where older ones are there."""
    found: dict[str, str] = {}
    if not wal_is_copied(ports):
        return found
    for cluster, first in oldest_needed(ports.wal.bases(), decide_base_backups(ports)).items():
        if any(s.sha256 and s.segment.number < first.number for s in ports.wal.inventory(cluster).segments):
            found[cluster] = first.file_name()
    return found


def remove_base(base_id: str, ports: Ports) -> Action:
    """Remove one base backup; a removal that began is finished."""

    def run(_: Facts) -> None:
        ports.wal.remove_base(base_id)

    def tidy(_: Facts) -> None:
        if all(manifest.id != base_id for manifest in ports.wal.bases()):
            ports.wal.remove_base(base_id)

    return Action(name=f"remove-{base_id}", run=run, undo=tidy)


def remove_wal(entry: str, ports: Ports) -> Action:
    """Remove a cluster's WAL before a segment, by `<system identifier> <first that stays>`.

    What is needed is looked up again: a base backup that appeared meanwhile is not robbed of its WAL.
    """
    cluster, _, first = entry.partition(" ")

    def run(_: Facts) -> Facts:
        planned = parse_segment_name(first)
        needed = oldest_needed(ports.wal.bases(), decide_base_backups(ports)).get(cluster)
        if planned is None or needed is None:
            return {}
        before = min(planned, needed, key=lambda segment: segment.number)
        return {"freed_bytes": ports.wal.remove_wal(cluster, before=before)}

    return Action(name=f"wal-{cluster}", run=run)
