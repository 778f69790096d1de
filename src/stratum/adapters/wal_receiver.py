"""Receives WAL from one server: what it looks like each second, its slot, and the child that writes segments."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import IO, Any, TypeVar

import psycopg

from stratum.adapters import durable
from stratum.adapters.endpoint import IMPATIENT, Endpoint
from stratum.adapters.postgresql_tools import Installation
from stratum.adapters.process import Child, end_group, start, tool_environment
from stratum.adapters.queries import query
from stratum.adapters.replication_commands import create_slot, drop_slot, read_history
from stratum.adapters.wal_segments import drop_cut_padding
from stratum.core.errors import StratumError
from stratum.core.receiving_rules import SLOT, ReceivingView
from stratum.core.wal import parse_segment_name
from stratum.ports import Role

_CONNECT_SECONDS = 3
_PATIENCE = "-c statement_timeout=5s -c lock_timeout=3s"
_STDERR_BYTES = 4096
_READABLE = 0o640
_TAIL_BYTES = 16
"""Of WAL before an end: the end of a record's body, or the header of the page it goes on to."""

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Running:
    """pg_receivewal, and what has to live as long as it does: its password file, and what it says."""

    child: Child
    directory: Path
    stderr: IO[bytes]
    holds: ExitStack


class WalReceiver:
    """One server's WAL, received into a directory by `pg_receivewal` through a slot of its own.

    Looks as the maintenance role through a connection that stays open; receives as the replication role. Used by one
    thread. `synchronous` makes the child flush each piece of WAL before it says that it has it.
    """

    def __init__(
        self, *, endpoint: Callable[[Role], Endpoint], installation: Callable[[], Installation], synchronous: bool
    ) -> None:
        self._endpoint = endpoint
        self._installation = installation
        self._synchronous = synchronous
        self._connection: Connection | None = None
        self._running: _Running | None = None

    def look(self) -> ReceivingView:
        """The server now. Raises `not-running` and `unreachable-server`; the latter also while it replays WAL."""
        row = self._ask(query("receiving_view"))[0]
        return ReceivingView(
            system_identifier=row[0],
            timeline=row[1],
            flushed_lsn=row[2],
            at=row[3].astimezone(UTC),
            slot_exists=row[4],
            slot_status=row[5],
            slot_active=row[6],
            written_lsn=row[7],
            keep_mb=row[8],
        )

    def limit(self, megabytes: int) -> None:
        """Let the server keep at most this much WAL for a receiver that is away. Raises `wal-keep-unlimited`."""
        try:
            self._ask(query("receiving_limit", megabytes=str(megabytes).encode()), rows=False)
            self._ask(b"SELECT pg_reload_conf()")
        except StratumError as error:
            raise StratumError("wal-keep-unlimited", megabytes=megabytes, problem=error.details["problem"]) from None

    def history(self, timeline: int) -> str:
        """What a timeline after the first continues. Raises `replication-not-permitted`."""
        return self._reached(lambda endpoint: read_history(endpoint, timeline))

    def create_slot(self) -> None:
        """A new slot; the server keeps WAL for it from now on."""
        self._reached(create_slot)

    def drop_slot(self) -> None:
        """Let the server keep no more WAL for us."""
        self._reached(drop_slot)

    def start(self, directory: Path) -> None:
        """Receive into `directory` from where it stops; returns at once. Raises `tool-missing`."""
        endpoint = self._endpoint(Role.REPLICATION)
        drop_cut_padding(directory)
        with ExitStack() as holds:
            passfile = holds.enter_context(endpoint.passfile())
            stderr = holds.enter_context(tempfile.TemporaryFile())
            child = start(
                self._argv(endpoint, directory),
                env=tool_environment(PGPASSFILE=str(passfile), PGCONNECT_TIMEOUT=str(_CONNECT_SECONDS)),
                run_as=None,
                cwd=directory,
                stdout=stderr,
                stderr=stderr,
            )
            self._running = _Running(child=child, directory=directory, stderr=stderr, holds=holds.pop_all())

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.child.poll() is None

    def end(self) -> str:
        """End the child where it still runs; the last lines it said."""
        running, self._running = self._running, None
        if running is None:
            return ""
        end_group(running.child)
        drop_cut_padding(running.directory)  # at once: on a full disk it took the last bytes, which others need
        with running.holds:
            running.stderr.seek(0, os.SEEK_END)
            running.stderr.seek(max(0, running.stderr.tell() - _STDERR_BYTES))
            return " ".join(running.stderr.read().decode("utf-8", "backslashreplace").split())

    def holds(self, lsn: int, *, timeline: int) -> bool:
        """Whether everything before `lsn` was written into the segment that is being received. No is also: not seen.

        The server says once a second how far we are; this tells at once. A new segment is filled with zeros, and is
        written from its beginning on, in pieces that end where a record or a page does: so what stands right before
        the end of a flush stands there only when all of it does.
        """
        running = self._running
        if running is None:
            return False
        for file in running.directory.glob(f"{timeline:08X}*.partial"):
            with suppress(FileNotFoundError), file.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                name = parse_segment_name(file.stem, size) if size else None
                offset = lsn - _TAIL_BYTES - (name.number * size if name else 0)
                if name is not None and 0 <= offset <= size - _TAIL_BYTES:
                    return any(os.pread(stream.fileno(), _TAIL_BYTES, offset))
        return False

    def flush(self) -> None:
        """Put on disk what was received and is still in the kernel's memory, readable by the archive's group."""
        if self._running is not None:
            for file in tuple(self._running.directory.iterdir()):
                with suppress(FileNotFoundError):  # closed and filed meanwhile, and so flushed by the child
                    _flush(file, data=file.suffix == ".partial")

    def close(self) -> None:
        """End the child, and let the connection go."""
        self.end()
        self._forget()

    def _argv(self, endpoint: Endpoint, directory: Path) -> tuple[str, ...]:
        """No `--verbose`: it says something at each segment. One loss of the connection ends it; we start it again."""
        return (
            self._installation().program("pg_receivewal"),
            f"--directory={directory}",
            f"--slot={SLOT}",
            "--no-loop",
            "--no-password",
            "--status-interval=1",
            *(("--synchronous",) if self._synchronous else ()),
            f"--dbname={endpoint.conninfo('postgres')} {IMPATIENT} application_name={SLOT}",
        )

    def _ask(self, statement: bytes, *, rows: bool = True) -> list[tuple[Any, ...]]:
        try:
            connection = self._connection = self._connection or _connected(self._endpoint(Role.MAINTENANCE))
            found = connection.execute(statement)
            return found.fetchall() if rows else []
        except psycopg.Error as error:
            self._forget()
            raise _unreachable(error) from None

    def _reached(self, work: Callable[[Endpoint], T]) -> T:
        try:
            return work(self._endpoint(Role.REPLICATION))
        except psycopg.Error as error:
            raise _unreachable(error) from None

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


def _flush(file: Path, *, data: bool) -> None:
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if os.fstat(handle).st_mode & 0o777 != _READABLE:
            os.fchmod(handle, _READABLE)
            durable.belong(handle, file.parent)
        if data:
            durable.sync_content(handle)
    finally:
        os.close(handle)


def _connected(endpoint: Endpoint) -> Connection:
    return psycopg.connect(
        f"{endpoint.conninfo('postgres')} {IMPATIENT}",
        password=endpoint.password.reveal,
        connect_timeout=_CONNECT_SECONDS,
        application_name="stratum receiver's look",
        options=_PATIENCE,
        autocommit=True,
    )


def _unreachable(error: psycopg.Error) -> StratumError:
    said = " ".join((error.diag.message_primary or str(error)).split())
    return StratumError("unreachable-server", where="the receiver's connection", problem=said)
