"""Writes that are still there after a power cut: written aside, fsynced, renamed, the directory fsynced."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stratum.core.errors import StratumError


def belong(handle: int, folder: Path) -> None:
    """Give a new file to whoever owns its directory, when we are root.

    The archive is written by the host and by a container: what root leaves in it must stay readable and writable
    for the account that owns it.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


def open_shared(path: Path) -> int:
    """A file to lock, made where it is missing, for its owner and group."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    belong(handle, path.parent)
    return handle


def write_file(path: Path, content: str, *, mode: int = 0o640) -> None:
    """Replace `path` by `content` in one step; a crash leaves the old file or the new one, never half."""
    aside = path.with_name(f".{path.name}.new")
    with aside.open("w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), mode)
        belong(stream.fileno(), path.parent)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(path)
    sync_directory(path.parent)


def append_line(path: Path, line: str) -> None:
    """Append one line and fsync it. A line torn by an earlier crash is closed first, so it cannot swallow ours.

    A new file is, like all that lies in the archive, for its owner and group only.
    """
    with open(path, "ab+", opener=lambda name, flags: os.open(name, flags, 0o640)) as stream:
        size = stream.seek(0, os.SEEK_END)
        if not size:
            belong(stream.fileno(), path.parent)
        if size:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(line.encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    if size == 0:
        sync_directory(path.parent)


def sync_content(handle: int) -> None:
    """Put a file's content on disk, and its size; its times may follow later, which fsync would wait for."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(handle)
    else:  # macOS has none
        os.fsync(handle)


def sync_directory(path: Path) -> None:
    """Make renames and new names in this directory survive a power cut; a file's own fsync does not."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(path: Path) -> None:
    """Fsync every file and directory below `path`, the directories last."""
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            handle = os.open(Path(folder, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_directory(Path(folder))


def remove_tree(path: Path) -> None:
    """Remove a directory so that a crash half-way cannot leave something that looks whole: rename first."""
    going = path.with_name(f"{path.name}.removing")
    if path.exists():
        if going.exists():
            shutil.rmtree(going)
        path.rename(going)
        sync_directory(path.parent)
    if going.exists():
        shutil.rmtree(going)


@contextmanager
def archive_errors(path: Path) -> Iterator[None]:
    """Translate the operating system's refusals into the archive's own errors."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StratumError("archive-full", path=path) from None
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise StratumError("archive-not-writable", path=path, problem=error.strerror) from None
        raise StratumError("archive-unreadable", file=error.filename or path, problem=error.strerror) from None
