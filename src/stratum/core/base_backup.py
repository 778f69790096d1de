"""What a base backup is: the record beside every physical copy of a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from stratum.core.backup import BackupKind, FileFacts
from stratum.core.identity import Identity

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class TablespaceFacts:
    """A tablespace outside the data directory; its files are in a tar of their own."""

    oid: int
    location: str
    """Where it was on the server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseManifest:
    """The record of one base backup; written last, so one without it does not exist."""

    format: int = FORMAT
    id: str
    kind: BackupKind = BackupKind.BASE
    stack: str
    started_at: datetime
    """By the server's clock."""
    finished_at: datetime
    """By the server's clock. The copy is consistent from here on: no earlier moment can be reached with it."""
    cluster: Identity
    """As of the start."""
    bootstrap_role: str
    segment_bytes: int
    start_lsn: int
    """Where replay begins (the checkpoint's redo position)."""
    start_timeline: int
    stop_lsn: int
    """Where the copy is consistent."""
    tool_version: str
    stratum_version: str
    databases: tuple[str, ...]
    """Names of all databases of the cluster, templates excepted."""
    tablespaces: tuple[TablespaceFacts, ...]
    cluster_bytes: int
    """Size of the data directory and tablespaces, as the server said."""
    files: tuple[FileFacts, ...]
    """As stored; `.age` at the end of a name says it is sealed."""
    includes_wal: bool = True
    """Whether the tar holds the WAL from `start_lsn` to `stop_lsn`, and so restores by itself."""
    recipients: tuple[str, ...] = field(default=())
    """The age recipients it is sealed for; none when it is not."""
    release: str | None = None

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)
