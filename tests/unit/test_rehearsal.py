"""What a rehearsal says of a clone before and after: losses, changes, and the verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from stratum.core.rehearsal import (
    Blocks,
    ColumnLook,
    CommandRun,
    DatabaseLook,
    HeldLock,
    Loss,
    Rehearsal,
    RehearsalVerdict,
    TableLook,
    find_changes,
    find_difference,
    find_losses,
    judge,
    not_accepted,
)

_ID = ColumnLook(number=1, name="id", type="integer", filled=10, digest="1")
_EMAIL = ColumnLook(number=2, name="email", type="text", filled=7, digest="2")
_USERS = TableLook(oid=1, schema="public", name="users", filenode=1, bytes=8192, rows=10, columns=(_ID, _EMAIL))
_NAME = "shop.public.users"


def _database(*tables: TableLook) -> tuple[DatabaseLook, ...]:
    return (DatabaseLook(name="shop", bytes=8192, tables=tables, definitions=("CREATE TABLE users (", "CREATE INDEX")),)


def _losses(*tables: TableLook) -> tuple[Loss, ...]:
    return find_losses(_database(_USERS), _database(*tables))


def test_what_is_as_it_was_lost_nothing_and_did_not_change() -> None:
    assert _losses(_USERS) == ()
    assert find_changes(_database(_USERS), _database(_USERS)) == ()


def test_a_table_a_column_rows_and_values_that_are_gone_are_named_and_counted() -> None:
    assert _losses() == (Loss(name=_NAME, what="table", count=10),)
    assert _losses(replace(_USERS, columns=(_ID,))) == (Loss(name=f"{_NAME}.email", what="column", count=7),)
    fewer = replace(_USERS, rows=8, columns=(replace(_ID, filled=8), replace(_EMAIL, filled=5)))
    assert _losses(fewer) == (Loss(name=_NAME, what="rows", count=2),)
    emptied = replace(_USERS, columns=(_ID, replace(_EMAIL, filled=3)))
    assert _losses(emptied) == (Loss(name=f"{_NAME}.email", what="values", count=4),)
    assert find_losses(_database(_USERS), ()) == (Loss(name=_NAME, what="table", count=10),)


def test_a_new_name_loses_nothing_and_is_told() -> None:
    renamed = replace(_USERS, name="people", columns=(_ID, replace(_EMAIL, name="mail")))

    assert _losses(renamed) == ()
    (change,) = find_changes(_database(_USERS), _database(renamed))
    assert (change.table, change.changed, change.rewritten) == (_NAME, ("email is mail",), False)


def test_a_table_that_was_made_anew_under_its_name_is_compared_by_names() -> None:
    moved = replace(_EMAIL, number=5)

    assert _losses(replace(_USERS, oid=9, filenode=9, columns=(_ID, moved))) == ()
    assert _losses(replace(_USERS, oid=9, columns=(_ID,))) == (Loss(name=f"{_NAME}.email", what="column", count=7),)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (replace(_EMAIL, type="varchar(80)"), "email is varchar(80), was text"),
        (replace(_EMAIL, digest="3"), "email holds other values"),
    ],
)
def test_other_values_and_other_types_are_changes(now: ColumnLook, said: str) -> None:
    (change,) = find_changes(_database(_USERS), _database(replace(_USERS, columns=(_ID, now))))

    assert change.changed == (said,)


def test_a_rewritten_and_a_new_table_are_changes() -> None:
    new = replace(_USERS, oid=2, name="orders", filenode=2, rows=0)
    rewritten, added = find_changes(_database(_USERS), _database(replace(_USERS, filenode=7), new))

    assert (rewritten.table, rewritten.rewritten) == (_NAME, True)
    assert (added.table, added.rows_before, added.rows_after) == ("shop.public.orders", None, 0)


def test_the_difference_names_statements_of_one_side() -> None:
    after = (replace(_database()[0], definitions=("CREATE TABLE users (", "CREATE VIEW v AS\n SELECT 1")),)

    assert find_difference(_database(), after) == ("- CREATE INDEX", "+ CREATE VIEW v AS")


def test_a_failure_outweighs_a_loss_and_a_loss_a_wait() -> None:
    well, bad = CommandRun(name="migrate", ok=True, seconds=1), CommandRun(name="api", ok=False, seconds=1, said="a\nb")
    loss = Loss(name=f"{_NAME}.email", what="column", count=12345)
    lock = HeldLock(table=_NAME, mode="ShareLock", blocks=Blocks.WRITERS, seconds=2.5)
    limit = timedelta(seconds=1)

    assert judge(runs=(well, bad), losses=(loss,), locks=(lock,), lock_limit=limit) == (
        RehearsalVerdict.FAILS,
        "fails: api: b",
    )
    assert judge(runs=(well,), losses=(loss,), locks=(lock,), lock_limit=limit) == (
        RehearsalVerdict.DESTRUCTIVE,
        f"destructive: loses column {_NAME}.email (12,345 values)",
    )
    assert judge(runs=(well,), losses=(), locks=(lock,), lock_limit=limit) == (
        RehearsalVerdict.NEEDS_DOWNTIME,
        f"needs downtime of 2.5 s: writing {_NAME} would wait that long",
    )
    assert judge(runs=(well,), losses=(), locks=(lock,), lock_limit=timedelta(seconds=3)) == (
        RehearsalVerdict.SAFE,
        "safe",
    )


def test_every_loss_has_to_be_accepted_by_its_own_name() -> None:
    found = _rehearsal(RehearsalVerdict.DESTRUCTIVE, "users.email", "orders")

    assert not_accepted(found, ()) == ("shop.public.users.email", "shop.public.orders")
    assert not_accepted(found, ("users.email",)) == ("shop.public.orders",)
    assert not_accepted(found, ("email", "shop.public.orders")) == ()
    assert not_accepted(found, ("mail", "rders")) == ("shop.public.users.email", "shop.public.orders")
    failed = replace(found, runs=(CommandRun(name="migrate", ok=False, seconds=1),))
    assert not_accepted(failed, ("users.email", "orders")) == ("migrate",)
    assert not_accepted(failed, ("users.email", "orders", "migrate")) == ()
    assert not_accepted(_rehearsal(RehearsalVerdict.NEEDS_DOWNTIME), ()) == ()


def _rehearsal(verdict: RehearsalVerdict, *lost: str) -> Rehearsal:
    return Rehearsal(
        id="r", backup_id="b", at=datetime(2026, 1, 1, tzinfo=UTC), verdict=verdict, summary=verdict.value, runs=(),
        losses=tuple(Loss(name=f"shop.public.{name}", what="column", count=1) for name in lost), locks=(),
        statements=(), statement_count=0, tables=(), difference=(), growth_bytes=0, downtime_seconds=0,
        clone_seconds=0, total_seconds=0, clone_bytes=0,
    )  # fmt: skip
