"""What is asked of a container that recovers a whole cluster in a volume, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from stratum.core.backup import DatabaseFacts, DigestMode, TableFacts
from stratum.core.identity import Identity
from stratum.core.proof import Check, Verdict, overall


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """The moment that was asked for, as it was typed; nothing means the last that the archive holds."""

    at: datetime | None = None
    lsn: str | None = None
    name: str | None = None
    before_xid: int | None = None
    timeline: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveTables:
    """What is live, to compare with: the tables of each database that is there."""

    databases: dict[str, tuple[TableFacts, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryOrder:
    """A whole cluster as of one moment."""

    stack: str
    moment: Moment
    databases: tuple[str, ...]
    """Those to look into afterwards; one that is not there at that moment is passed over."""
    digest: DigestMode | None
    """None: nothing is compared. Then every page is read by amcheck alone; rows are counted where it cannot be."""
    smoke_sql: tuple[str, ...] = ()
    """Statements the first of them has to answer well."""
    system_identifier: str | None = None
    """Which cluster; None is the one that was copied last."""
    key: str = field(default="", repr=False)
    """The age identity that opens a sealed archive; it reaches a container on its standard input alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveredCluster:
    """What was built, as its own server said before it was stopped."""

    base_id: str
    identity: Identity
    databases: tuple[DatabaseFacts, ...]
    checks: tuple[Check, ...]
    reached: str
    """Where recovery ended, in a sentence."""
    last_commit_at: datetime | None = None

    @property
    def verdict(self) -> Verdict:
        return overall(self.checks)
