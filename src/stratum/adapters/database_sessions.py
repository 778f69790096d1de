"""Who may be connected to a database while it is renamed, copied or dropped."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg import sql

from stratum.adapters.queries import query
from stratum.core.errors import StratumError
from stratum.core.proof import listed

_DRAIN_SECONDS = 30.0
_POLL_SECONDS = 0.05

Connection = psycopg.Connection[tuple[Any, ...]]


def drain(connection: Connection, databases: list[str]) -> None:
    """End every session on these databases, and wait until none is left. Raises `swap-blocked`."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    while True:
        connection.execute(query("end_sessions"), {"databases": databases})
        left = [row[0] for row in connection.execute(query("sessions"), {"databases": databases}).fetchall()]
        if not left:
            return
        if time.monotonic() > deadline:
            raise StratumError(
                "swap-blocked",
                database=databases[0],
                seconds=f"{_DRAIN_SECONDS:.0f}",
                sessions=listed(left),
            )
        time.sleep(_POLL_SECONDS)


def hold_newcomers(connection: Connection) -> None:
    """Let whoever connects wait until the names are swapped, and then find the new database under the name.

    A newcomer that has looked the name up already would be told that the database does not exist. One that is
    between the look-up and its lock on the database gets out of our way as a deadlock's loser, since it is the
    one whose patience ends first. Only a superuser may lock the catalogue: elsewhere a newcomer of that one moment
    is told that the database does not exist, and has to come again.
    """
    connection.execute("SET LOCAL deadlock_timeout = '1min'")
    connection.execute("LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE")


def maintenance(*touched: str) -> str:
    """A database to work from that is not itself about to be renamed or dropped."""
    return "template1" if "postgres" in touched else "postgres"


def allow(connection: Connection, database: str, *, allowed: bool) -> None:
    """Let sessions begin on a database, or refuse new ones; those that are there go on."""
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    connection.execute(statement.format(sql.Identifier(database), sql.Literal(allowed)))
