"""Reads the archive again, a share each day, and mends from a copy what is not as it was written."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.archive_notes import SCRUBBED
from stratum.adapters.archive_tree import read_sums
from stratum.adapters.records import to_json
from stratum.adapters.wal_segments import sha256_of
from stratum.core.backup import CHECKSUMS
from stratum.core.copies import Scrubbed

SHARES = 7
Fetch = Callable[[str, Path, str], bool]
"""Brings a file of the archive, with this SHA-256, to a path; False where nobody has it so."""


def scrub(archive: Path, *, now: datetime, fetch: Fetch, share: int | None) -> Scrubbed:
    """Read the files whose turn it is (`share` of `SHARES`; None: all), and compare them with their checksums.

    One that is missing or changed is fetched again and put in its place once it is whole; the damaged one is kept in
    `damaged/`. What was found is written down in the archive.
    """
    read, size = 0, 0
    damaged: list[str] = []
    mended: list[str] = []
    for path, sha256 in recorded(archive):
        if share is not None and zlib.crc32(path.encode()) % SHARES != share:
            continue
        file = archive / path
        with durable.archive_errors(archive):
            whole = file.is_file() and sha256_of(file) == sha256
            read, size = read + 1, size + (file.stat().st_size if file.is_file() else 0)
        if not whole and (archive / path).parent.is_dir():
            (mended if _mend(archive, path, sha256, now=now, fetch=fetch) else damaged).append(path)
    found = Scrubbed(at=now, files=read, bytes=size, damaged=tuple(damaged), mended=tuple(mended))
    with durable.archive_errors(archive):
        durable.write_file(archive / SCRUBBED, to_json(found) + "\n")
    return found


def recorded(archive: Path) -> Iterator[tuple[str, str]]:
    """Every file of a whole backup, and every filed piece of WAL, with the SHA-256 it had when it was written."""
    for pattern in ("dumps/*", "base/*", "wal/*/*"):
        for folder in sorted(archive.glob(pattern)):
            sums = folder / CHECKSUMS
            if folder.suffix in {".partial", ".removing"} or not sums.is_file():
                continue
            for name, sha256 in read_sums(sums).items():
                yield f"{folder.relative_to(archive)}/{name}", sha256


def _mend(archive: Path, path: str, sha256: str, *, now: datetime, fetch: Fetch) -> bool:
    fresh = (archive / path).with_name(f".{Path(path).name}.mended")
    try:
        with durable.archive_errors(archive):
            fresh.parent.mkdir(parents=True, exist_ok=True)
            if not fetch(path, fresh, sha256):
                return False
            if (archive / path).exists():
                kept = archive / "damaged" / f"{now:%Y%m%dT%H%M%SZ}" / path
                kept.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
                (archive / path).rename(kept)
            fresh.rename(archive / path)
            durable.sync_directory(fresh.parent)
    finally:
        fresh.unlink(missing_ok=True)
    return True
