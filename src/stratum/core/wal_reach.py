"""Which stretches of time base backups and WAL reach exactly, as the archive holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise

from stratum.core.base_backup import BaseManifest
from stratum.core.receiving_rules import FRESH
from stratum.core.timeline import Reach, Span
from stratum.core.wal import TimelineHistory, WalInventory

Stored = dict[tuple[int, int], datetime]
"""By timeline and number: when the last byte of a segment arrived."""


def exact_spans(
    bases: Iterable[BaseManifest], inventories: Iterable[WalInventory], *, now: datetime
) -> tuple[Span, ...]:
    """In order; each moment starts from the newest base backup that reaches it.

    A stretch ends where WAL was received last; while it is received, it ends now. A base backup that no WAL follows
    reaches the moment it became consistent and no other, and is none of them.
    """
    known = {inventory.system_identifier: inventory for inventory in inventories}
    found = []
    for base in bases:
        inventory = known.get(base.cluster.system_identifier)
        furthest = furthest_reached(base, inventory) if inventory else None
        if furthest is not None:
            ends = now if now - furthest <= FRESH else furthest
            if ends > base.finished_at:
                found.append(Span(begins=base.finished_at, ends=ends, reach=Reach.EXACT, backup_id=base.id))
    return tuple(_without_overlaps(found))


def furthest_reached(base: BaseManifest, inventory: WalInventory) -> datetime | None:
    """When the last byte arrived that can be replayed on a base backup, on whichever timeline; None without WAL."""
    stored = {(s.segment.timeline, s.segment.number): s.closed_at for s in reversed(inventory.segments)}
    first = max(base.stop_lsn - 1, 0) // inventory.segment_bytes
    return max(_followed(stored, inventory.histories, base.start_timeline, first, inventory.segment_bytes),
               default=None)  # fmt: skip


def _followed(
    stored: Stored, histories: tuple[TimelineHistory, ...], timeline: int, number: int, segment_bytes: int
) -> Iterator[datetime]:
    """Along one timeline without a gap, and along each that leaves it on the way.

    The segment in which a timeline begins holds the older one's part as well, so it need not be there twice.
    """
    begins = number
    while (at := stored.get((timeline, number))) is not None:
        yield at
        number += 1
    for history in histories:
        if history.ancestors and history.ancestors[-1].parent == timeline and history.timeline > timeline:
            switch = history.ancestors[-1].lsn // segment_bytes
            if begins <= switch <= number:
                yield from _followed(stored, histories, history.timeline, switch, segment_bytes)


def _without_overlaps(spans: list[Span]) -> Iterator[Span]:
    edges = sorted({edge for span in spans for edge in (span.begins, span.ends)})
    last: Span | None = None
    for begins, ends in pairwise(edges):
        there = [span for span in spans if span.begins <= begins and ends <= span.ends]
        if not there:
            continue
        newest = max(there, key=lambda span: span.begins).backup_id
        if last is not None and last.backup_id == newest and last.ends == begins:
            last = Span(begins=last.begins, ends=ends, reach=Reach.EXACT, backup_id=newest)
            continue
        if last is not None:
            yield last
        last = Span(begins=begins, ends=ends, reach=Reach.EXACT, backup_id=newest)
    if last is not None:
        yield last
