"""What the engine asks of a server's WAL: copies of the cluster, commits that wait, and named moments in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from stratum.core.backup import FileFacts
from stratum.core.base_backup import TablespaceFacts
from stratum.core.zero_loss import CommitLook


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyOrder:
    """How to copy a cluster."""

    into: Path
    """An empty directory of the archive."""
    label: str
    rate_limit_mb: int
    """MiB a second at most; 0 is as fast as it goes."""
    on_bytes: Callable[[int], None]
    """Called with the bytes written so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopiedRange:
    """The WAL a copy needs."""

    start_lsn: int
    start_timeline: int
    stop_lsn: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Copied:
    """A copy that is written, and not published yet."""

    wal: CopiedRange
    files: tuple[FileFacts, ...]
    """All it consists of, by their names in the directory they were written to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Marked:
    """Where a named restore point lies."""

    system_identifier: str
    timeline: int
    lsn: int
    at: datetime
    """By the server's clock, just after it was written."""


class Commits(Protocol):
    """When the running server acknowledges commits; asked as the maintenance role."""

    def look(self) -> CommitLook: ...
    def arm(self) -> None:
        """Let commits wait for the receiver from now on. Raises `zero-loss-not-permitted`."""

    def disarm(self) -> None:
        """Let commits wait no more; those that wait now return. Raises `zero-loss-not-permitted`."""

    def mark(self, name: str) -> Marked:
        """Write a named restore point. Raises `restore-point-not-permitted`."""

    def close(self) -> None: ...


class Replication(Protocol):
    """The running server, connected to by the role that may only replicate."""

    @property
    def commits(self) -> Commits: ...

    def check(self) -> None:
        """Raises `replication-not-permitted` and `replication-needs-restart`, each with what to set."""

    def tablespaces(self) -> tuple[TablespaceFacts, ...]:
        """Those outside the data directory."""

    def segment_bytes(self) -> int:
        """The size of the server's WAL files."""

    def copy(self, order: CopyOrder) -> Copied:
        """Copy the running cluster; it goes on serving, after a checkpoint."""
