"""What is observed in a database, what is left out, and what happens when something cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from stratum.adapters.database_facts import observe_database_facts, observe_properties
from stratum.core.backup import DigestMode, ExtensionFacts, GrantFacts, SettingFacts
from stratum.core.errors import StratumError
from tests.fixtures.observing import observe, snapshot, table_of
from tests.fixtures.postgresql_majors import MAJORS, MajorServer, ServerUnderTest

Place = tuple[ServerUnderTest, str]


@pytest.fixture
def place(major_server: MajorServer) -> Iterator[Place]:
    server = major_server(17)
    with server.database() as name:
        yield server, name


def run(place: Place, *statements: str) -> None:
    server, database = place
    with server.connect(database) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.mark.parametrize("major", MAJORS)
def test_every_kind_of_table_has_its_place(major: int, major_server: MajorServer) -> None:
    server = major_server(major)
    with server.database() as name:
        run((server, name), _EVERY_KIND)
        facts = observe(server, name)
    assert {table.qualified: table.rows for table in facts.tables} == {
        "public.parted_1": 1,
        "public.parted_2": 2,
        "public.parent": 1,
        "public.child": 2,
        "public.unlogged": 3,
        "public.typed": 1,
        "side.plain": 4,
    }
    assert facts.materialized_views == ("public.summary",)
    assert facts.foreign_tables == ("public.far_away",)
    assert ExtensionFacts(name="hstore", version=_version_of(facts.extensions, "hstore"), schema="side") in (
        facts.extensions
    )
    assert facts.rows == 14
    assert facts.size_bytes > 1_000_000


_EVERY_KIND = """
CREATE SCHEMA side;
CREATE EXTENSION hstore SCHEMA side;
CREATE FOREIGN DATA WRAPPER without_handler;
CREATE SERVER nowhere FOREIGN DATA WRAPPER without_handler;
CREATE TABLE parted (a int) PARTITION BY LIST (a);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2, 3);
INSERT INTO parted VALUES (1), (2), (3);
CREATE TABLE parent (a int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (1), (2);
CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 3) AS a;
CREATE TYPE form AS (a int);
CREATE TABLE typed OF form;
INSERT INTO typed VALUES (1);
CREATE TABLE side.plain AS SELECT generate_series(1, 4) AS a;
CREATE TEMPORARY TABLE passing AS SELECT 1 AS a;
CREATE TABLE belongs_to_an_extension AS SELECT 1 AS a;
ALTER EXTENSION hstore ADD TABLE belongs_to_an_extension;
CREATE MATERIALIZED VIEW summary AS SELECT sum(a) FROM parent;
CREATE VIEW seen AS SELECT a FROM parent;
CREATE FOREIGN TABLE far_away (a int) SERVER nowhere;
"""


def _version_of(extensions: tuple[ExtensionFacts, ...], name: str) -> str:
    return next(extension.version for extension in extensions if extension.name == name)


def test_the_facts_are_of_the_snapshot_and_not_of_now(place: Place) -> None:
    server, database = place
    run(place, "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)")
    with snapshot(server, database) as exporting, snapshot(server, database) as importing:
        row = exporting.execute("SELECT pg_export_snapshot(), transaction_timestamp()").fetchone()
        assert row is not None
        exported, taken_at = row
        run(place, "INSERT INTO t VALUES (2)", "CREATE TABLE later (a int)")
        importing.execute(f"SET TRANSACTION SNAPSHOT '{exported}'")
        there = observe_database_facts(importing, mode=DigestMode.FULL, snapshot_at=taken_at)
        here = observe_database_facts(exporting, mode=DigestMode.FULL)
    assert there.tables == here.tables
    assert [table.qualified for table in here.tables] == ["public.t"]
    assert (here.rows, here.snapshot, here.snapshot_at) == (1, there.snapshot, there.snapshot_at)
    assert timedelta() < datetime.now(UTC) - here.snapshot_at < timedelta(minutes=5)
    assert observe(server, database).rows == 2


def test_without_a_steady_snapshot_nothing_is_observed(place: Place) -> None:
    server, database = place
    with (
        server.connect(database, autocommit=False) as connection,
        pytest.raises(ValueError, match="read committed"),
    ):
        observe_database_facts(connection, mode=DigestMode.FULL)


def test_the_session_has_its_own_settings_back_afterwards(place: Place) -> None:
    server, database = place
    with snapshot(server, database) as connection:
        connection.execute("SET SESSION search_path = public")
        connection.commit()
        before = connection.execute("SELECT name, setting FROM pg_settings ORDER BY name").fetchall()
        connection.commit()
        observe_database_facts(connection, mode=DigestMode.FULL)
        connection.commit()
        assert connection.execute("SELECT name, setting FROM pg_settings ORDER BY name").fetchall() == before


def test_progress_ends_with_everything_read(place: Place) -> None:
    server, database = place
    run(place, "CREATE TABLE a AS SELECT generate_series(1, 9999)", "CREATE TABLE b (i int)")
    heard: list[tuple[int, int]] = []
    with snapshot(server, database) as connection:
        facts = observe_database_facts(
            connection, mode=DigestMode.FULL, progress=lambda done, total: heard.append((done, total))
        )
    total = sum(table.bytes for table in facts.tables)
    assert heard == [(facts.tables[0].bytes, total), (total, total)]
    assert total > 300_000


def test_a_table_that_may_not_be_read_is_named_and_never_counted_as_empty(place: Place) -> None:
    server, database = place
    run(place, *(f"CREATE TABLE {name} AS SELECT 1 AS a" for name in ("open", "shut", "closed")))
    run(place, "GRANT SELECT ON open TO PUBLIC")
    with server.role("visitor") as role, pytest.raises(StratumError) as raised:
        observe(server, database, user=role)
    assert raised.value.code == "query-failed"
    assert "public.shut: permission denied for table shut (42501)" in raised.value.message
    assert "public.closed: permission denied for table closed (42501)" in raised.value.message
    assert "public.open" not in raised.value.message


@pytest.mark.parametrize("mode", DigestMode)
def test_rows_that_a_policy_hides_make_the_table_unreadable_and_not_shorter(mode: DigestMode, place: Place) -> None:
    server, database = place
    run(place, "CREATE TABLE t AS SELECT generate_series(1, 9) AS a", "GRANT SELECT ON t TO PUBLIC")
    run(place, "ALTER TABLE t ENABLE ROW LEVEL SECURITY", "CREATE POLICY few ON t USING (a < 3)")
    with server.role("visitor") as role, pytest.raises(StratumError, match=r"public\.t: query would be affected"):
        observe(server, database, user=role, mode=mode)
    with server.role("keeper", grant="pg_read_all_data", options="BYPASSRLS") as role:
        assert observe(server, database, user=role, mode=mode).rows == 9


@pytest.mark.parametrize("mode", [DigestMode.FULL, DigestMode.SAMPLED])
def test_content_that_cannot_be_digested_is_counted_and_named_with_the_reason(mode: DigestMode, place: Place) -> None:
    server, database = place
    run(place, _TYPE_THAT_CANNOT_BE_WRITTEN, "CREATE TABLE mute (id int PRIMARY KEY, v wordless)")
    run(place, "INSERT INTO mute SELECT i, 'x' FROM generate_series(1, 100) AS i", "CREATE TABLE after (a int)")
    facts = observe(server, database, mode=mode)
    mute, after = table_of(facts, "mute"), table_of(facts, "after")
    assert (mute.rows, mute.digest, mute.digested_rows) == (100, None, 0)
    assert mute.not_digested == "cannot display a value of type trigger (0A000)"
    assert (after.rows, after.digest, after.not_digested) == (0, "0", None)


_TYPE_THAT_CANNOT_BE_WRITTEN = """
CREATE TYPE wordless;
CREATE FUNCTION wordless_in(cstring) RETURNS wordless LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION wordless_out(wordless) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'trigger_out';
CREATE TYPE wordless (INPUT = wordless_in, OUTPUT = wordless_out, LIKE = text);
"""


@pytest.mark.parametrize("change", ["TRUNCATE t", "ALTER TABLE t ALTER a TYPE bigint"])
def test_a_table_rewritten_after_the_snapshot_is_named_and_not_taken_for_empty(change: str, place: Place) -> None:
    """Neither TRUNCATE nor a rewrite keeps the old rows for older snapshots: a dump would hold none of them."""
    server, database = place
    run(place, "CREATE TABLE t AS SELECT generate_series(1, 9) AS a", "CREATE TABLE u (a int)")
    with snapshot(server, database) as connection:
        connection.execute("SELECT 1")
        run(place, change)
        with pytest.raises(StratumError, match=r"public\.t: truncated or rewritten") as raised:
            observe_database_facts(connection, mode=DigestMode.FULL)
    assert "public.u" not in raised.value.message


def test_a_table_dropped_after_the_snapshot_is_named(place: Place) -> None:
    server, database = place
    run(place, "CREATE TABLE t (a int)")
    with snapshot(server, database) as connection:
        connection.execute("SELECT 1")
        run(place, "DROP TABLE t")
        with pytest.raises(StratumError, match=r'public\.t: relation "public\.t" does not exist'):
            observe_database_facts(connection, mode=DigestMode.FULL)


def test_a_lost_connection_is_not_a_finding_about_a_table(place: Place) -> None:
    server, database = place
    run(place, "CREATE TABLE a (i int)", "CREATE TABLE b (i int)")

    def end_the_session(_done: int, _total: int) -> None:
        with server.connect() as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))

    with pytest.raises(psycopg.OperationalError), snapshot(server, database) as connection:
        observe_database_facts(connection, mode=DigestMode.FULL, progress=end_the_session)


def test_a_cancelled_observation_ends_and_does_not_blame_the_table(place: Place) -> None:
    server, database = place
    run(place, "CREATE TABLE a (i int)", "CREATE TABLE b AS SELECT 1 AS i")
    with ExitStack() as stack:
        blocker = stack.enter_context(server.connect(database, autocommit=False))
        pool = stack.enter_context(ThreadPoolExecutor())
        connection = stack.enter_context(snapshot(server, database))
        pid = connection.info.backend_pid

        def cancel_when_waiting() -> None:
            with server.connect() as other:
                waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
                while other.execute(waits, (pid,)).fetchone() != (True,):
                    pass
                other.execute("SELECT pg_cancel_backend(%s)", (pid,))
            blocker.rollback()

        def block_the_next_table(done: int, total: int) -> None:
            if done < total:
                blocker.execute("LOCK TABLE b")
                pool.submit(cancel_when_waiting)

        with pytest.raises(psycopg.errors.QueryCanceled):
            observe_database_facts(connection, mode=DigestMode.FULL, progress=block_the_next_table)


def test_the_timeouts_of_the_role_do_not_cut_the_observation(place: Place) -> None:
    server, database = place
    run(place, f'ALTER DATABASE "{database}" SET statement_timeout = \'10min\'',
        f'ALTER DATABASE "{database}" SET idle_in_transaction_session_timeout = \'10min\'')  # fmt: skip
    with snapshot(server, database) as connection:
        observe_database_facts(connection, mode=DigestMode.FULL)
        names = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
        assert {connection.execute(f"SHOW {name}").fetchone() for name in names} == {("0",)}


def test_a_failed_concurrent_index_is_named(place: Place) -> None:
    server, database = place
    run(place, "CREATE TABLE t AS SELECT 1 AS a FROM generate_series(1, 2)", "CREATE INDEX fine ON t (a)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(place, "CREATE UNIQUE INDEX CONCURRENTLY failed ON t (a)")
    assert observe(server, database).invalid_indexes == ("public.failed",)


@pytest.mark.parametrize("major", MAJORS)
def test_collations_bear_the_version_the_catalogue_recorded(major: int, major_server: MajorServer) -> None:
    """Those of users, and those of the system that a user's table relies on; the system's others are noise."""
    server = major_server(major)
    with server.database() as name:
        for collation in ("ours", "unversioned", "relied_on", "not_used"):
            run((server, name), f"CREATE COLLATION {collation} (PROVIDER = libc, LOCALE = 'C')")
        run((server, name), "CREATE TABLE t (a text COLLATE relied_on)", _RECORD_VERSIONS)
        found = observe(server, name).collations
    assert found == {"public.ours": "2.36", "pg_catalog.relied_on": "2.36"}


_RECORD_VERSIONS = """
UPDATE pg_collation SET collversion = '2.36' WHERE collname IN ('ours', 'relied_on', 'not_used');
UPDATE pg_collation SET collnamespace = 'pg_catalog'::regnamespace WHERE collname IN ('relied_on', 'not_used');
"""


@pytest.mark.parametrize("major", MAJORS)
def test_the_properties_say_how_to_create_the_database_again(major: int, major_server: MajorServer) -> None:
    server = major_server(major)
    options = "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.utf8' CONNECTION LIMIT 17"
    with server.role("landlord") as owner, server.role("tenant") as tenant, ExitStack() as stack:
        name = stack.enter_context(server.database(options=options))
        run((server, name), *(line.format(d=f'"{name}"') for line in _PROPERTIES.strip().split(";\n")))
        connection = stack.enter_context(server.connect(name))
        found = observe_properties(connection)
        oid = connection.execute("SELECT oid FROM pg_database WHERE datname = %s", (name,)).fetchone()
    assert (found.name, (found.oid,)) == (name, oid)
    assert (found.owner, found.encoding, found.connection_limit) == (owner, "UTF8", 17)
    assert (found.locale_provider, found.collate, found.ctype, found.locale) == ("libc", "C", "C.utf8", None)
    assert (found.icu_rules, found.comment) == (None, 'it\'s "ours"')
    assert found.grants is not None
    assert GrantFacts(grantee=tenant, privilege="CONNECT", grantable=True) in found.grants
    assert [grant for grant in found.grants if grant.grantee is None] == [
        GrantFacts(grantee=None, privilege="TEMPORARY", grantable=False)
    ]
    assert {grant.privilege for grant in found.grants if grant.grantee == owner} == {"CONNECT", "CREATE", "TEMPORARY"}
    assert found.settings == (
        SettingFacts(role=None, name="search_path", value='"a b", public'),
        SettingFacts(role=tenant, name="work_mem", value="17MB"),
    )


_PROPERTIES = """
ALTER DATABASE {d} OWNER TO landlord;
COMMENT ON DATABASE {d} IS 'it''s "ours"';
REVOKE ALL ON DATABASE {d} FROM PUBLIC;
GRANT CONNECT ON DATABASE {d} TO tenant WITH GRANT OPTION;
GRANT TEMPORARY ON DATABASE {d} TO PUBLIC;
ALTER DATABASE {d} SET search_path = 'a b', public;
ALTER ROLE tenant IN DATABASE {d} SET work_mem = '17MB';
ALTER ROLE tenant SET work_mem = '18MB'
"""


@pytest.mark.parametrize("major", MAJORS)
def test_a_database_as_created_has_default_privileges_and_no_settings(major: int, major_server: MajorServer) -> None:
    server = major_server(major)
    with server.database() as name:
        found = observe(server, name).properties
    assert (found.grants, found.settings, found.comment, found.connection_limit) == (None, (), None, -1)


@pytest.mark.parametrize("major", [17, 18])
def test_the_builtin_locale_provider_is_told_with_its_locale(major: int, major_server: MajorServer) -> None:
    server = major_server(major)
    options = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' ENCODING 'UTF8'"
    with server.database(options=options) as name:
        found = observe(server, name).properties
    assert (found.locale_provider, found.locale, found.collation_version) == ("builtin", "C.UTF-8", "1")
