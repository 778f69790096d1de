"""The console's schema: the same from scratch and from migrations, and never served on when it is not known."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Engine

from stratum.backend.migrate import SchemaState, newest_revision, observe_state, prepare_schema
from stratum.backend.models import METADATA
from stratum.core.errors import StratumError
from tests.fixtures.console_backend import settings_for
from tests.fixtures.ledger_server import LedgerServer

_CATALOGUE = """
    SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod) || a.attnotnull
           || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || a.attidentity::text
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
"""


@pytest.fixture
def engine(console_server: LedgerServer, empty_database: str) -> Iterator[Engine]:
    found = settings_for(console_server, empty_database).open_engine()
    yield found
    found.dispose()


def _objects(server: LedgerServer, database: str) -> set[tuple[str, ...]]:
    with psycopg.connect(server.dsn(database)) as connection:
        rows = connection.execute(_CATALOGUE.encode()).fetchall()
    return {row for row in rows if "alembic_version" not in row[1]}


def _refused(engine: Engine, *, autorun: bool = True) -> StratumError:
    with pytest.raises(StratumError) as caught:
        prepare_schema(engine, autorun=autorun)
    return caught.value


def test_the_schema_from_scratch_is_the_schema_from_migrations(
    console_server: LedgerServer, empty_database: str, engine: Engine
) -> None:
    migrated = empty_database
    prepare_schema(engine, autorun=True)
    scratch = f"{empty_database}_scratch"
    console_server.create_database(scratch)
    other = settings_for(console_server, scratch).open_engine()
    METADATA.create_all(other)
    other.dispose()

    assert len(_objects(console_server, scratch)) > 50
    assert _objects(console_server, migrated) == _objects(console_server, scratch)


def test_a_start_migrates_what_is_behind_and_the_next_one_finds_it_done(engine: Engine) -> None:
    assert prepare_schema(engine, autorun=True) is SchemaState.BEHIND
    assert prepare_schema(engine, autorun=True) is SchemaState.EQUAL
    assert prepare_schema(engine, autorun=False) is SchemaState.EQUAL


def test_two_starts_at_once_migrate_once(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(lambda _: prepare_schema(engine, autorun=True), range(4)))

    assert sorted(states) == [SchemaState.BEHIND, *[SchemaState.EQUAL] * 3]


def test_a_schema_that_is_behind_is_not_served_on_when_migrating_is_switched_off(engine: Engine) -> None:
    error = _refused(engine, autorun=False)

    assert error.code == "console-schema-behind"
    assert error.details == {"found": "no revision", "wanted": newest_revision()}
    with engine.connect() as connection:
        assert observe_state(connection) is SchemaState.BEHIND


def test_a_schema_that_a_newer_release_recorded_is_served_on_only_with_the_permit_of_a_rollback(
    console_server: LedgerServer, empty_database: str, engine: Engine
) -> None:
    prepare_schema(engine, autorun=True)
    console_server.execute(
        empty_database,
        "UPDATE alembic_version SET version_num = '9999'",
        "INSERT INTO releases (release, schema_head) VALUES ('99.0', '9999')",
        "ALTER TABLE users ADD COLUMN newer text",
    )

    assert _refused(engine).code == "console-schema-ahead"
    console_server.execute(empty_database, "INSERT INTO release_permits VALUES ('0.0.other', '9999', now())")
    assert _refused(engine).code == "console-schema-ahead"
    from stratum import __version__

    console_server.execute(empty_database, f"INSERT INTO release_permits VALUES ('{__version__}', '9999', now())")
    assert prepare_schema(engine, autorun=True) is SchemaState.AHEAD
    assert console_server.scalar(empty_database, "SELECT version_num FROM alembic_version") == "9999"


def test_a_revision_that_no_release_recorded_has_diverged(
    console_server: LedgerServer, empty_database: str, engine: Engine
) -> None:
    prepare_schema(engine, autorun=True)
    console_server.execute(empty_database, "UPDATE alembic_version SET version_num = 'abcd'")

    error = _refused(engine)

    assert error.code == "console-schema-diverged"
    assert "abcd" in error.message


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("ALTER TABLE users DROP COLUMN password_changed_at", "password_changed_at"),
        ("ALTER TABLE users ADD COLUMN note text", "note"),
        ("DROP INDEX ix_events_at", "ix_events_at"),
        ("DROP TABLE refresh_tokens", "refresh_tokens"),
    ],
)
def test_a_table_that_somebody_changed_by_hand_has_diverged(
    console_server: LedgerServer, empty_database: str, engine: Engine, statement: str, named: str
) -> None:
    prepare_schema(engine, autorun=True)
    console_server.execute(empty_database, statement)

    error = _refused(engine)

    assert error.code == "console-schema-diverged"
    assert named in error.message


def test_tables_of_these_names_without_a_revision_have_diverged_and_stay_as_they_are(
    console_server: LedgerServer, empty_database: str, engine: Engine
) -> None:
    console_server.execute(empty_database, "CREATE TABLE users (x) AS VALUES (7)", "GRANT ALL ON users TO public")

    assert _refused(engine).code == "console-schema-diverged"
    assert console_server.scalar(empty_database, "SELECT x FROM users") == "7"


def test_a_migration_that_fails_leaves_nothing_behind(
    console_server: LedgerServer, empty_database: str, engine: Engine
) -> None:
    console_server.execute(empty_database, "CREATE TYPE sessions AS (x int)")

    error = _refused(engine)

    assert error.code == "console-migration-failed"
    assert "sessions" in error.message
    assert _objects(console_server, empty_database) == set()
