"""The canary's row: one small update through a connection that stays open, as the role that may do nothing else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import psycopg

from stratum.adapters.endpoint import IMPATIENT, Endpoint
from stratum.adapters.queries import query
from stratum.core.errors import StratumError
from stratum.core.identity import Seen
from stratum.ports import Role

_CONNECT_SECONDS = 3
# With zero-loss a commit waits for the receiver, which no timeout ends; the canary measures what was received instead.
_PATIENCE = "-c statement_timeout=5s -c lock_timeout=3s -c synchronous_commit=local"

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Open:
    """A connection, and the cluster it leads to: neither changes without a restart of the server."""

    connection: Connection
    system_identifier: str
    timeline: int


class CanaryRow:
    """Moves the row on. Connects when it has to, as the backup role; the superuser only makes the table.

    The row stands in the maintenance database `postgres`, so no backup, digest or row count of the guarded
    databases ever holds it. Takes no lock of the stack.
    """

    def __init__(self, endpoint: Callable[[Role], Endpoint]) -> None:
        self._endpoint = endpoint
        self._open: _Open | None = None

    def beat(self) -> Seen:
        """One acknowledged commit, and how far WAL is on disk after it. Raises `not-running`, `unreachable-server`."""
        try:
            opened = self._open = self._open or self._connect()
            beat, at = _row(opened.connection, "canary_beat")
            (lsn,) = _row(opened.connection, "flushed_lsn")
        except psycopg.Error as error:
            self.close()
            said = (error.diag.message_primary or str(error)).strip()
            raise StratumError("unreachable-server", where="the canary's connection", problem=said) from None
        return Seen(
            system_identifier=opened.system_identifier,
            timeline=opened.timeline,
            flushed_lsn=lsn,
            beat=beat,
            beat_at=at.astimezone(UTC),
        )

    def close(self) -> None:
        """Let the connection go; the next beat makes another."""
        opened, self._open = self._open, None
        if opened is not None:
            with suppress(psycopg.Error):
                opened.connection.close()

    def _connect(self) -> _Open:
        with _connected(self._endpoint(Role.MAINTENANCE)) as superuser:
            identifier, timeline, _, _ = _row(superuser, "cluster_identity")
            found = superuser.execute(query("canary_exists")).fetchone()
            if found is None or not found[0]:
                superuser.execute(query("canary_create"))
        connection = _connected(self._endpoint(Role.BACKUP))
        return _Open(connection=connection, system_identifier=identifier, timeline=timeline)


def _connected(endpoint: Endpoint) -> Connection:
    return psycopg.connect(
        f"{endpoint.conninfo('postgres')} {IMPATIENT}",
        password=endpoint.password.reveal,
        connect_timeout=_CONNECT_SECONDS,
        application_name="stratum canary",
        options=_PATIENCE,
        autocommit=True,
    )


def _row(connection: Connection, name: str) -> tuple[Any, ...]:
    row = connection.execute(query(name)).fetchone()
    if row is None:
        raise psycopg.DataError(f"the canary's query {name} found no row")
    return row
