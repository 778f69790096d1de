"""What a digest must see and what it must not mind: rows, duplicates, order, columns, and the three modes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stratum.core.backup import DigestMode, TableFacts
from tests.fixtures.observing import observe, table_of
from tests.fixtures.postgresql_majors import MAJORS, MajorServer, ServerUnderTest

Place = tuple[ServerUnderTest, str]


@pytest.fixture
def place(major_server: MajorServer) -> Iterator[Place]:
    server = major_server(17)
    with server.database() as name:
        yield server, name


def digested(place: Place, *statements: str, table: str = "t", mode: DigestMode = DigestMode.FULL) -> TableFacts:
    """Run the statements, then observe one table."""
    server, database = place
    with server.connect(database) as connection:
        for statement in statements:
            connection.execute(statement.encode())
    return table_of(observe(server, database, mode=mode), table)


def replaced(place: Place, rows: str, *, columns: str = "a text, b text") -> TableFacts:
    """A new table `t` with these rows."""
    return digested(place, "DROP TABLE IF EXISTS t", f"CREATE TABLE t ({columns})", f"INSERT INTO t {rows}")


def test_the_order_of_rows_does_not_matter(place: Place) -> None:
    rows = "SELECT i::text, md5(i::text) FROM generate_series(1, 5000) AS i"
    forwards = replaced(place, rows)
    backwards = replaced(place, f"{rows} ORDER BY i DESC")
    moved = digested(place, "CREATE INDEX t_b ON t (b)", "CLUSTER t USING t_b")
    assert forwards.rows == backwards.rows == moved.rows == 5000
    assert forwards.digest == backwards.digest == moved.digest


def test_parallel_workers_find_the_same_digest(place: Place) -> None:
    _, database = place
    rows = "SELECT i::text, repeat(md5(i::text), 8) FROM generate_series(1, 60000) AS i"
    alone = replaced(place, rows)
    forced = {"min_parallel_table_scan_size": "0", "parallel_setup_cost": "0", "parallel_tuple_cost": "0"}
    together = digested(place, *(f'ALTER DATABASE "{database}" SET {k} = {v}' for k, v in forced.items()))
    assert together == alone


def test_equal_rows_do_not_cancel_each_other(place: Place) -> None:
    """XOR would give 0 for both."""
    one = replaced(place, "VALUES ('x', 'y'), ('x', 'y')")
    other = replaced(place, "VALUES ('p', 'q'), ('p', 'q')")
    assert one.digest != other.digest


def test_a_row_more_of_the_same_changes_the_digest(place: Place) -> None:
    twice = replaced(place, "VALUES ('x', 'y'), ('x', 'y')")
    thrice = replaced(place, "VALUES ('x', 'y'), ('x', 'y'), ('x', 'y')")
    assert twice.digest != thrice.digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("('x', 'y')", "('y', 'x')"),
        ("('ab', 'c')", "('a', 'bc')"),
        ("('ab', '')", "('', 'ab')"),
        ("('a', NULL)", "(NULL, 'a')"),
        ("('a', NULL)", "('a', '')"),
        ("('a', NULL)", "('a', 'n')"),
        ("('a', 'v')", "('a', '')"),
        ("('1', 'x'), ('2', 'y')", "('1', 'y'), ('2', 'x')"),
        ("('1', NULL), ('2', 'y')", "('1', 'y'), ('2', NULL)"),
    ],
)
def test_values_cannot_change_places_unseen(one: str, other: str, place: Place) -> None:
    """Not between columns, not across a column's border, not between rows."""
    assert replaced(place, f"VALUES {one}").digest != replaced(place, f"VALUES {other}").digest


@pytest.mark.parametrize("major", MAJORS)
def test_a_generated_column_is_not_digested(major: int, major_server: MajorServer) -> None:
    """Its expression may give another result elsewhere without any stored value being lost."""
    server = major_server(major)
    kinds = ("STORED", "VIRTUAL") if major >= 18 else ("STORED",)
    with server.database() as name:
        plain = replaced((server, name), "VALUES (1)", columns="a int")
        for kind in kinds:
            columns = f"a int, twice int GENERATED ALWAYS AS (a * 2) {kind}"
            assert replaced((server, name), "VALUES (1)", columns=columns).digest == plain.digest


def test_a_dropped_column_leaves_no_trace(place: Place) -> None:
    plain = replaced(place, "VALUES ('x', 'y')")
    replaced(place, "VALUES ('x', 7, 'y')", columns="a text, gone int, b text")
    assert digested(place, "ALTER TABLE t DROP COLUMN gone").digest == plain.digest


def test_the_last_of_1600_columns_counts(place: Place) -> None:
    columns = ", ".join(f"c{i} int" for i in range(1600))
    before = replaced(place, "DEFAULT VALUES", columns=columns)
    after = digested(place, "UPDATE t SET c1599 = 0")
    exchanged = digested(place, "UPDATE t SET c1599 = NULL, c0 = 0")
    assert len({before.digest, after.digest, exchanged.digest}) == 3
    assert before.not_digested is None


def test_columns_beyond_the_first_64_cannot_change_places(place: Place) -> None:
    columns = ", ".join(f"c{i} text" for i in range(200))
    replaced(place, "DEFAULT VALUES", columns=columns)
    one = digested(place, "UPDATE t SET c63 = 'a', c64 = 'b', c128 = 'c'")
    other = digested(place, "UPDATE t SET c63 = 'b', c64 = 'a', c128 = 'c'")
    third = digested(place, "UPDATE t SET c63 = 'b', c64 = 'c', c128 = 'a'")
    assert len({one.digest, other.digest, third.digest}) == 3


def test_a_table_without_columns_has_rows_and_a_digest(place: Place) -> None:
    facts = digested(place, "CREATE TABLE t ()", "INSERT INTO t SELECT FROM generate_series(1, 3)")
    assert (facts.rows, facts.digest, facts.digested_rows) == (3, "0", 3)


def test_an_empty_table_has_a_digest(place: Place) -> None:
    facts = digested(place, "CREATE TABLE t (a int)")
    assert (facts.rows, facts.digest, facts.not_digested) == (0, "0", None)


def test_a_value_out_of_line_is_read_whole(place: Place) -> None:
    """The last byte of three megabytes that live in the TOAST table."""
    rows = "SELECT 1, string_agg(md5(i::text), '') || 'x' FROM generate_series(1, 100000) AS i"
    one = replaced(place, rows, columns="a int, b text")
    other = digested(place, "UPDATE t SET b = left(b, -1) || 'y'")
    assert one.digest != other.digest


def test_a_sample_is_one_row_in_sixteen_and_the_same_after_a_rewrite(place: Place) -> None:
    rows = "INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 16000) AS i"
    first = digested(place, "CREATE TABLE t (id int PRIMARY KEY, v text)", rows, mode=DigestMode.SAMPLED)
    again = digested(place, "CREATE INDEX t_v ON t (v)", "CLUSTER t USING t_v", mode=DigestMode.SAMPLED)
    assert first.rows == 16000
    assert 800 < first.digested_rows < 1200
    assert (first.digest, first.digested_rows) == (again.digest, again.digested_rows)


def test_a_sample_sees_changes_in_its_rows_and_only_there(place: Place) -> None:
    """Which is why a proof says that it used one."""
    rows = "INSERT INTO t SELECT i, 0 FROM generate_series(1, 96) AS i"
    before = digested(place, "CREATE TABLE t (id int PRIMARY KEY, v int)", rows, mode=DigestMode.SAMPLED)
    seen = 0
    for row in range(1, 97):
        change = f"UPDATE t SET v = (id = {row})::int"
        seen += digested(place, change, mode=DigestMode.SAMPLED).digest != before.digest
    assert seen == before.digested_rows > 0


def test_a_sampled_table_without_a_primary_key_is_digested_whole(place: Place) -> None:
    digested(place, "CREATE TABLE t (v int)", "INSERT INTO t SELECT generate_series(1, 100)")
    sampled, full = digested(place, mode=DigestMode.SAMPLED), digested(place)
    assert sampled == full
    assert sampled.digested_rows == 100


def test_counts_count_and_nothing_more(place: Place) -> None:
    digested(place, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 100)")
    facts = digested(place, mode=DigestMode.COUNTS)
    assert (facts.rows, facts.digest, facts.digested_rows, facts.not_digested) == (100, None, 0, None)


def test_rows_are_counted_in_the_heap_and_not_in_an_index(place: Place) -> None:
    """An index that lost entries must not hide rows that are there: a dump reads the heap."""
    server, database = place
    with server.connect(database) as connection:
        # Rows count as visible to an index only scan once their commit has reached the disk.
        connection.execute("SET synchronous_commit = on")
        connection.execute("CREATE TABLE t (id int, v text)")
        connection.execute("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 10000) AS i")
        connection.execute("CREATE INDEX t_id ON t (id) WHERE id > 100")
        connection.execute("UPDATE pg_index SET indpred = NULL WHERE indexrelid = 't_id'::regclass")
        connection.execute("VACUUM ANALYZE t")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (9900,)
    assert digested(place, mode=DigestMode.COUNTS).rows == 10000
