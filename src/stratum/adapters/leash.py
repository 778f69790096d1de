"""Ties a verb inside a container to the command on the host that asked for it: when that is gone, the verb ends.

Docker passes neither a signal nor the end of its client on to what `docker exec` started. What the host and the
container share is the archive: the host locks one byte of a file there, which the kernel lets go of with its process,
and the verb inside waits for that byte. (https://man7.org/linux/man-pages/man2/F_OFD_SETLK.2const.html)
"""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import struct
import threading
from pathlib import Path

from stratum.adapters import durable

VARIABLE = "STRATUM_LEASH"
_FILE = ".hosts"
_PLACES = 1 << 62
_HANDED_ON = ("LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "STRATUM_TRACEBACK")


class Leash:
    """The host's end, held until `let_go` or the end of this process."""

    def __init__(self, archive: Path) -> None:
        self._place = secrets.randbelow(_PLACES)
        self._handle = _locked_byte(archive, self._place)

    @property
    def name(self) -> str | None:
        """What the verb inside is told; None where no archive is that we may lock a file of."""
        return None if self._handle is None else str(self._place)

    def let_go(self) -> None:
        """Have the verb inside end itself, as Ctrl-C would end it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def obey(archive: Path, name: str) -> None:
    """End this process's main thread by SIGTERM as soon as the host has let go.

    A host whose locks are not seen here, because a virtual machine lies between, holds nothing: then nothing happens.
    """
    try:
        handle = os.open(archive / _FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _byte(int(name)))
    except BlockingIOError:
        threading.Thread(target=_follow, args=(handle, int(name)), daemon=True, name="leash").start()
    except OSError:
        return


def _follow(handle: int, place: int) -> None:
    fcntl.fcntl(handle, fcntl.F_OFD_SETLKW, _byte(place))
    main = threading.main_thread().ident
    if main is not None:
        signal.pthread_kill(main, signal.SIGTERM)


def _locked_byte(archive: Path, place: int) -> int | None:
    if not (archive / "archive.json").exists():
        return None
    try:
        handle = durable.open_shared(archive / _FILE)
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _byte(place))
    except OSError:
        return None
    return handle


def _byte(place: int) -> bytes:
    """The kernel's `struct flock` for one byte."""
    return struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)


def told_inside(under: str | None, leash: str | None) -> tuple[str, ...]:
    """What a verb inside is told: the reader's language, the plan on whose behalf it is run, and what ties it to us."""
    told = {name: os.environ.get(name) for name in _HANDED_ON} | {"STRATUM_UNDER": under, VARIABLE: leash}
    return tuple(f"--env={name}={value}" for name, value in told.items() if value)
