"""Makes commits wait for the receiver, or wait no more, and sees who waits; names moments in the WAL."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from typing import TYPE_CHECKING, Any

from stratum.adapters.endpoint import IMPATIENT, Endpoint
from stratum.adapters.queries import query
from stratum.core.errors import StratumError
from stratum.core.receiving_rules import SLOT
from stratum.core.zero_loss import CommitLook, Waiting
from stratum.ports import Role
from stratum.replication import Marked

if TYPE_CHECKING:
    import psycopg

_CONNECT_SECONDS = 5
_RELOAD_SECONDS, _POLL_SECONDS = 5.0, 0.02
# None of what is done here writes a transaction, so none of it waits for the receiver itself.
_PATIENCE = "-c statement_timeout=10s -c lock_timeout=5s"


class ServerCommits:
    """The commits of one server, through a connection of the maintenance role that stays open. For one thread.

    Works while every commit hangs: a setting of the server is no transaction, and ending the wait needs none.
    (https://www.postgresql.org/docs/current/runtime-config-replication.html#GUC-SYNCHRONOUS-STANDBY-NAMES)
    """

    def __init__(self, endpoint: Callable[[Role], Endpoint]) -> None:
        self._endpoint = endpoint
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def look(self) -> CommitLook:
        """How commits stand now. Raises `not-running` and `unreachable-server`."""
        before = self._rows(query("receiver_flushed"))
        waiting = self._rows(query("commit_waiters"))
        names, commit, flushed, receiving, synchronous, after = self._rows(query("commit_view"))[0]
        given = self._rows(query("commit_settings"))
        return CommitLook(
            names=names,
            commit=commit,
            receiving=receiving,
            synchronous=synchronous,
            received_before=before[0][0],
            received_after=after,
            flushed_lsn=flushed,
            waiting=tuple(
                Waiting(pid=row[0], began=row[1], user=row[2], database=row[3], application=row[4], seconds=row[5])
                for row in waiting
            ),
            applied_for=tuple(where for where, value in given if value == "remote_apply"),
            lowered_for=tuple(where for where, value in given if value != "remote_apply"),
            lowered=frozenset(found for (found,) in self._rows(query("lowered_sessions"))),
        )

    def arm(self) -> None:
        """Let commits wait for the receiver from now on, restarts of the server included.

        Raises `zero-loss-not-permitted`.
        """
        self._set(query("commits_wait"), SLOT)

    def disarm(self) -> None:
        """Let commits wait no more; those that wait now return. Raises `zero-loss-not-permitted`."""
        self._set(query("commits_go_on"), "")

    def mark(self, name: str) -> Marked:
        """Write a named restore point into the WAL, and no further than that; the server's disk has it then.

        Raises `restore-point-not-permitted`.
        """
        import psycopg

        try:
            rows = self._rows(query("restore_point"), name=name)
        except psycopg.errors.InsufficientPrivilege as error:
            raise StratumError("restore-point-not-permitted", role=self._user, problem=_said(error)) from None
        identifier, timeline, lsn, at = rows[0]
        return Marked(system_identifier=identifier, timeline=timeline, lsn=lsn, at=at.astimezone(UTC))

    def close(self) -> None:
        """Let the connection go; the next look makes another."""
        import psycopg

        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    @property
    def _user(self) -> str:
        return self._endpoint(Role.MAINTENANCE).user

    def _set(self, statement: bytes, wanted: str) -> None:
        """Set it, and return once a session of the server has it: a reload is told, and done a moment later."""
        import psycopg

        try:
            self._execute(statement)
            self._rows(b"SELECT pg_reload_conf()")
            deadline = time.monotonic() + _RELOAD_SECONDS
            while self._rows(query("commit_view"))[0][0] != wanted and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        except psycopg.errors.InsufficientPrivilege as error:
            raise StratumError("zero-loss-not-permitted", role=self._user, problem=_said(error)) from None

    def _rows(self, statement: bytes, **values: str) -> list[tuple[Any, ...]]:
        return self._execute(statement, **values).fetchall()

    def _execute(self, statement: bytes, **values: str) -> psycopg.Cursor[tuple[Any, ...]]:
        import psycopg

        try:
            connection = self._connection = self._connection or self._connect()
            return connection.execute(statement, values or None)
        except psycopg.errors.InsufficientPrivilege:
            raise
        except psycopg.Error as error:
            self.close()
            where = "the connection that looks after commits"
            raise StratumError("unreachable-server", where=where, problem=_said(error)) from None

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        import psycopg

        endpoint = self._endpoint(Role.MAINTENANCE)
        return psycopg.connect(
            f"{endpoint.conninfo('postgres')} {IMPATIENT}",
            password=endpoint.password.reveal,
            connect_timeout=_CONNECT_SECONDS,
            application_name="stratum commits",
            options=_PATIENCE,
            autocommit=True,
        )


def _said(error: psycopg.Error) -> str:
    return " ".join((error.diag.message_primary or str(error)).split())
