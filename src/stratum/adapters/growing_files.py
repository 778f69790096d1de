"""Reads the files of a directory while another program writes them: hashed and on disk once the last byte is."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stratum.adapters import durable
from stratum.core.backup import FileFacts

if TYPE_CHECKING:
    from hashlib import _Hash

_CHUNK = 1 << 20


@dataclass(slots=True)
class _Read:
    """How far a file was read."""

    bytes: int = 0
    found: _Hash = field(default_factory=hashlib.sha256)


class GrowingFiles:
    """Follows every file of `folder`, which must only grow: what was read is not read again.

    Each piece is put on disk as it is read. At the end little is left to wait for, and the server beside us, which
    may share the disk, never meets the whole copy at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, _Read] = {}

    def follow(self) -> int:
        """Read and put on disk what was written since; how many bytes all files have by now."""
        return sum(self._follow(file) for file in self._files())

    def facts(self) -> tuple[FileFacts, ...]:
        """Size and SHA-256 of each file, once nothing is written any more."""
        self.follow()
        files = self._files()
        return tuple(
            FileFacts(path=f.name, bytes=self._read[f.name].bytes, sha256=self._read[f.name].found.hexdigest())
            for f in files
        )

    def _files(self) -> list[Path]:
        return sorted(path for path in self._folder.iterdir() if path.is_file())

    def _follow(self, file: Path) -> int:
        try:
            handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # renamed meanwhile: it is read anew under its last name
            return 0
        read = self._read.setdefault(file.name, _Read())
        try:
            until = os.fstat(handle).st_size
            while read.bytes < until and (chunk := os.pread(handle, min(_CHUNK, until - read.bytes), read.bytes)):
                read.found.update(chunk)
                read.bytes += len(chunk)
            durable.sync_content(handle)
        finally:
            os.close(handle)
        return until
