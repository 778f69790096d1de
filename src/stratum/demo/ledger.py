"""Creates the demo's ledger in an empty database, reads its keys, and checks what must always hold in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from stratum.demo.accounting import Chapter, era_of

if TYPE_CHECKING:
    from psycopg import Connection

DEFAULT_ACCOUNTS = 1_000
DEFAULT_ROWS = 100_000
"""Transfers in a new ledger: with their events and indexes about 60 MB."""

CHECK_MARK = "-- check: "

PINNED = b"""
SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'
"""
"""Only under the same settings do types, partition bounds and rows read the same in every database."""

OBSERVE_ERA = """
SELECT (SELECT system_identifier FROM pg_control_system()), pg_walfile_name(pg_current_wal_lsn()),
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Invariant:
    """One thing that must hold in every honest copy of the ledger, and whether it does."""

    name: str
    ok: bool
    detail: str
    """What was counted; or, when the question could not even be asked, the server's answer."""


def create_ledger(dsn: str, *, accounts: int = DEFAULT_ACCOUNTS, rows: int = DEFAULT_ROWS) -> None:
    """Create and fill the ledger in one transaction; the same sizes always give the same rows.

    `rows` counts transfers. Needs the rights of a plain owner of a UTF-8 database without a ledger; when
    either is missing, raises psycopg's error and leaves the database as it was. Sets IntervalStyle, a comment
    and a grant on the database itself.
    """
    if accounts < 2 or rows < 0:
        raise ValueError("a ledger needs at least two accounts and no negative number of transfers")
    with _connected(dsn) as connection:
        connection.execute(PINNED)
        connection.execute("SELECT set_config('ledger.accounts', %s, true)", [str(accounts)])
        connection.execute("SELECT set_config('ledger.rows', %s, true)", [str(rows)])
        connection.execute(_sql("ledger.sql").encode())
        connection.execute(_sql("ledger_fill.sql").encode())


def check_invariants(dsn: str) -> list[Invariant]:
    """Ask every question of `ledger_checks.sql` in one snapshot; leaves no trace and may run under writes.

    Connect as the ledger's owner: probes insert and refresh, then roll back. A question that cannot be asked,
    because a table or column is gone, counts as not holding; a lost connection raises psycopg's error.
    """
    from psycopg import IsolationLevel

    with _connected(dsn) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.execute(PINNED)
        # A reader that keeps a table makes one answer "could not lock"; it must not keep all of them.
        connection.execute("SET LOCAL lock_timeout = '10s'")
        return [_ask(connection, name, query) for name, query in _questions()]


def observe_chapter(dsn: str, *, schema: str = "public") -> Chapter:
    """Read which transfers stand in a database, and its era, in one snapshot. Changes nothing.

    `schema` names the place of a table of transfers that was restored beside the live one.
    """
    from psycopg import IsolationLevel
    from psycopg.sql import SQL, Identifier

    with _connected(dsn) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        ((snapshot,),) = connection.execute("SELECT pg_current_snapshot()::text").fetchall()
        keys = connection.execute(SQL("SELECT key FROM {}.transfers").format(Identifier(schema))).fetchall()
        return Chapter(era=observe_era(connection), snapshot=snapshot, keys=frozenset(key for (key,) in keys))


def observe_era(connection: Connection) -> str:
    """Which line of history this connection writes to; it cannot change while the connection lives.

    Raises psycopg's error on a server in recovery, which nobody can write to.
    """
    ((identifier, segment, oid),) = connection.execute(OBSERVE_ERA).fetchall()
    # The first eight hexadecimal digits of a segment's name are the timeline being written, also right
    # after a promotion, when the control file still names the old one.
    # (https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-BACKUP)
    return era_of(system_identifier=identifier, timeline=int(segment[:8], 16), database_oid=oid)


def _ask(connection: Connection, name: str, query: str) -> Invariant:
    from psycopg import Error

    connection.execute("SAVEPOINT question")
    try:
        ok, detail = _last_row(connection, query)
    except Error as error:
        ok, detail = False, str(error).splitlines()[0]
    connection.execute("ROLLBACK TO SAVEPOINT question")
    return Invariant(name=name, ok=ok, detail=detail)


def _last_row(connection: Connection, query: str) -> tuple[bool, str]:
    cursor = connection.execute(query.encode())
    while cursor.nextset():
        pass
    row = cursor.fetchone()
    # NULL is no answer: an empty table must not pass because its sum compares to nothing.
    return (row[0] is True, str(row[1])) if row else (False, "no answer")


def _questions() -> Iterator[tuple[str, str]]:
    for section in _sql("ledger_checks.sql").split(CHECK_MARK)[1:]:
        name, _, query = section.partition("\n")
        yield name, query


def _sql(name: str) -> str:
    return files("stratum.demo").joinpath(name).read_text(encoding="utf-8")


@contextmanager
def _connected(dsn: str) -> Iterator[Connection]:
    import psycopg

    with psycopg.connect(dsn, connect_timeout=10) as connection:
        yield connection
