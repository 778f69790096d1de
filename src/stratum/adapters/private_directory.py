"""Files in a directory that another account owns: no link that it planted there is ever followed."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened_directory(path: Path) -> Iterator[int]:
    """A handle on the directory itself; whatever is put in its place meanwhile does not matter. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield handle
    finally:
        os.close(handle)


def write_privately(path: Path, content: str, *, owner: int | None = None) -> None:
    """Replace a file of mode 0600 in one step; with `owner`, another account may read it."""
    aside = f".{path.name}.{secrets.token_hex(6)}"
    with opened_directory(path.parent) as folder:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        handle = os.open(aside, flags, 0o600, dir_fd=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(content)
                if owner is not None:
                    os.fchown(stream.fileno(), owner, -1)
            os.rename(aside, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            os.unlink(aside, dir_fd=folder)
            raise


def read_privately(path: Path) -> bytes | None:
    """A file's bytes; None when there is none, or a link stands in its place."""
    try:
        with opened_directory(path.parent) as folder:
            handle = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as stream:
        return stream.read()


def open_lock(path: Path) -> int:
    """A file to lock, made when it is missing. Raises OSError."""
    with opened_directory(path.parent) as folder:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(path.name, flags, 0o600, dir_fd=folder)


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock for themselves; looking takes it from nobody."""
    try:
        with opened_directory(path.parent) as folder:
            handle = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
