"""Throwaway PostgreSQL servers: quarantined before their first start, and swept up even after kill -9."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stratum.adapters.endpoint import Endpoint
from stratum.adapters.postgresql_tools import Installation
from stratum.adapters.process import RunAs, end_group, run_tool, start, tool_environment
from stratum.adapters.server_start import wait_until_ready
from stratum.core.stack import Secret

_PORT = 5432
_SOCKETS = "stratum-"
_SOCKET_PATH_LIMIT = 90
_STATEMENTS = "statements.log"
_INITDB_SECONDS = 120.0

_REHEARSAL = """
# What the new version does is written down, and what it rewrites goes through WAL as in production.
wal_level = replica
logging_collector = on
log_destination = 'csvlog'
log_directory = '{home}'
log_filename = '{log}'
log_rotation_age = 0
log_rotation_size = 0
log_min_duration_statement = 0
lc_messages = 'C'
"""
_CONFIGURATION = """
# Thrown away after use: nothing here has to survive a crash, and nothing may reach or be taken for production.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
shared_preload_libraries = ''
synchronous_standby_names = ''
primary_conninfo = ''
archive_mode = off
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
max_prepared_transactions = 0
fsync = off
full_page_writes = off
synchronous_commit = off
autovacuum = off
checkpoint_timeout = 1h
max_wal_size = 32GB
wal_buffers = 64MB
shared_buffers = {shared_buffers}
maintenance_work_mem = {maintenance_work_mem}
max_parallel_maintenance_workers = 2
logging_collector = off
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScratchServers:
    """Makes throwaway servers below one directory."""

    installation: Installation
    directory: Path
    run_as: RunAs | None

    @contextmanager
    def open(
        self, *, purpose: str, bootstrap_role: str, rehearse: Callable[[Endpoint], None] | None = None
    ) -> Iterator[Endpoint]:
        """A new, empty server on a Unix socket of its own; gone, with its files, when the block ends.

        `purpose` names the directory, so that a person who finds one knows what it was for. What `rehearse` loads into
        it is served to a new version: then it logs every statement, writes WAL as a server that others depend on, and
        takes any password: what connects comes through a private directory and knows the real one.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        _give_to(self.run_as, self.directory)
        home = self.directory / f"{purpose}-{secrets.token_hex(4)}"
        near = rehearse is not None
        with owned_directory(home, self.run_as), _socket_directory(home, self.run_as, near=near) as sockets:
            password = Secret(secrets.token_urlsafe(24))
            self._initialise(home, sockets, password, bootstrap_role)
            endpoint = Endpoint(host=str(sockets), port=_PORT, user=bootstrap_role, password=password)
            if rehearse is not None:
                with self._running(home, endpoint, last=signal.SIGINT):
                    rehearse(endpoint)
                with (home / "data" / "postgresql.conf").open("a", encoding="utf-8") as stream:
                    stream.write(_REHEARSAL.format(home=home, log=_STATEMENTS))
                (home / "data" / "pg_hba.conf").write_text("local all all trust\n", encoding="utf-8")
            with self._running(home, endpoint):
                yield endpoint

    def sweep(self) -> int:
        """Remove what scratch servers of processes that are gone left behind; says how many."""
        swept = 0
        for home in self.directory.iterdir() if self.directory.is_dir() else ():
            if not home.is_dir() or _is_owned(home):
                continue
            _stop_leftover(home)
            _remove_sockets(home)
            shutil.rmtree(home)
            home.with_suffix(".lock").unlink(missing_ok=True)
            swept += 1
        for lock in self.directory.glob("*.lock"):
            if not lock.with_suffix("").exists() and not _is_owned(lock.with_suffix("")):
                lock.unlink(missing_ok=True)
        return swept

    def _initialise(self, home: Path, sockets: Path, password: Secret, bootstrap_role: str) -> None:
        passfile = home / "password"
        _write_private(passfile, password.reveal, self.run_as)
        argv = (
            self.installation.program("initdb"),
            f"--pgdata={home / 'data'}",
            f"--username={bootstrap_role}",
            f"--pwfile={passfile}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
            # From 18 on they are on unless asked not to be; a throwaway server reads back what it just wrote.
            *(("--no-data-checksums",) if self.installation.major >= 18 else ()),
        )
        run_tool(argv, timeout_seconds=_INITDB_SECONDS, env=tool_environment(), run_as=self.run_as)
        passfile.unlink()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        text = _CONFIGURATION.format(
            sockets=sockets,
            shared_buffers=f"{_clamp(memory // 16, 64, 1024)}MB",
            maintenance_work_mem=f"{_clamp(memory // 32, 64, 512)}MB",
        )
        (home / "data" / "postgresql.conf").write_text(text, encoding="utf-8")
        (home / "data" / "pg_hba.conf").write_text("local all all scram-sha-256\n", encoding="utf-8")

    @contextmanager
    def _running(self, home: Path, endpoint: Endpoint, *, last: signal.Signals = signal.SIGQUIT) -> Iterator[None]:
        log = home / "log"
        with log.open("ab") as stream:
            argv = (self.installation.program("postgres"), "-D", str(home / "data"), "-p", str(_PORT))
            server = start(argv, env=tool_environment(), run_as=self.run_as, cwd=home, stdout=stream, stderr=stream)
            try:
                wait_until_ready(endpoint, has_ended=lambda: server.poll() is not None, log=log)
                yield
            finally:
                # An immediate shutdown: nothing of a throwaway server is worth a checkpoint, unless it goes on.
                # (https://www.postgresql.org/docs/current/server-shutdown.html)
                end_group(server, first=last)


@contextmanager
def owned_directory(home: Path, run_as: RunAs | None) -> Iterator[Path]:
    """A directory whose lock says that its owner lives; removed at the end whatever happened.

    The lock stands beside the directory, so that it is there first and gone last.
    """
    handle = os.open(home.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        home.mkdir(mode=0o700)
        _give_to(run_as, home)
        try:
            yield home
        finally:
            shutil.rmtree(home)
    finally:
        home.with_suffix(".lock").unlink(missing_ok=True)
        os.close(handle)


def _is_owned(home: Path) -> bool:
    try:
        handle = os.open(home.with_suffix(".lock"), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def statement_log(endpoint: Endpoint) -> Path:
    """Where a rehearsal's server writes its statements, as CSV."""
    home = Path(endpoint.host).parent
    home = home if (home / "data").is_dir() else Path((Path(endpoint.host) / "home").read_text(encoding="utf-8"))
    return (home / _STATEMENTS).with_suffix(".csv")


@contextmanager
def _socket_directory(home: Path, run_as: RunAs | None, *, near: bool) -> Iterator[Path]:
    """A short private directory: a Unix socket's path may not be longer than 107 bytes.

    With `near` it lies beside the data where it can, for a container that shares no other directory.
    """
    if near and len(str(home)) < _SOCKET_PATH_LIMIT:
        path = home / "s"
        path.mkdir(mode=0o700)
        _give_to(run_as, path)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix=_SOCKETS) as name:
        path = Path(name)
        (home / "sockets").write_text(name, encoding="utf-8")
        (path / "home").write_text(str(home), encoding="utf-8")
        _give_to(run_as, path)
        yield path


def _remove_sockets(home: Path) -> None:
    """Remove the socket directory a leftover names, if it is one and belongs to whoever could have written the name.

    The server's account owns the leftover: as root we would otherwise delete whatever that account writes there.
    """
    with contextlib.suppress(OSError, ValueError):
        named = Path((home / "sockets").read_text(encoding="utf-8"))
        if named.name.startswith(_SOCKETS) and named.lstat().st_uid == home.lstat().st_uid:
            shutil.rmtree(named)


def _stop_leftover(home: Path) -> None:
    """End a server whose owner was killed where the kernel could not tie the two together."""
    pidfile = home / "data" / "postmaster.pid"
    if not pidfile.exists():
        return
    # After a power cut the file may be empty: such a server wrote without fsync, and is gone.
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(pidfile.read_text(encoding="utf-8").splitlines()[0])
        if Path(f"/proc/{pid}/cwd").resolve() == (home / "data").resolve():
            os.kill(pid, 9)


def _write_private(path: Path, text: str, run_as: RunAs | None) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    _give_to(run_as, path)


def _give_to(run_as: RunAs | None, path: Path) -> None:
    if run_as is not None:
        os.chown(path, run_as.uid, run_as.gid)


def _clamp(size_bytes: int, least_mb: int, most_mb: int) -> int:
    return max(least_mb, min(most_mb, size_bytes // 2**20))
