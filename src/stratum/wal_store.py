"""What the engine asks of the part of the archive that reaches any second: one Protocol, beside the other ports."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol

from stratum.core.backup import BrokenBackup
from stratum.core.base_backup import BaseManifest
from stratum.core.proof import Check
from stratum.core.receiving import ReceiverState
from stratum.core.wal import Incarnation, SegmentName, StoredSegment, WalInventory


class WalStore(Protocol):
    """The part of the archive that reaches any second: base backups, WAL, and how the receiver stands.

    Paths it hands out are of the archive's own directory; a base backup is visible only when it is whole.
    """

    def bases(self) -> tuple[BaseManifest, ...]:
        """All whole base backups of this stack, oldest first."""

    def broken_bases(self) -> tuple[BrokenBackup, ...]: ...
    def base_path(self, base_id: str) -> Path:
        """Raises `unknown-backup`."""

    def begin_base(self, base_id: str) -> Path:
        """Make the directory a base backup is written aside in."""

    def partial_base(self, base_id: str) -> Path: ...
    def publish_base(self, manifest: BaseManifest) -> None:
        """Checksums, everything fsynced, the manifest last, then the final name."""

    def discard_base(self, base_id: str) -> None: ...
    def remove_base(self, base_id: str) -> None: ...
    def export_base(self, base_id: str, into: Path) -> None: ...
    def check_base(self, manifest: BaseManifest) -> tuple[Check, ...]:
        """Compare what is stored of a base backup with its record; nothing is unpacked."""

    def clusters(self) -> tuple[str, ...]:
        """System identifiers of which there is WAL."""

    def inventory(self, system_identifier: str) -> WalInventory: ...
    def wal_path(self, system_identifier: str) -> Path:
        """`wal/<system_identifier>`: what `restore_command` is given; it may not exist yet."""

    def begin_incarnation(self, system_identifier: str, *, timeline: int, at: datetime) -> Incarnation:
        """Close the one before, whose last bytes are kept, and make the directory of a new one."""

    def receiving_path(self, system_identifier: str, incarnation: str) -> Path: ...
    def store_closed(self, system_identifier: str, *, now: datetime) -> tuple[StoredSegment, ...]:
        """Check, compress and file every complete segment that was received; the newest plain one stays besides."""

    def store_history(self, system_identifier: str, timeline: int, text: str) -> None: ...
    def remove_wal(self, system_identifier: str, *, before: SegmentName) -> int:
        """Remove segments whose number is below that of `before`, on every timeline; how many bytes that frees."""

    def check_wal(self, system_identifier: str, *, share: float = 1.0) -> tuple[Check, ...]:
        """Read stored segments back (all, or the share that was not read for longest) and compare their SHA-256."""

    def receiver(self) -> ReceiverState | None:
        """What the agent wrote last; None where it never received."""

    def record_receiver(self, state: ReceiverState) -> None: ...
