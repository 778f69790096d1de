"""The log of one service: appended to, 0600, and set aside by size so that it never fills a disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from stratum.adapters.private_directory import opened_directory, read_privately

LARGEST_BYTES = 5_000_000
_KEPT = 2


class ServiceLog:
    """One file and the older ones beside it: `agent.log`, `agent.log.1`, `agent.log.2`."""

    def __init__(self, path: Path, *, largest: int = LARGEST_BYTES) -> None:
        self._path = path
        self._largest = largest
        self.handle = self._open()

    def append(self, text: bytes) -> None:
        """On a full disk the text is lost, and nothing else: whose log it is goes on."""
        with suppress(OSError):
            if os.fstat(self.handle).st_size + len(text) > self._largest:
                self._set_aside()
            os.write(self.handle, text)

    def close(self) -> None:
        os.close(self.handle)

    def _open(self) -> int:
        with opened_directory(self._path.parent) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(self._path.name, flags, 0o600, dir_fd=folder)

    def _set_aside(self) -> None:
        names = [self._path.name, *(f"{self._path.name}.{number}" for number in range(1, _KEPT + 1))]
        with opened_directory(self._path.parent) as folder:
            there = set(os.listdir(folder))  # noqa: PTH208 - a handle on a directory, and no path
            for older, newer in reversed(list(zip(names[1:], names[:-1], strict=True))):
                if newer in there:
                    os.rename(newer, older, src_dir_fd=folder, dst_dir_fd=folder)
        full, self.handle = self.handle, self._open()
        os.close(full)


def read_log(path: Path, lines: int) -> list[str]:
    """The end of a log, the part that was set aside last included."""
    parts = (read_privately(path.with_name(f"{path.name}.1")), read_privately(path))
    text = b"".join(part for part in parts if part is not None).decode("utf-8", "replace")
    return text.splitlines()[-lines:]
