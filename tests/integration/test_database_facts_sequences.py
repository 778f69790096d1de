"""A sequence is behind when its column already holds a value it will come to, and only then."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from stratum.core.backup import SequenceFacts
from tests.fixtures.observing import observe
from tests.fixtures.postgresql_majors import MAJORS, MajorServer, ServerUnderTest


@pytest.fixture
def server(major_server: MajorServer) -> ServerUnderTest:
    return major_server(17)


def sequences_after(server: ServerUnderTest, *statements: str) -> dict[str, SequenceFacts]:
    with server.database() as database:
        with server.connect(database) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        return {f"{s.schema}.{s.name}": s for s in observe(server, database).sequences}


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize(
    ("column", "sequence"),
    [
        ("id serial", "t_id_seq"),
        ("id smallserial", "t_id_seq"),
        ("id bigint GENERATED ALWAYS AS IDENTITY", "t_id_seq"),
        ("id numeric DEFAULT nextval('made')", "made"),
    ],
)
def test_a_sequence_is_tied_to_the_column_it_feeds(
    column: str, sequence: str, major: int, major_server: MajorServer
) -> None:
    setup = ("CREATE SEQUENCE made", f"CREATE TABLE t ({column} PRIMARY KEY, v text)",
             "INSERT INTO t (v) SELECT 'x' FROM generate_series(1, 5)")  # fmt: skip
    found = sequences_after(major_server(major), *setup)[f"public.{sequence}"]
    assert found == SequenceFacts(
        schema="public", name=sequence, last_value=5, table="public.t", column="id", behind=False
    )
    behind = sequences_after(major_server(major), *setup, f"SELECT setval('{sequence}', 4)")
    assert behind[f"public.{sequence}"].behind


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Where a sequence stands, against what its column holds."""

    increment: int = 1
    stored: tuple[int, ...]
    last: int
    called: bool = True
    behind: bool


@pytest.mark.parametrize(
    "at",
    [
        Position(stored=(1, 2, 3), last=3, behind=False),
        Position(stored=(1, 2, 3), last=2, behind=True),
        Position(stored=(1, 2, 3), last=3, called=False, behind=True),
        Position(stored=(1, 2, 3), last=4, called=False, behind=False),
        Position(stored=(1, 900), last=5, behind=True),
        Position(stored=(), last=1, called=False, behind=False),
        Position(stored=(-5,), last=1, called=False, behind=False),
        Position(increment=-1, stored=(-1, -2, -3), last=-3, behind=False),
        Position(increment=-1, stored=(-1, -2, -3), last=-2, behind=True),
        Position(increment=-1, stored=(-1, 900), last=-1, behind=False),
        Position(increment=2, stored=(1, 2, 3, 4), last=3, behind=False),
        Position(increment=2, stored=(1, 2, 3, 4, 5), last=3, behind=True),
        Position(increment=2, stored=(1, 2, 3, 4, 8), last=3, behind=False),
        Position(increment=2, stored=(1, 2, 3, 4, 7, 8), last=3, behind=True),
        Position(increment=-3, stored=(-1, -4, -5), last=-4, behind=False),
        Position(increment=-3, stored=(-1, -4, -7), last=-4, behind=True),
    ],
)
def test_behind_means_that_a_coming_value_is_taken(at: Position, server: ServerUnderTest) -> None:
    values = ", ".join(f"({value})" for value in at.stored)
    found = sequences_after(
        server,
        f"CREATE SEQUENCE s INCREMENT {at.increment} MINVALUE -1000 MAXVALUE 1000 START {at.last}",
        "CREATE TABLE t (id bigint DEFAULT nextval('s'))",
        "ALTER SEQUENCE s OWNED BY t.id",
        f"INSERT INTO t VALUES {values}" if values else "SELECT 1",
        f"SELECT setval('s', {at.last}, {at.called})",
    )["public.s"]
    assert found.behind is at.behind
    assert found.last_value == (at.last if at.called else None)


def test_a_sequence_that_was_never_used_can_be_behind_too(server: ServerUnderTest) -> None:
    """As when rows are loaded with their ids and nobody sets the sequence."""
    found = sequences_after(
        server, "CREATE TABLE t (id serial)", "INSERT INTO t VALUES (1)", "CREATE TABLE u (id serial)"
    )
    assert (found["public.t_id_seq"].last_value, found["public.t_id_seq"].behind) == (None, True)
    assert (found["public.u_id_seq"].last_value, found["public.u_id_seq"].behind) == (None, False)


def test_values_in_partitions_and_children_count(server: ServerUnderTest) -> None:
    found = sequences_after(
        server,
        "CREATE TABLE p (id bigint GENERATED ALWAYS AS IDENTITY, k int) PARTITION BY LIST (k)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY LIST (id)",
        "CREATE TABLE p11 PARTITION OF p1 DEFAULT",
        "INSERT INTO p OVERRIDING SYSTEM VALUE VALUES (50, 1)",
        "CREATE TABLE parent (id serial)",
        "CREATE TABLE child () INHERITS (parent)",
        "INSERT INTO child VALUES (7)",
        "INSERT INTO parent VALUES (DEFAULT)",
    )
    assert found["public.p_id_seq"].behind
    assert found["public.parent_id_seq"].behind


def test_what_cannot_be_compared_is_not_behind(server: ServerUnderTest) -> None:
    found = sequences_after(
        server,
        "CREATE SEQUENCE alone",
        "SELECT nextval('alone')",
        "CREATE SEQUENCE turning MAXVALUE 3 CYCLE",
        "CREATE TABLE t (id int DEFAULT nextval('turning'))",
        "ALTER SEQUENCE turning OWNED BY t.id",
        "INSERT INTO t SELECT FROM generate_series(1, 4)",
        "CREATE SEQUENCE texts",
        "CREATE TABLE u (id text DEFAULT 'n' || nextval('texts'))",
        "ALTER SEQUENCE texts OWNED BY u.id",
        "INSERT INTO u VALUES ('n1')",
    )
    assert {name: s.behind for name, s in found.items()} == {
        "public.alone": False,
        "public.texts": False,
        "public.turning": False,
    }
    assert (found["public.alone"].table, found["public.texts"].table) == (None, "public.u")


def test_domains_and_special_numbers_do_not_confuse(server: ServerUnderTest) -> None:
    found = sequences_after(
        server,
        "CREATE DOMAIN key AS bigint",
        "CREATE DOMAIN narrow_key AS key CHECK (VALUE > 0)",
        "CREATE SEQUENCE s",
        "CREATE TABLE t (id narrow_key DEFAULT nextval('s'))",
        "INSERT INTO t VALUES (1)",
        "CREATE SEQUENCE n",
        "CREATE TABLE u (id numeric DEFAULT nextval('n'))",
        "INSERT INTO u VALUES ('NaN'), ('Infinity'), ('-Infinity')",
    )
    assert found["public.s"].behind
    assert not found["public.n"].behind


def test_a_value_at_the_end_of_bigint_does_not_overflow(server: ServerUnderTest) -> None:
    found = sequences_after(
        server,
        "CREATE SEQUENCE s INCREMENT 2 MINVALUE -9223372036854775808 START -9223372036854775807",
        "CREATE TABLE t (id bigint DEFAULT nextval('s'))",
        "INSERT INTO t VALUES (9223372036854775807)",
    )
    assert found["public.s"].behind
