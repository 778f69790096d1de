"""Unpacks a tar as it streams by, with both cores at work, and puts on disk what was unpacked while others read it."""

from __future__ import annotations

import fcntl
import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from stratum.adapters import durable
from stratum.adapters.process import RunAs, end_group, start, tool_environment
from stratum.adapters.server_start import last_lines

_SECONDS = 24 * 3600.0
_CHUNK = 1 << 20
_AHEAD = 4
"""Pieces that are read while another is written."""
_BLOCKS = 512
"""Of 512 bytes, that tar reads at once: with its own 20 it asks for each 10 KiB."""


def unpack(packed: IO[bytes], into: Path, *, run_as: RunAs | None, log: Path, as_packed: bool = False) -> None:
    """Unpack what `packed` yields. Raises what reading it raises, and OSError with what `tar` said.

    With `as_packed` each file gets the permissions it was packed with, whatever this account's umask takes away.

    One core reads, which is decompressing, while another writes: tar runs beside us, and a thread reads ahead.
    """
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as pipe, log.open("wb") as said:
        with suppress(AttributeError, OSError):  # Linux alone has it, and root may have set less
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _CHUNK)
        more = ("--preserve-permissions",) if as_packed else ()
        argv = ("tar", f"--blocking-factor={_BLOCKS}", *more, "-xf", "-", "-C", str(into))
        child = start(argv, env=tool_environment(), run_as=run_as, cwd=None, stdout=said, stderr=said, stdin=source)
        source.close()
        try:
            with suppress(BrokenPipeError), _ahead(packed) as pieces:
                for piece in pieces:
                    _write(pipe, piece)
            pipe.close()
            child.wait(_SECONDS)
        finally:
            end_group(child)
    if child.returncode != 0:
        raise OSError(last_lines(log))


@contextmanager
def settling(tree: Path) -> Iterator[None]:
    """Put all files below `tree` on disk while the block does something else; they are there when it ends.

    A server that finds a copy of a running cluster does so before anything else, and everybody waits for it.
    Raises OSError where the disk would not take them.
    """
    faults: list[OSError] = []

    def settle() -> None:
        try:
            durable.sync_tree(tree)
        except OSError as fault:
            faults.append(fault)

    thread = threading.Thread(target=settle, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if faults:
        raise faults[0]


@contextmanager
def _ahead(stream: IO[bytes]) -> Iterator[Iterator[bytes]]:
    """The pieces of a stream, read by another thread; what reading raises is raised where they are taken."""
    waiting: queue.Queue[bytes | Exception] = queue.Queue(_AHEAD)
    left = threading.Event()

    def read() -> None:
        try:
            while not left.is_set():
                piece = stream.read(_CHUNK)
                waiting.put(piece)
                if not piece:
                    return
        except Exception as fault:  # noqa: BLE001 - raised again in the thread that takes
            waiting.put(fault)

    def take() -> Iterator[bytes]:
        while piece := waiting.get():
            if isinstance(piece, Exception):
                raise piece
            yield piece

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        left.set()
        while thread.is_alive():
            with suppress(queue.Empty):
                waiting.get_nowait()
            thread.join(0.01)


def _write(pipe: IO[bytes], piece: bytes) -> None:
    """All of it: a raw pipe may take less at once."""
    left = memoryview(piece)
    while left:
        left = left[pipe.write(left) :]
