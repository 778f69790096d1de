"""The copies that an update makes are the databases as they were: rows, owner and what may be done in them."""

from __future__ import annotations

from typing import Any, cast

import psycopg
import pytest
from psycopg import sql

from stratum.adapters.database_copy import copy_files
from stratum.core.errors import StratumError
from stratum.engine.undo_copy import make_undo_copies, see_room, swap_undo_copies
from tests.fixtures.observing import observe
from tests.fixtures.postgresql_majors import MajorServer
from tests.fixtures.stacks import DATABASE, StackUnderTest

_OWNER = f"SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = '{DATABASE}'"


def test_a_copy_that_is_put_in_place_belongs_to_whom_the_database_belonged(stack: StackUnderTest) -> None:
    before = stack.rows(_OWNER)

    make_undo_copies(stack.ports(), "owner")
    swap_undo_copies(stack.ports(), "owner", databases=[])

    assert stack.rows(_OWNER) == before == [("stratum",)]


def test_the_applications_role_still_makes_tables_in_a_copy_that_was_put_in_place(stack: StackUnderTest) -> None:
    make_undo_copies(stack.ports(), "tables")
    swap_undo_copies(stack.ports(), "tables", databases=[])

    stack.execute("CREATE TABLE made_by_a_migration (id int)", user="stratum")

    assert stack.scalar("SELECT count(*) FROM made_by_a_migration") == 0


def test_copies_without_room_are_refused_while_the_application_may_still_serve(
    stack: StackUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = stack.ports()
    assert see_room(ports).databases == (DATABASE,)

    monkeypatch.setattr(ports.runtime, "free_bytes", lambda: 4096)
    with pytest.raises(StratumError) as seen:
        see_room(ports)
    with pytest.raises(StratumError) as refused:
        make_undo_copies(ports, "small")

    assert seen.value.code == refused.value.code == "disk-too-small"
    assert stack.databases() == {"postgres", DATABASE}


def test_a_server_that_dies_while_it_copies_leaves_no_database_that_nobody_may_enter(
    stack: StackUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy closes its database first; the way back of the update opens it again."""

    def dies(*_: object, **__: object) -> None:
        stack.kill()
        raise psycopg.OperationalError("the server is gone")

    rows = stack.scalar("SELECT count(*) FROM orders")
    monkeypatch.setattr("stratum.adapters.psycopg_database.copy_files", dies)
    with pytest.raises((StratumError, psycopg.OperationalError)):
        make_undo_copies(stack.ports(), "cut")
    stack.up()
    closed = stack.rows("SELECT datname FROM pg_database WHERE NOT datallowconn", database="postgres")

    swap_undo_copies(stack.ports(), "cut", databases=[])

    assert (DATABASE,) in closed
    assert stack.scalar("SELECT count(*) FROM orders") == rows


@pytest.mark.parametrize("major", [14, 17, 18])
def test_a_copy_holds_every_row_whatever_the_major_can(major_server: MajorServer, major: int) -> None:
    """18 has the kernel copy, 15 and newer are told to copy files, 14 knows nothing else."""
    server = major_server(major)
    with server.database() as name, server.connect(name) as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT g AS id, repeat('x', 100) AS text FROM generate_series(1, 20000) g"
        )
        connection.close()
        with server.connect() as maintenance:
            version = maintenance.info.server_version
            copy_files(maintenance, name, f"{name}_copy", owner="postgres", version_num=version)
        try:
            assert observe(server, f"{name}_copy").tables == observe(server, name).tables
        finally:
            with server.connect() as maintenance:
                maintenance.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(f"{name}_copy")))


def test_where_the_kernel_cannot_copy_the_server_does(major_server: MajorServer) -> None:
    """As on a file system that knows neither clones nor copies between files."""
    with major_server(18).database() as name, major_server(18).connect() as connection:
        refusing = _RefusesClones(connection)
        copy_files(
            cast("psycopg.Connection[Any]", refusing), name, f"{name}_copy", owner="postgres", version_num=180000
        )
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(f"{name}_copy")))

    assert refusing.refused


class _RefusesClones:
    """The connection of a server whose file system does not clone."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._method = ""
        self.refused = False

    def execute(self, statement: str | sql.Composed) -> object:
        if isinstance(statement, str):
            self._method = statement.rpartition(" ")[2]
        elif self._method == "clone":
            self.refused = True
            raise psycopg.errors.IoError("could not clone file: Operation not supported")
        return self._connection.execute(cast("sql.Composed", statement))
