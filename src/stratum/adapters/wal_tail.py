"""Carries the end of WAL, which is still being received, to a copy: compressed, sealed where the archive is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from stratum.adapters.archive_copy import ArchiveCopy
from stratum.adapters.archive_tree import RECEIVING
from stratum.adapters.places import sha256_at
from stratum.adapters.seal import Seal
from stratum.adapters.sealed_zstd import ZSTD, pack_file
from stratum.adapters.wal_segments import PARTIAL, SUMS, has_begun, sha256_of
from stratum.core.errors import StratumError


class WalTail:
    """The checksum file of each timeline, as a copy has it, with a line for the partial segment beside it."""

    def __init__(self, archive: Path, copy: ArchiveCopy, seal: Seal) -> None:
        self._wal = archive / "wal"
        self._copy = copy
        self._seal = seal
        self._sums: dict[str, str] = {}
        self._lines: dict[str, str] = {}

    def send(self) -> None:
        """Bring every timeline's checksums and its partial segment up to date; complete segments were sent before.

        The checksums go first and name the partial segment as it was and as it will be: whichever a crash leaves there
        is one of them. Raises `copy-away` and `copy-not-whole`.
        """
        with tempfile.TemporaryDirectory(prefix="stratum-tail-") as folder:
            tails = {_timeline(self._wal, file): file for file in self._partials()}
            for timeline in sorted({path.parent for path in self._wal.glob("*/*/" + SUMS)} | set(tails)):
                self._send(timeline, tails.get(timeline), Path(folder))

    def _send(self, timeline: Path, partial: Path | None, room: Path) -> None:
        place, where = self._copy.place, f"wal/{timeline.relative_to(self._wal)}"
        packed, line = None, ""
        if partial is not None:
            packed, sha256 = pack_file(partial, room / f"{partial.name}{ZSTD}", self._seal)
            line = f"{sha256}  {packed.name}\n"
        sums = timeline / SUMS
        filed = sums.read_text(encoding="utf-8") if sums.is_file() else ""
        text = filed + self._lines.get(where, "") + line
        if text and self._sums.get(where) != text:
            (room / SUMS).write_text(text, encoding="utf-8")
            place.put(f"{where}/{SUMS}", room / SUMS, replace=True)
            self._sums[where] = text
        if packed is not None:
            path = f"{where}/{packed.name}"
            place.put(path, packed, replace=True)
            if sha256_at(place, path) != (packed.stat().st_size, sha256_of(packed)):
                raise StratumError(
                    "copy-not-whole", copy=self._copy.policy.name, problem=f"{path} was changed on the way"
                )
            self._lines[where] = line
            packed.unlink()

    def _partials(self) -> list[Path]:
        """The one that is being received, of each cluster and timeline: the newest."""
        found = self._wal.glob(f"*/{RECEIVING}*/*{PARTIAL}")
        return sorted((file for file in found if has_begun(file)), key=lambda file: file.stat().st_mtime_ns)


def _timeline(wal: Path, partial: Path) -> Path:
    return wal / partial.parent.parent.name / partial.name[:8]
