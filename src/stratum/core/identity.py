"""What tells a cluster from its look-alikes, and the comparison the tripwire rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseIdentity:
    """One database as the tripwire remembers it."""

    name: str
    oid: int
    has_rows: bool
    """Whether any ordinary table held a row: the cheapest row-count floor there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What is known of one cluster at one moment.

    `flushed_lsn` is `pg_current_wal_flush_lsn()` as an integer: flushed WAL survives a crash, so on the
    same timeline it can never go backwards unless an older copy of the data directory is running.
    (https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-BACKUP)
    """

    system_identifier: str
    timeline: int
    flushed_lsn: int
    server_version_num: int
    databases: tuple[DatabaseIdentity, ...]
    image: str | None = None
    libc_version: str | None = None
    collation_versions: dict[str, str] = field(default_factory=dict)

    @property
    def major(self) -> int:
        return self.server_version_num // 10000


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """How far the agent saw a cluster come: seen.json of the archive, at most some seconds behind."""

    format: int = 1
    system_identifier: str
    timeline: int
    flushed_lsn: int
    beat: int
    """The canary's counter."""
    beat_at: datetime


class Likeness(StrEnum):
    """How the observed cluster relates to the recorded one. Each look-alike has its own name and its own cure."""

    UNRECORDED = "unrecorded"
    """Nothing was recorded yet: a first `up`."""
    SAME = "same"
    ABSENT = "absent"
    """A cluster was recorded, and there is no data directory now."""
    FRESH = "fresh"
    """A new, empty cluster stands where the recorded one was."""
    FOREIGN = "foreign"
    """Another cluster, with data of its own, stands where the recorded one was."""
    OLDER = "older"
    """The same cluster, gone back in time: an old copy of the data directory."""
    RECREATED = "recreated"
    """The same cluster, but a recorded database is missing, was created anew, or was emptied."""


def compare_identity(*, recorded: Identity | None, observed: Identity | None, seen: Seen | None = None) -> Likeness:
    """Say how the observed cluster relates to the recorded one.

    `observed` is None when there is no cluster at all. `seen` counts for the cluster and timeline it was seen on
    only: a cluster that was made anew, or restored to an earlier point, is not an old copy. The order of the
    questions matters: a different system identifier makes every other comparison meaningless.
    """
    if recorded is None:
        return Likeness.UNRECORDED
    if observed is None:
        return Likeness.ABSENT
    if observed.system_identifier != recorded.system_identifier:
        return Likeness.FOREIGN if any(d.has_rows for d in observed.databases) else Likeness.FRESH
    if _position(observed) < _position(recorded) or _is_behind(observed, seen):
        return Likeness.OLDER
    if recreated_databases(recorded=recorded, observed=observed):
        return Likeness.RECREATED
    return Likeness.SAME


def recreated_databases(*, recorded: Identity, observed: Identity) -> tuple[str, ...]:
    """Names of recorded databases that are missing, have another OID, or lost every row."""
    now = {d.name: d for d in observed.databases}
    return tuple(
        old.name
        for old in recorded.databases
        if (new := now.get(old.name)) is None or new.oid != old.oid or (old.has_rows and not new.has_rows)
    )


def _is_behind(observed: Identity, seen: Seen | None) -> bool:
    return (
        seen is not None
        and (seen.system_identifier, seen.timeline) == (observed.system_identifier, observed.timeline)
        and observed.flushed_lsn < seen.flushed_lsn
    )


def _position(identity: Identity) -> tuple[int, int]:
    """A restore raises the timeline, so a higher timeline with a lower LSN is not going back."""
    return identity.timeline, identity.flushed_lsn
