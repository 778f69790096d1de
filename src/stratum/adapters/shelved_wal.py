"""Hands a recovering server the WAL file it asks for, out of an archive it can only read: its `restore_command`.

Run as `python -P -m stratum.adapters.shelved_wal DIRECTORY NAME TARGET`, with the directory `wal/<system identifier>`.
Exit 1 says that there is no such file, which ends WAL; a higher one than 125 ends the recovery.
(https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-PITR-RECOVERY)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from stratum.adapters.seal import IDENTITY_VARIABLE, UNSEALED, Seal
from stratum.core.errors import StratumError

_NOT_THERE, _DAMAGED = 1, 130
_SUMS = "SHA256SUMS"
_FIRST_BYTES = 16
_HISTORY, _ZSTD, _PARTIAL = ".history", ".zst", ".partial"


def main() -> int:
    """What PostgreSQL runs; returns an exit code."""
    directory, name, target = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    key = os.environ.get(IDENTITY_VARIABLE)
    try:
        return 0 if fetch(directory, name, target, Seal(identity_file=Path(key) if key else None)) else _NOT_THERE
    except StratumError as error:
        print(f"stratum: {error.message}", file=sys.stderr)
        return _DAMAGED
    except DamagedError as error:
        print(f"stratum: the archive's {error} is damaged", file=sys.stderr)
        return _DAMAGED


class DamagedError(Exception):
    """A stored file is not what was written."""


def fetch(directory: Path, name: str, target: Path, seal: Seal = UNSEALED) -> bool:
    """Copy the file; whole segments before those that WAL stops inside, of which the longest is last.

    False where there is none. Raises `DamagedError` for one whose content changed.
    """
    if name.endswith(_HISTORY):
        return _copied(directory / name, target)
    filed = directory / name[:8]
    if _unpacked(filed / f"{name}{_ZSTD}", target, seal):
        return True
    receiving = sorted(directory.glob("receiving-*"))
    if any(_copied(folder / name, target) for folder in receiving):
        return True
    # What is being received has more in it than what an earlier incarnation kept.
    partials = [folder / f"{name}{_PARTIAL}" for folder in reversed(receiving)]
    return any(_copied(partial, target) for partial in partials) or _unpacked(
        filed / f"{name}{_PARTIAL}{_ZSTD}", target, seal
    )


def _copied(source: Path, target: Path) -> bool:
    if not source.is_file() or not _has_begun(source):
        return False
    shutil.copyfile(source, target)
    return True


def _has_begun(source: Path) -> bool:
    """Whether anything was written into it: a new one is filled with zeros first, as far as there is room.

    The server ends its recovery at a file that is too short.
    """
    with source.open("rb") as stream:
        return any(stream.read(_FIRST_BYTES))


def _unpacked(packed: Path, target: Path, seal: Seal) -> bool:
    from stratum.adapters.sealed_zstd import find_packed, open_packed
    from stratum.adapters.zstd import DAMAGED

    source = find_packed(packed.parent, packed.name)
    if not source.is_file():
        return False
    wanted = _sums_of(source)
    if not wanted:
        return False  # its filing was cut: the receiving directory still has it
    if hashlib.sha256(source.read_bytes()).hexdigest() not in wanted:
        raise DamagedError(source.name)
    try:
        with open_packed(source, seal) as stream, target.open("wb") as plain:
            shutil.copyfileobj(stream, plain, 1 << 20)
    except DAMAGED:
        raise DamagedError(source.name) from None
    return True


def _sums_of(source: Path) -> set[str]:
    """A file that is replaced as it grows, as the end of WAL in a copy, has a line for what it was and what it is."""
    sums = source.with_name(_SUMS)
    lines = sums.read_text(encoding="utf-8", errors="replace").splitlines() if sums.is_file() else []
    return {line[:64] for line in lines if line[66:] == source.name}


if __name__ == "__main__":
    sys.exit(main())
