"""A stack with more than one database: what one command leaves out, it says."""

from __future__ import annotations

import shutil

from tests.fixtures.stacks import DATABASE, NAME, StackUnderTest


def _guard_a_second_database(stack: StackUnderTest) -> None:
    file = stack.directory / "stratum.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace(f'databases = ["{DATABASE}"]', f'databases = ["{DATABASE}", "second"]'), encoding="utf-8"
    )
    stack.execute("CREATE DATABASE second")
    stack.execute("CREATE TABLE t AS SELECT generate_series(1, 7) AS n", database="second")


def test_a_total_loss_says_which_databases_are_still_to_come_back(stack: StackUnderTest) -> None:
    _guard_a_second_database(stack)
    stack.backup()
    shutil.rmtree(stack.data)

    first = stack.cli("restore", "--confirm", NAME)
    second = stack.cli("restore", "--database", "second", "--confirm", NAME)
    again = stack.cli("restore", "--database", "second", "--confirm", NAME)

    assert "not restored yet: second; `stratum restore --database second` brings it back" in first.stdout
    assert "there was no second that it replaced" in second.stdout
    assert "`stratum restore --undo --database second` swaps back" in again.stdout
    assert stack.scalar("SELECT count(*) FROM t", database="second") == 7


def test_destroy_names_the_databases_that_no_backup_holds(stack: StackUnderTest) -> None:
    stack.execute("CREATE DATABASE elsewhere")
    stack.backup()
    stack.drill()

    shown = stack.cli("destroy", "--dry-run")

    assert shown.returncode == 0
    assert "in NO final backup, and deleted for good: database elsewhere" in shown.stdout
