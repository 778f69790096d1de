"""The linter itself: what it is shown, and what is made of its answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratum.adapters.sql_lint import find_linter, lint


@pytest.fixture
def linter() -> Path:
    found = find_linter()
    assert found is not None
    return found


def test_what_keeps_others_waiting_is_advised_against_and_matters_of_taste_are_not(linter: Path) -> None:
    found = lint(
        (
            "CREATE TABLE notes (id int, text varchar(20))",
            "CREATE INDEX notes_by_text ON notes (text)",
            "INSERT INTO notes VALUES (1, 'CREATE INDEX of a person')",
            "CREATE INDEX orders_by_name ON orders (name);",
        ),
        linter=linter,
        major=17,
    )

    assert [(one.rule, one.statement) for one in found] == [
        ("require-concurrent-index-creation", "CREATE INDEX orders_by_name ON orders (name)")
    ]
    assert "concurrently" in found[0].advice


def test_the_part_that_is_meant_is_found_behind_letters_of_many_bytes_and_on_later_lines(linter: Path) -> None:
    batch = 'BEGIN;\nALTER TABLE "été"\n  RENAME COLUMN "prénom" TO first_name;\nCOMMIT'

    found = lint((batch,), linter=linter, major=17)

    assert [(one.rule, one.statement) for one in found] == [("renaming-column", 'RENAME COLUMN "prénom" TO first_name')]


def test_nothing_is_asked_where_no_definition_changes() -> None:
    assert lint(("UPDATE orders SET name = 'x'",), linter=Path("/there/is/none"), major=17) == ()
