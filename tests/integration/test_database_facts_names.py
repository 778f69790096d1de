"""Names of any shape and encoding are observed as they are and go back to the server unharmed."""

from __future__ import annotations

import pytest

from stratum.core.backup import DigestMode
from tests.fixtures.observing import observe
from tests.fixtures.postgresql_majors import MajorServer, ServerUnderTest

ODD_NAMES = (
    "Upper Case",
    'with "quotes"',
    "it's",
    "percent %s %% %(x)s",
    "{relation}",
    "a.dot",
    "select",
    "*",
    "snow ☃",
    "back\\slash",
    "new\nline",
    "x" * 63,
    "é" * 31,
)


@pytest.fixture
def server(major_server: MajorServer) -> ServerUnderTest:
    return major_server(17)


def _quoted(name: bytes) -> bytes:
    return b'"' + name.replace(b'"', b'""') + b'"'


def _table_called(name: bytes) -> tuple[bytes, ...]:
    """A schema, table, key, generated column and serial sequence, all with this name."""
    q = _quoted(name)
    return (
        b"CREATE SCHEMA " + q,
        b"CREATE TABLE %b.%b (%b serial PRIMARY KEY, v text, g int GENERATED ALWAYS AS (%b) STORED)" % (q, q, q, q),
        b"INSERT INTO %b.%b (v) VALUES ('a'), ('b')" % (q, q),
    )


@pytest.mark.parametrize("mode", DigestMode)
@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_of_any_shape_is_observed(name: str, mode: DigestMode, server: ServerUnderTest) -> None:
    with server.database() as database:
        with server.connect(database) as connection:
            for statement in _table_called(name.encode()):
                connection.execute(statement)
        facts = observe(server, database, mode=mode)
    (table,), (sequence,) = facts.tables, facts.sequences
    assert (table.schema, table.name, table.rows, table.not_digested) == (name, name, 2, None)
    assert (sequence.table, sequence.column, sequence.behind) == (f"{name}.{name}", name, False)


@pytest.mark.parametrize("name", ['odd "name" % and {x}', "naïve ☃"])
def test_a_database_of_any_name_is_observed(name: str, server: ServerUnderTest) -> None:
    with server.database(name) as database:
        assert observe(server, database).properties.name == name


def test_names_of_another_encoding_come_as_the_same_text(server: ServerUnderTest) -> None:
    with server.database(options="ENCODING 'LATIN1' LOCALE 'C'") as database:
        with server.connect(database) as connection:
            connection.execute("SET client_encoding = 'UTF8'")
            for statement in _table_called("é".encode()):
                connection.execute(statement)
        facts = observe(server, database)
    assert facts.properties.encoding == "LATIN1"
    assert [table.qualified for table in facts.tables] == ["é.é"]


def test_names_that_are_not_utf8_are_observed_in_a_database_without_encoding(server: ServerUnderTest) -> None:
    """Two names that differ in such a byte alone stay two."""
    with server.database(options="ENCODING 'SQL_ASCII'") as database:
        with server.connect(database) as connection:
            connection.execute("SET client_encoding = 'SQL_ASCII'")
            for name in (b"caf\xe9", b"caf\xe8", "café".encode()):
                for statement in _table_called(name):
                    connection.execute(statement)
            connection.execute(b"COMMENT ON DATABASE %b IS 'caf\xe9'" % _quoted(database.encode()))
        facts = observe(server, database)
    assert [table.schema for table in facts.tables] == ["café", "caf\\xe8", "caf\\xe9"]
    assert all((table.rows, table.not_digested) == (2, None) for table in facts.tables)
    assert [sequence.behind for sequence in facts.sequences] == [False, False, False]
    assert facts.properties.comment == "caf\\xe9"
