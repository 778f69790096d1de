"""Which files make up an archive, for whoever carries it elsewhere or reads it again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from stratum.core.backup import CHECKSUMS

TOP_LEVEL = {
    "archive.json",
    "RESTORE.md",
    "dumps",
    "base",
    "wal",
    "stack",
    "proofs",
    "rehearsals",
    "journal",
    "pins",
    "lock",
    "lost+found",
    "seen.json",
    "status.json",
    "status.html",
    "watch",
    "console.json",
    "jobs",
    "copies",
    "damaged",
    "scrubbed.json",
}
"""All that Stratum puts at the top of an archive."""
_FILES = ("archive.json", "RESTORE.md", "console.json")
_FOLDERS = ("dumps", "base", "wal", "stack", "proofs", "rehearsals", "journal", "pins")
_UNFINISHED = (".partial", ".removing")
_OF_HERE = {"receiver.json", "read-again.json"}
"""What says how things stand on this machine at this moment, and nothing that could be brought back."""
RECEIVING = "receiving-"


def archive_files(archive: Path) -> Iterator[str]:
    """Every file that a copy has to hold, by its path in the archive; what is still being written is left out.

    WAL that is being received is left out too: its end moves, and it is carried in a form of its own.
    """
    yield from (name for name in _FILES if (archive / name).is_file())
    for top in _FOLDERS:
        for folder, below, names in os.walk(archive / top):
            below[:] = sorted(name for name in below if not name.endswith(_UNFINISHED) and not _is_received(name))
            place = Path(folder).relative_to(archive)
            kept = (name for name in sorted(names) if name not in _OF_HERE and not name.startswith("."))
            yield from (str(place / name) for name in kept)


def _is_received(name: str) -> bool:
    return name.startswith(RECEIVING)


def recorded_sha256(archive: Path, path: str) -> str | None:
    """What the file's SHA-256 was when it was written, where the archive records it; None elsewhere."""
    file = archive / path
    for folder in (file.parent, file.parent.parent):
        with suppress(FileNotFoundError, NotADirectoryError):
            found = read_sums(folder / CHECKSUMS).get(str(file.relative_to(folder)))
            if found is not None:
                return found
    return None


def read_sums(file: Path) -> dict[str, str]:
    """A checksum file: SHA-256 by name; the last line of a name counts. Raises FileNotFoundError."""
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    return {line[66:]: line[:64] for line in lines if len(line) > 66}
