"""The commands of the replication protocol that the receiver needs: the slot, and what a timeline continues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from stratum.adapters.endpoint import Endpoint
from stratum.core.errors import StratumError
from stratum.core.receiving_rules import SLOT

_CONNECT_SECONDS = 5
_NO_SUCH_SLOT = b"42704"
_IN_USE = b"55006"


def create_slot(endpoint: Endpoint) -> None:
    """Make the receiver's slot; the server keeps WAL for it from now on. One that is there is made anew.

    (https://www.postgresql.org/docs/current/protocol-replication.html)
    """
    drop_slot(endpoint)
    _run(endpoint, f"CREATE_REPLICATION_SLOT {SLOT} PHYSICAL RESERVE_WAL")


def drop_slot(endpoint: Endpoint) -> None:
    """Let go of the slot; none there is no error. Raises `wal-slot-in-use` while somebody reads through it."""
    _run(endpoint, f"DROP_REPLICATION_SLOT {SLOT}", passing=_NO_SUCH_SLOT)


def read_history(endpoint: Endpoint, timeline: int) -> str:
    """The `.history` file of a timeline after the first."""
    rows = _run(endpoint, f"TIMELINE_HISTORY {timeline}")
    return rows.decode()


def _run(endpoint: Endpoint, command: str, *, passing: bytes | None = None) -> bytes:
    """The last value of the answer's only row; nothing where the command failed with the code `passing`."""
    with _connected(endpoint) as connection:
        result = connection.exec_(command.encode())
        code = result.error_field(pq.DiagnosticField.SQLSTATE)
        if result.status in {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}:
            return (result.get_value(0, result.nfields - 1) or b"") if result.ntuples else b""
        if code is not None and code == passing:
            return b""
        said = _said(result.error_message)
    if code == _IN_USE:
        raise StratumError("wal-slot-in-use", slot=SLOT, problem=said)
    raise StratumError("replication-not-permitted", role=endpoint.user, problem=said)


@contextmanager
def _connected(endpoint: Endpoint) -> Iterator[pq.abc.PGconn]:
    """A connection that speaks the replication protocol: psycopg's own kind does not."""
    conninfo = make_conninfo(
        endpoint.conninfo("postgres"),
        password=endpoint.password.reveal,
        replication="yes",
        connect_timeout=_CONNECT_SECONDS,
        application_name="stratum slot",
    )
    connection = pq.PGconn.connect(conninfo.encode())
    try:
        if connection.status != pq.ConnStatus.OK:
            _refuse(endpoint, _said(connection.error_message))
        yield connection
    finally:
        connection.finish()


def _refuse(endpoint: Endpoint, said: str) -> None:
    """A server that is not there is told from one that says no: only the latter names the role or a file."""
    if "FATAL" in said:
        raise StratumError("replication-not-permitted", role=endpoint.user, problem=said)
    raise psycopg.OperationalError(said)


def _said(message: bytes) -> str:
    return " ".join(message.decode("utf-8", "backslashreplace").split())
