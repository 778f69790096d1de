"""How every second is kept: what is received now, the stretches it was received in, and what of it is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from stratum.core.base_backup import BaseManifest
from stratum.core.proof import Proof
from stratum.core.receiving import ProtectMode, ReceiverState
from stratum.core.timeline import Reach, Span, Timeline
from stratum.core.wal import Incarnation

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredWal:
    """What the archive holds of one cluster's WAL."""

    system_identifier: str
    incarnations: tuple[Incarnation, ...]
    """The newest first."""
    segments: int
    """Files, the one that is being received included."""
    bytes: int
    """As stored."""
    newest_at: datetime | None
    """When the newest of them was closed; None where there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverageAnswer:
    """What the console's page of protection shows."""

    format: int = FORMAT
    mode: ProtectMode
    """As stratum.toml asks for it."""
    recovery_window: timedelta
    """How far back every second is to stay reachable."""
    receiver: ReceiverState | None
    """As the agent wrote it down last; None where it never received."""
    wal: tuple[StoredWal, ...]
    """The cluster that runs now first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseAnswer:
    """One base backup with what is known of it."""

    format: int = FORMAT
    pinned: bool
    manifest: BaseManifest
    proofs: tuple[Proof, ...]
    """Oldest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """What a restore to one moment brings back, as far as the timeline knows."""

    at: datetime
    span: Span | None
    """The stretch it lies in; None before the first backup and after now."""
    earlier: datetime | None
    """The nearest moment before it that is reached exactly; None where there is none, or where it is one itself."""
    later: datetime | None
    """The nearest one after it, likewise."""

    @property
    def reach(self) -> Reach:
        return self.span.reach if self.span else Reach.NOTHING


def exact_stretches(timeline: Timeline) -> tuple[Span, ...]:
    """What is reached to the second, in order; neighbours that start from the same base backup are one."""
    found: list[Span] = []
    for span in timeline.spans:
        if span.reach is not Reach.EXACT:
            continue
        if found and found[-1].ends == span.begins and found[-1].backup_id == span.backup_id:
            found[-1] = replace(found[-1], ends=span.ends)
        else:
            found.append(span)
    return tuple(found)


def reached_at(timeline: Timeline, at: datetime) -> Reached:
    """Look a moment up on the timeline. A span holds its beginning; the last one its end as well."""
    span = next((s for s in timeline.spans if s.begins <= at < s.ends or at == s.ends == timeline.ends), None)
    if span is not None and span.reach is Reach.EXACT:
        return Reached(at=at, span=span, earlier=None, later=None)
    exact = [s for s in timeline.spans if s.reach is Reach.EXACT]
    return Reached(
        at=at,
        span=span,
        earlier=max((s.ends for s in exact if s.ends <= at), default=None),
        later=min((s.begins for s in exact if s.begins > at), default=None),
    )
