"""restore --undo: back in one step, with what was written since shown and kept."""

from __future__ import annotations

import pytest

from stratum.core.errors import StratumError
from tests.fixtures.stacks import DATABASE, Asked, StackUnderTest


def test_undo_brings_back_what_the_restore_replaced(stack: StackUnderTest) -> None:
    stack.execute("INSERT INTO accounts (holder, balance) VALUES ('late', 1)")
    stack.restore()
    assert stack.scalar("SELECT count(*) FROM accounts") == 50
    stack.undo()
    assert stack.scalar("SELECT count(*) FROM accounts WHERE holder = 'late'") == 1


def test_undo_shows_the_rows_written_since_the_swap_by_table_and_keeps_them(stack: StackUnderTest) -> None:
    stack.execute("DELETE FROM orders WHERE id <= 20")
    stack.restore()
    stack.execute(
        "INSERT INTO accounts (holder, balance) VALUES ('new', 1), ('newer', 2)",
        "DELETE FROM orders WHERE id = 1",
        "UPDATE events SET what = 'else' WHERE at = '2025-06-02'",
        "CREATE TABLE jotted (id int)",
        "INSERT INTO jotted VALUES (1)",
    )
    asked = Asked()
    kept = str(stack.undo(asked=asked).plan.params["kept"])
    shown = "\n".join(asked.shown)
    assert "public.accounts: 50 rows then, 52 now (+2)" in shown
    assert "public.orders: 200 rows then, 199 now (-1)" in shown
    assert "public.events_2025: 213 rows then, 213 now (+0, other content)" in shown
    assert "public.jotted: new since, 1 rows" in shown
    assert "events_2026" not in shown
    assert stack.scalar("SELECT count(*) FROM orders") == 180
    stack.execute(f'ALTER DATABASE "{kept}" ALLOW_CONNECTIONS true', database="postgres")
    assert stack.scalar("SELECT count(*) FROM accounts", database=kept) == 52


def test_undo_says_when_nothing_was_written_since(stack: StackUnderTest) -> None:
    stack.execute("DELETE FROM orders WHERE id <= 20")
    stack.restore()
    asked = Asked()
    stack.undo(asked=asked)
    assert asked.shown == ["nothing was written since the swap"]


def test_undo_of_an_undo_comes_back_to_the_restored_rows_with_what_was_written_to_them(stack: StackUnderTest) -> None:
    stack.execute("DELETE FROM orders WHERE id <= 20")
    stack.restore()
    stack.execute("INSERT INTO accounts (holder, balance) VALUES ('after the restore', 1)")
    stack.undo()
    stack.execute("DELETE FROM orders WHERE id <= 30")
    asked = Asked()
    stack.undo(asked=asked)
    assert stack.scalar("SELECT count(*) FROM orders") == 200
    assert stack.scalar("SELECT count(*) FROM accounts WHERE holder = 'after the restore'") == 1
    shown = "\n".join(asked.shown)
    assert "public.orders: 180 rows then, 170 now (-10)" in shown
    assert "accounts" not in shown, "those rows were written before the undo, not since"
    stack.undo()
    assert stack.scalar("SELECT count(*) FROM orders") == 170


def test_without_a_restore_there_is_nothing_to_undo(stack: StackUnderTest) -> None:
    with pytest.raises(StratumError) as refused:
        stack.undo()
    assert (refused.value.code, refused.value.exit) == ("nothing-to-undo", 10)


def test_a_declined_undo_leaves_the_restored_rows_in_place(stack: StackUnderTest) -> None:
    stack.execute("DELETE FROM orders")
    stack.restore()
    before = stack.databases()
    with pytest.raises(StratumError) as declined:
        stack.undo(asked=Asked(answer=False))
    assert declined.value.code == "declined"
    assert stack.scalar("SELECT count(*) FROM orders") == 200
    assert stack.databases() == before


def test_undo_carries_the_names_of_a_database_whose_name_fills_the_limit(stack: StackUnderTest) -> None:
    long = "é" * 31
    toml = stack.directory / "stratum.toml"
    toml.write_text(toml.read_text().replace(f'"{DATABASE}"', f'"{long}"'))
    stack.execute(f'ALTER DATABASE {DATABASE} RENAME TO "{long}"', database="postgres")
    stack.ports().archive.forget_identity()
    stack.up()
    stack.backup()
    stack.execute("DELETE FROM orders", database=long)
    stack.restore()
    stack.undo()
    assert stack.scalar("SELECT count(*) FROM orders", database=long) == 0
    stack.undo()
    assert stack.scalar("SELECT count(*) FROM orders", database=long) == 200
