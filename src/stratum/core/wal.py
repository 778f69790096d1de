"""Write-ahead log as the archive knows it: positions, segments, timelines and what one of them continues."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

FORMAT = 1
SEGMENT_BYTES = 16 << 20
"""PostgreSQL's default; `initdb --wal-segsize` may have chosen another, so records carry the size."""

_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class SegmentName:
    """One WAL file by what its name says.

    (https://www.postgresql.org/docs/current/wal-internals.html)
    """

    timeline: int
    number: int
    """Counts segments from the beginning of all WAL: `lsn // segment_bytes`."""

    def file_name(self, segment_bytes: int = SEGMENT_BYTES) -> str:
        """As PostgreSQL writes it: timeline and number, the latter in two halves."""
        high, low = divmod(self.number, (1 << 32) // segment_bytes)
        return f"{self.timeline:08X}{high:08X}{low:08X}"


def parse_segment_name(name: str, segment_bytes: int = SEGMENT_BYTES) -> SegmentName | None:
    """The segment a file of this name holds; None for anything else, `.partial` and `.history` included."""
    found = _SEGMENT.fullmatch(name)
    if found is None:
        return None
    timeline, high, low = (int(part, 16) for part in found.groups())
    per_high = (1 << 32) // segment_bytes
    return SegmentName(timeline=timeline, number=high * per_high + low) if low < per_high else None


def segment_of(lsn: int, *, timeline: int, segment_bytes: int = SEGMENT_BYTES) -> SegmentName:
    """The segment that holds the byte at `lsn`."""
    return SegmentName(timeline=timeline, number=lsn // segment_bytes)


def parse_lsn(text: str) -> int:
    """`0/16B3748` as a number of bytes. Raises ValueError for anything else."""
    found = _LSN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a WAL position such as 0/16B3748")
    high, low = (int(part, 16) for part in found.groups())
    return (high << 32) + low


def render_lsn(lsn: int) -> str:
    """A position as PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """Where a timeline left the one it continues: the parent holds everything before `lsn`."""

    parent: int
    lsn: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TimelineHistory:
    """A `.history` file: the ancestors of a timeline, oldest first. Timeline 1 has none and no file."""

    timeline: int
    ancestors: tuple[Switch, ...]


def parse_history_name(name: str) -> int | None:
    """The timeline whose history a file of this name holds."""
    found = _HISTORY.fullmatch(name)
    return int(found.group(1), 16) if found else None


def history_name(timeline: int) -> str:
    """The file that says what a timeline continues."""
    return f"{timeline:08X}.history"


def parse_history(timeline: int, text: str) -> TimelineHistory:
    """Read a `.history` file. Raises ValueError where a line is none of its kind.

    (https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES)
    """
    ancestors = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parent, lsn, *reason = line.split(maxsplit=2)
        ancestors.append(Switch(parent=int(parent), lsn=parse_lsn(lsn), reason=reason[0].strip() if reason else ""))
    return TimelineHistory(timeline=timeline, ancestors=tuple(ancestors))


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredSegment:
    """One WAL file of the archive."""

    segment: SegmentName
    bytes: int
    """As stored."""
    sha256: str
    """Of the stored file; empty for one that is still being received."""
    closed_at: datetime
    """When the last byte of it arrived."""
    partial: bool = False
    """Whether WAL stops inside it: the rest of the file is zeros."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Incarnation:
    """One stretch of receiving: from a start with a new slot to the next switch of the cluster."""

    name: str
    """`<timeline>-<when>`, as its directory `receiving-<name>` is called."""
    timeline: int
    began_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WalInventory:
    """All WAL that the archive holds of one cluster."""

    system_identifier: str
    segment_bytes: int
    segments: tuple[StoredSegment, ...]
    """Complete ones in order; of the others (`partial`) the longest of each name, after them."""
    histories: tuple[TimelineHistory, ...]
    incarnations: tuple[Incarnation, ...]
    """In the order they began."""
