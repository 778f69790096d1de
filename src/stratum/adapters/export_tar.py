"""One backup as a tar archive, in pieces as they are read: any size, and nothing of it in memory."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from stratum.adapters.restore_by_hand import render_restore_by_hand
from stratum.core.backup import Manifest

_CHUNK = 1 << 18
_MODE = 0o640


def stream_backup(directory: Path, manifest: Manifest) -> Iterator[bytes]:
    """The backup's directory with RESTORE.md in it. Without the two blocks at its end the archive is not whole.

    (https://www.gnu.org/software/tar/manual/html_node/Standard.html)
    """
    at = int(manifest.taken_at.timestamp())
    instructions = render_restore_by_hand((manifest,), folder=".").encode()
    yield _header(f"{manifest.id}/RESTORE.md", len(instructions), at)
    yield instructions + _padding(len(instructions))
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        yield from _file(file, f"{manifest.id}/{file.relative_to(directory)}", at)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _file(file: Path, name: str, at: int) -> Iterator[bytes]:
    with file.open("rb") as stream:
        left = size = file.stat().st_size
        yield _header(name, size, at)
        while left:
            chunk = stream.read(min(left, _CHUNK))
            if not chunk:
                raise OSError(f"{file.name} became shorter while it was read")
            left -= len(chunk)
            yield chunk
        yield _padding(size)


def _header(name: str, size: int, at: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, at, _MODE
    return entry.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
