"""Finds a server from what it leaves in its data directory and in the process table, and a port for the next one."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from stratum.adapters.process import is_alive

_ENDING_SECONDS = 300.0
_REAPED_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Postmaster:
    """A live server: its first process, and the port it listens on."""

    pid: int
    port: int


def read_postmaster(data: Path) -> Postmaster | None:
    """The live postmaster of a data directory, from its lock file; None when that is stale or still starting.

    (https://www.postgresql.org/docs/current/storage-file-layout.html)
    """
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        found = Postmaster(pid=int(lines[0]), port=int(lines[3]))
    except (OSError, ValueError, IndexError):
        return None
    return found if is_alive(found.pid) and _works_in(found.pid, data) else None


def wait_until_reaped(*lock_files: Path) -> None:
    """A killed server is in the process table until its parent took note, and PostgreSQL takes it for a live one.

    `lock_files` are a data directory's postmaster.pid and the lock beside a socket: a server whose directory was
    deleted beneath it leaves the latter only. Whatever the process that adopts orphans does, this ends: PostgreSQL
    then says itself what is in its way.
    """
    deadline = time.monotonic() + _REAPED_SECONDS
    for lock_file in lock_files:
        try:
            pid = int(lock_file.read_text(encoding="utf-8").split("\n", 1)[0])
        except (OSError, ValueError):
            continue
        while _is_dead_but_listed(pid) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_dead_but_listed(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] == "Z"


def end_orphans(*directories: Path) -> None:
    """End servers whose data directory was deleted beneath them: they still hold the port and the memory.

    Such a server is recognised by its working directory, which the kernel shows as deleted, so no other
    server of this machine can be meant.
    """
    _end_servers_that_work_in({f"{directory} (deleted)" for directory in directories})


def end_servers_in(directory: Path) -> None:
    """End servers that work in a directory about to be moved or deleted; they cannot flush, and need not."""
    _end_servers_that_work_in({str(directory.resolve())})


def _end_servers_that_work_in(directories: set[str]) -> None:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str((entry / "cwd").readlink()) in directories and _is_a_server(entry):
                _end_process(int(entry.name))
        except OSError:
            continue


def _is_a_server(process: Path) -> bool:
    """A person's shell may stand in the directory too: it is left alone."""
    return (process / "comm").read_text(encoding="utf-8", errors="replace").strip() in {"postgres", "postmaster"}


def _works_in(pid: int, data: Path) -> bool:
    """Whether the process works in this directory: after a reboot its number may belong to anything."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    except PermissionError:
        return _belongs_to_the_owner_of(data, pid)


def _belongs_to_the_owner_of(data: Path, pid: int) -> bool:
    """Another user's process is no server of ours, whatever number an old lock file names."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid == data.stat().st_uid
    except OSError:
        return False


def _end_process(pid: int) -> None:
    os.kill(pid, signal.SIGQUIT)
    deadline = time.monotonic() + _ENDING_SECONDS
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)


def port_is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that nothing listens on now; another program may take it before we do, and the start then fails."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
