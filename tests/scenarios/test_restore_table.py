"""restore --table: one table comes back into a schema of its own, and into place by a second plan."""

from __future__ import annotations

import psycopg
import pytest

from stratum.core.errors import StratumError
from tests.fixtures.stacks import OWNER, Asked, StackUnderTest

ODD = '"Odd ""Schéma"""'
ODD_TABLE = "\";drop table 'x' é\""


def test_a_restored_table_stands_beside_and_the_live_one_is_not_touched(stack: StackUnderTest) -> None:
    stack.execute("DELETE FROM orders WHERE id <= 20")
    schema = stack.restore_table("orders")
    assert stack.scalar("SELECT count(*) FROM orders") == 180
    assert stack.scalar(f"SELECT count(*) FROM {schema}.orders") == 200
    assert stack.scalar(f"SELECT count(*) FROM {schema}.orders WHERE mood = 'tense'") == 66
    assert {name for name in stack.databases() if name.startswith("stratum_table")} == set()


def test_two_restores_of_one_table_stand_side_by_side(stack: StackUnderTest) -> None:
    first, second = stack.restore_table("orders"), stack.restore_table("public.orders")
    assert first != second
    assert stack.scalar(f"SELECT count(*) FROM {first}.orders JOIN {second}.orders USING (id)") == 200


def test_a_partitioned_table_comes_back_with_its_partitions(stack: StackUnderTest) -> None:
    stack.execute("DROP TABLE events")
    schema = stack.restore_table("events")
    assert stack.scalar(f"SELECT count(*) FROM {schema}.events") == 300
    assert stack.scalar(f"SELECT count(*) FROM ONLY {schema}.events_2026") == 87
    stack.place_table("events", schema)
    assert stack.scalar("SELECT count(*) FROM events") == 300
    stack.execute("INSERT INTO events VALUES ('2026-12-31', 'routed')", user=OWNER)
    assert stack.scalar("SELECT count(*) FROM events_2026") == 88


def test_one_partition_alone_can_be_restored(stack: StackUnderTest) -> None:
    stack.execute("DROP TABLE events_2026")
    schema = stack.restore_table("events_2026")
    assert stack.scalar(f"SELECT count(*) FROM {schema}.events_2026") == 87
    assert stack.scalar("SELECT count(*) FROM events") == 213, "restored rows are not live before they are put in place"
    stack.place_table("events_2026", schema)
    assert stack.scalar("SELECT count(*) FROM events") == 300


def test_a_partition_that_is_still_attached_is_not_replaced(stack: StackUnderTest) -> None:
    schema = stack.restore_table("events_2026")
    with pytest.raises(StratumError) as refused:
        stack.place_table("events_2026", schema)
    assert "partition of events" in refused.value.message


def test_a_table_that_inherits_comes_back_without_its_rows_becoming_its_live_parents(stack: StackUnderTest) -> None:
    stack.execute("CREATE TABLE extra (why text) INHERITS (accounts)", user=OWNER)
    stack.execute("INSERT INTO extra (id, holder, balance) VALUES (99, 'x', 1)", user=OWNER)
    stack.backup()
    schema = stack.restore_table("extra")
    assert stack.scalar(f"SELECT count(*) FROM {schema}.extra") == 1
    assert stack.scalar("SELECT count(*) FROM accounts") == 51


def test_names_with_quotes_blanks_and_statements_in_them_come_back(stack: StackUnderTest) -> None:
    stack.execute(f"DROP TABLE {ODD}.{ODD_TABLE}")
    schema = stack.restore_table(f"{ODD}.{ODD_TABLE}")
    stack.place_table(f"{ODD}.{ODD_TABLE}", schema)
    assert stack.rows(f'SELECT "a b", "Wert%s" FROM {ODD}.{ODD_TABLE} ORDER BY 1') == [(1, "eins"), (2, "zwei")]


def test_a_dropped_table_is_put_back_with_everything_that_was_its_own(stack: StackUnderTest) -> None:
    before = _definition(stack, "orders")
    stack.execute("DROP TABLE orders")
    schema = stack.restore_table("orders")
    asked = Asked()
    outcome = stack.place_table("orders", schema, asked=asked)
    completing = outcome.plan.params["completing"]
    assert isinstance(completing, list)
    assert any("FOREIGN KEY (account)" in statement for statement in completing)
    assert any("CREATE TRIGGER orders_stamp" in statement for statement in completing)
    assert set(completing) <= {line.removeprefix("then: ") for line in asked.shown}
    assert _definition(stack, "orders") == before
    with stack.connect(user=OWNER) as connection:
        row = connection.execute("INSERT INTO orders (account) VALUES (1) RETURNING id, note").fetchone()
        assert row == (201, "stamped"), "the sequence goes on and the trigger fires"
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute("INSERT INTO orders (account) VALUES (999)")


def _definition(stack: StackUnderTest, table: str) -> dict[str, list[tuple[object, ...]]]:
    """Everything the catalogue says of a table, in words."""
    oid = f"'public.{table}'::regclass"
    return {
        "columns": stack.rows(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid)"
            " FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
            f" WHERE attrelid = {oid} AND attnum > 0 ORDER BY attname"
        ),
        "constraints": stack.rows(
            "SELECT conname, pg_get_constraintdef(oid), convalidated, obj_description(oid)"
            f" FROM pg_constraint WHERE conrelid = {oid} ORDER BY 1"
        ),
        "indexes": stack.rows(f"SELECT indexdef FROM pg_indexes WHERE tablename = '{table}' ORDER BY 1"),
        "triggers": stack.rows(
            "SELECT pg_get_triggerdef(oid), tgenabled, obj_description(oid)"
            f" FROM pg_trigger WHERE tgrelid = {oid} AND NOT tgisinternal ORDER BY 1"
        ),
        "rules": stack.rows(f"SELECT definition FROM pg_rules WHERE tablename = '{table}' ORDER BY 1"),
        "policies": stack.rows(f"SELECT policyname, cmd, qual FROM pg_policies WHERE tablename = '{table}'"),
        "security": stack.rows(
            f"SELECT relrowsecurity, relacl::text, relowner::regrole FROM pg_class WHERE oid = {oid}"
        ),
        "sequence": stack.rows(f"SELECT pg_get_serial_sequence('public.{table}', 'id')"),
    }


def test_rules_disabled_triggers_and_comments_of_a_table_come_back_as_they_were(stack: StackUnderTest) -> None:
    stack.execute(
        'CREATE TABLE "orders old" (id int PRIMARY KEY, account int REFERENCES accounts (id))',
        'CREATE TRIGGER stamp_old BEFORE INSERT ON "orders old" FOR EACH ROW EXECUTE FUNCTION stamp()',
        "CREATE TRIGGER asleep BEFORE UPDATE OF note ON orders FOR EACH ROW WHEN (NEW.note = E';\\n\\n')"
        " EXECUTE FUNCTION stamp()",
        "ALTER TABLE orders DISABLE TRIGGER asleep",
        "CREATE RULE keep_calm AS ON DELETE TO orders WHERE OLD.mood = 'tense' DO INSTEAD NOTHING",
        "COMMENT ON CONSTRAINT orders_account ON orders IS 'every order has an account'",
        "COMMENT ON RULE keep_calm ON orders IS 'tense orders stay'",
        "GRANT SELECT ON orders TO stratum_backup",
        user=OWNER,
    )
    stack.execute(
        "CREATE PUBLICATION feed FOR TABLE orders",
        "COMMENT ON PUBLICATION feed IS 'all orders'",
        "CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "CREATE EVENT TRIGGER watched ON ddl_command_end EXECUTE FUNCTION watch()",
        "COMMENT ON EVENT TRIGGER watched IS 'watches'",
        "SELECT lo_create(4711)",
        "COMMENT ON LARGE OBJECT 4711 IS 'large'",
        f"GRANT SELECT ON LARGE OBJECT 4711 TO {OWNER}",
    )
    before = _definition(stack, "orders")
    stack.backup()
    stack.execute("DROP TABLE orders")
    stack.place_table("orders", stack.restore_table("orders"))
    after = _definition(stack, "orders")
    assert after == before
    assert after["rules"]
    assert len(after["triggers"]) == 2


def test_a_table_others_refer_to_is_not_replaced_and_they_are_named(stack: StackUnderTest) -> None:
    stack.execute(
        "CREATE VIEW rich AS SELECT holder FROM accounts WHERE balance > 50",
        "CREATE MATERIALIZED VIEW totals AS SELECT sum(balance) FROM accounts",
        "CREATE TRIGGER accounts_seen BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION stamp()",
        "CREATE FUNCTION first_account() RETURNS SETOF accounts LANGUAGE sql AS 'SELECT * FROM accounts LIMIT 1'",
        user=OWNER,
    )
    schema = stack.restore_table("accounts")
    with pytest.raises(StratumError) as refused:
        stack.place_table("accounts", schema)
    assert (refused.value.code, refused.value.exit) == ("table-in-use", 10)
    for name in ("foreign key orders_account", "view rich", "materialized view totals", "trigger accounts_seen",
                 "function first_account()"):  # fmt: skip
        assert name in refused.value.message
    assert stack.scalar(f"SELECT count(*) FROM {schema}.accounts") == 50


def test_a_table_nothing_refers_to_is_swapped_and_the_old_one_is_kept(stack: StackUnderTest) -> None:
    stack.execute("DROP TRIGGER orders_stamp ON orders", "DELETE FROM orders WHERE id <= 20")
    schema = stack.restore_table("orders")
    kept = stack.place_table("orders", schema).plan.params["kept_schema"]
    assert str(kept).startswith("kept_")
    assert stack.scalar("SELECT count(*) FROM orders") == 200
    assert stack.scalar(f"SELECT count(*) FROM {kept}.orders") == 180


def test_a_table_is_put_in_place_a_second_time(stack: StackUnderTest) -> None:
    stack.execute("DROP TABLE orders")
    for _ in range(2):
        schema = stack.restore_table("orders")
        stack.execute("DROP TRIGGER IF EXISTS orders_stamp ON orders") if _ else None
        stack.place_table("orders", schema)
    assert stack.scalar("SELECT count(*) FROM orders") == 200


def test_a_declined_placement_moves_nothing(stack: StackUnderTest) -> None:
    stack.execute("DROP TABLE orders")
    schema = stack.restore_table("orders")
    with pytest.raises(StratumError) as declined:
        stack.place_table("orders", schema, asked=Asked(answer=False))
    assert declined.value.code == "declined"
    assert stack.scalar(f"SELECT count(*) FROM {schema}.orders") == 200
    assert stack.scalar("SELECT to_regclass('public.orders')") is None


@pytest.mark.parametrize("table", ["nowhere", "public.order", "orders; DROP", "elsewhere.orders"])
def test_a_table_the_backup_does_not_hold_is_refused_by_name(stack: StackUnderTest, table: str) -> None:
    with pytest.raises(StratumError) as refused:
        stack.restore_table(table)
    assert refused.value.code == "unknown-table"


def test_a_table_whose_name_begins_like_another_is_not_taken_for_it(stack: StackUnderTest) -> None:
    stack.execute('CREATE TABLE "jobs of orders" (id int)', user=OWNER)
    stack.backup()
    with pytest.raises(StratumError) as refused:
        stack.restore_table("jobs")
    assert refused.value.code == "unknown-table"


def test_the_application_can_read_and_drop_what_a_restored_table_left(stack: StackUnderTest) -> None:
    beside, placed = stack.restore_table("events"), stack.restore_table("events")
    stack.execute(f"CREATE TABLE copied AS SELECT * FROM {beside}.events", f"DROP SCHEMA {beside} CASCADE", user=OWNER)
    stack.place_table("events", placed)
    kept = stack.scalar("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'kept_%'")
    stack.execute(f"SELECT count(*) FROM {kept}.events", f"DROP SCHEMA {kept} CASCADE", user=OWNER)
