"""A digest sees one changed value of any type, and is the same wherever the same data stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stratum.core.backup import DatabaseFacts, DigestMode
from tests.fixtures.every_type import CASES, DECLARATIONS, TypeCase, create_table_of, table_name
from tests.fixtures.observing import observe, table_of
from tests.fixtures.postgresql_majors import MAJORS, MajorServer, ServerUnderTest

OLDEST = MAJORS[0]

ODD_NAMES = (
    "Upper Case",
    'with "quotes"',
    "it's",
    "percent %s %%",
    "{relation}",
    "schema.dotted",
    "select",
    "snow ☃ and é",
    "back\\slash",
    "new\nline",
    "x" * 63,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """The digests of every type's table while the value of one row is changed."""

    as_it_was: DatabaseFacts
    changed: DatabaseFacts
    emptied: DatabaseFacts
    changed_back: DatabaseFacts


@pytest.fixture(scope="module", params=MAJORS)
def changes(request: pytest.FixtureRequest, major_server: MajorServer) -> Iterator[Changes]:
    server = major_server(request.param)
    with server.database() as name, server.connect(name) as connection:
        connection.execute(DECLARATIONS)
        for case in CASES:
            create_table_of(connection, case)

        def observe_after(change: str) -> DatabaseFacts:
            for case in CASES:
                values = {"one": case.one, "other": case.other}
                connection.execute(f"UPDATE {table_name(case)} SET {change} WHERE id = 1", values)
            return observe(server, name)

        yield Changes(
            as_it_was=observe(server, name),
            changed=observe_after("held = %(other)s"),
            emptied=observe_after("held = NULL"),
            changed_back=observe_after("held = %(one)s"),
        )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_changing_one_value_changes_the_digest(case: TypeCase, changes: Changes) -> None:
    name = table_name(case)
    as_it_was, changed, emptied, changed_back = (
        table_of(facts, name) for facts in (changes.as_it_was, changes.changed, changes.emptied, changes.changed_back)
    )
    assert as_it_was.not_digested is None
    assert len({as_it_was.digest, changed.digest, emptied.digest}) == 3
    assert changed_back.digest == as_it_was.digest


@pytest.fixture(scope="module")
def dump_of_every_type(major_server: MajorServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every type, odd names, partitions and large objects, dumped by the oldest major's own tool."""
    server = major_server(OLDEST)
    dump = tmp_path_factory.mktemp("dump") / "every_type.dump"
    with server.database("every_type") as name:
        with server.connect(name) as connection:
            connection.execute(DECLARATIONS)
            for case in CASES:
                create_table_of(connection, case)
            for odd in ODD_NAMES:
                quoted = '"' + odd.replace('"', '""') + '"'
                connection.execute(f"CREATE SCHEMA {quoted}".encode())
                connection.execute(f"CREATE TABLE {quoted}.{quoted} ({quoted} int PRIMARY KEY, v text)".encode())
                connection.execute(f"INSERT INTO {quoted}.{quoted} VALUES (1, 'one'), (2, NULL)".encode())
            connection.execute(_MORE_SHAPES)
        dump.write_bytes(server.run_tool("pg_dump", "-Fc", name))
    return dump


_MORE_SHAPES = """
CREATE TABLE big (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount numeric(12,2), at timestamptz,
                  document jsonb, picture bytea, doubled numeric GENERATED ALWAYS AS (amount * 2) STORED);
INSERT INTO big (amount, at, document, picture)
    SELECT i / 100.0, timestamptz '2026-01-01 00:00+00' + i * interval '1 hour 1.5 seconds',
           jsonb_build_object('n', i, 'half', i / 2.0), sha256(i::text::bytea)
    FROM generate_series(1, 20000) AS i;
CREATE TABLE events (at date, what text) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO events SELECT date '2025-06-01' + i, 'event ' || i FROM generate_series(1, 400) AS i;
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 5);
DO $$ BEGIN
    EXECUTE format('CREATE TABLE wide (%s)',
                   (SELECT string_agg('c' || i || ' int', ', ') FROM generate_series(1, 1600) i));
    EXECUTE 'INSERT INTO wide SELECT ' || (SELECT string_agg(i::text, ', ') FROM generate_series(1, 1600) i);
END $$;
SELECT lo_from_bytea(70001, ''), lo_from_bytea(70002, '\\x00ff00'),
       lo_from_bytea(70003, convert_to(repeat('0123456789abcdef', 65536 * 2), 'UTF8'));
"""


def _content(facts: DatabaseFacts) -> dict[str, tuple[int, str | None, int]]:
    return {table.qualified: (table.rows, table.digest, table.digested_rows) for table in facts.tables}


def _restored(server: ServerUnderTest, dump: Path, database: str) -> None:
    server.run_tool("pg_restore", "--exit-on-error", "-d", database, str(dump))


@pytest.mark.parametrize("mode", [DigestMode.FULL, DigestMode.SAMPLED])
@pytest.mark.parametrize("major", MAJORS)
def test_the_same_database_has_the_same_digests_on_every_major(
    major: int, mode: DigestMode, major_server: MajorServer, dump_of_every_type: Path
) -> None:
    oldest, server = major_server(OLDEST), major_server(major)
    with oldest.database() as there, server.database() as here:
        _restored(oldest, dump_of_every_type, there)
        _restored(server, dump_of_every_type, here)
        expected, found = observe(oldest, there, mode=mode), observe(server, here, mode=mode)
    assert len(expected.tables) >= len(CASES) + len(ODD_NAMES)
    assert all(table.digest is not None for table in expected.tables)
    assert _content(found) == _content(expected)
    assert (found.large_objects.count, found.large_objects.digest) == (3, expected.large_objects.digest)


@pytest.mark.parametrize("major", MAJORS)
def test_a_char_above_127_is_digested_alike_although_its_text_changed_in_16(
    major: int, major_server: MajorServer
) -> None:
    digests = []
    for server in (major_server(OLDEST), major_server(major)):
        with server.database(options="ENCODING 'SQL_ASCII'") as name:
            with server.connect(name) as connection:
                connection.execute("""CREATE TABLE flags AS SELECT (i - 128)::"char" AS flag
                                      FROM generate_series(0, 255) AS i""")
            digests.append(table_of(observe(server, name), "flags").digest)
    assert digests[0] == digests[1]


@pytest.fixture(scope="module")
def restored(
    major_server: MajorServer, dump_of_every_type: Path
) -> Iterator[tuple[ServerUnderTest, str, DatabaseFacts]]:
    server = major_server(17)
    with server.database() as name:
        _restored(server, dump_of_every_type, name)
        yield server, name, observe(server, name)


@pytest.mark.parametrize(
    "setting",
    [
        "DateStyle = 'German'",
        "IntervalStyle = 'iso_8601'",
        "TimeZone = 'Asia/Kathmandu'",
        "extra_float_digits = -15",
        "bytea_output = 'escape'",
        "search_path = 'pg_catalog, public'",
        "quote_all_identifiers = on",
        "xmloption = 'document'",
        "lc_monetary = 'C.utf8'",
        "client_encoding = 'LATIN1'",
    ],
)
def test_the_settings_of_a_session_do_not_reach_the_digest(
    setting: str, restored: tuple[ServerUnderTest, str, DatabaseFacts]
) -> None:
    server, name, before = restored
    with server.connect(name) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET {setting}')
        found = observe(server, name)
        connection.execute(f'ALTER DATABASE "{name}" RESET ALL')
    assert _content(found) == _content(before)
