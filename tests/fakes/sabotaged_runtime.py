"""A runtime whose throwaway servers lose or change something after the restore, without any tool noticing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import psycopg

from stratum.adapters.psycopg_database import PsycopgDatabase
from stratum.ports import PgTools, RestoreSelection, Runtime, Server


class SabotagedRuntime:
    """The real runtime, with statements run behind the back of whoever restores into a throwaway server."""

    def __init__(self, real: Runtime, *statements: str) -> None:
        self._real = real
        self._statements = statements

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  everything else is the real runtime's
        return getattr(self._real, name)

    @contextmanager
    def scratch(self, *, purpose: str, bootstrap_role: str) -> Iterator[Server]:
        with self._real.scratch(purpose=purpose, bootstrap_role=bootstrap_role) as server:
            yield replace(server, tools=cast("PgTools", _SabotagedTools(server, self._statements)))


class _SabotagedTools:
    def __init__(self, server: Server, statements: tuple[str, ...]) -> None:
        self._server = server
        self._statements = statements

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  everything else is the real tools'
        return getattr(self._server.tools, name)

    def restore(self, database: str, source: Path, *, only: RestoreSelection | None = None) -> None:
        self._server.tools.restore(database, source, only=only)
        endpoint = cast("PsycopgDatabase", self._server.database)._endpoint
        secret = endpoint.password.reveal
        with psycopg.connect(endpoint.conninfo(database), password=secret, autocommit=True) as connection:
            for statement in self._statements:
                connection.execute(statement.encode())
