"""The counting of a recovery by its clients: what is missing, what came after, and what nobody wrote."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.demo.accounting import (
    Acknowledged,
    Snapshot,
    account_for,
    era_of,
    parse_snapshot,
)
from tests.fixtures.ledger_rows import acknowledged, counts, in_doubt


def test_a_snapshot_sees_what_had_ended_when_it_was_taken() -> None:
    snapshot = parse_snapshot("100:110:100,104")
    assert [xid for xid in range(98, 113) if snapshot.sees(xid)] == [98, 99, 101, 102, 103, *range(105, 110)]


def test_a_snapshot_without_open_transactions_has_an_empty_list() -> None:
    assert parse_snapshot("7:7:") == Snapshot(xmin=7, xmax=7, in_progress=frozenset())


@pytest.mark.parametrize("text", ["", "7", "7:8", "8:7:", "0:1:", "a:b:c", "7:8:x", "7:8:,9:"])
def test_what_is_not_a_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (whichever part is wrong first)
        parse_snapshot(text)


def test_an_era_changes_with_the_cluster_the_timeline_and_the_database() -> None:
    eras = {
        era_of(system_identifier=identifier, timeline=timeline, database_oid=oid)
        for identifier in (71, 72)
        for timeline in (1, 2)
        for oid in (16384, 16385)
    }
    assert len(eras) == 8


def test_rows_of_the_point_that_came_back_are_not_missing() -> None:
    rows = [acknowledged("a", 100), acknowledged("b", 101), acknowledged("c", 105)]
    counted = account_for(rows, snapshot="100:103:100", restored_keys={"b"})
    assert counts(counted) == (1, 0, 2, 0, 0)
    assert counted.clean


def test_a_row_of_the_point_that_did_not_come_back_is_missing_and_named() -> None:
    counted = account_for([acknowledged("a", 1), acknowledged("b", 2)], snapshot="9:9:", restored_keys={"b"})
    assert counts(counted) == (2, 1, 0, 0, 0)
    assert counted.missing_sample == ("a",)
    assert not counted.clean


def test_a_row_nobody_wrote_is_unexpected_and_named() -> None:
    counted = account_for([acknowledged("a", 1)], snapshot="9:9:", restored_keys={"a", "ghost"})
    assert counts(counted) == (1, 0, 0, 1, 0)
    assert counted.unexpected_sample == ("ghost",)
    assert not counted.clean


def test_a_row_that_the_point_cannot_see_is_unexpected_when_it_comes_back() -> None:
    assert counts(account_for([acknowledged("late", 9)], snapshot="9:9:", restored_keys={"late"})) == (
        0,
        0,
        1,
        1,
        0,
    )


def test_a_row_in_doubt_may_come_back_or_not() -> None:
    for restored in (set[str](), {"d"}):
        counted = account_for([], snapshot="9:9:", restored_keys=restored, in_doubt=[in_doubt("d", 5)])
        assert counts(counted) == (0, 0, 0, 0, 0)


def test_a_row_in_doubt_that_the_point_cannot_see_must_not_come_back() -> None:
    counted = account_for([], snapshot="9:9:", restored_keys={"d"}, in_doubt=[in_doubt("d", 9)])
    assert counted.rows_unexpected == 1


def test_what_stood_there_before_the_clients_belongs_to_the_point() -> None:
    counted = account_for([], snapshot="9:9:", restored_keys={"seed-1"}, already_there={"seed-1", "seed-2"})
    assert counts(counted) == (2, 1, 0, 0, 0)


def test_without_a_snapshot_everything_acknowledged_belongs_to_the_point() -> None:
    rows = [acknowledged("a", 1), acknowledged("b", 10**12)]
    assert counts(account_for(rows, snapshot=None, restored_keys={"a"})) == (2, 1, 0, 0, 0)


def test_a_snapshot_does_not_judge_another_era() -> None:
    with pytest.raises(ValueError, match="own era"):
        account_for([acknowledged("a", 1), acknowledged("b", 2, era="B")], snapshot="9:9:", restored_keys=set())
    with pytest.raises(ValueError, match="own era"):
        account_for([acknowledged("a", 1)], snapshot="9:9:", restored_keys=set(), in_doubt=[in_doubt("b", 2, era="B")])


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """A simulated server: what was acknowledged, and what a snapshot taken in the middle says and holds."""

    rows: list[Acknowledged]
    snapshot: str
    stored_then: set[str]
    after: int


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Transactions begin with increasing ids and end, in any order, by a commit or an abort."""
    next_xid = draw(st.integers(3, 2**40))
    running: list[int] = []
    rows: list[Acknowledged] = []
    taken: tuple[str, set[str]] | None = None
    for step in draw(st.lists(st.sampled_from(["begin", "begin", "commit", "abort", "snapshot"]), max_size=60)):
        if step == "begin":
            running.append(next_xid)
            next_xid += 1
        elif step == "snapshot" and taken is None:
            taken = _snapshot_text(running, next_xid), {row.key for row in rows}
        elif running and step in ("commit", "abort"):
            xid = running.pop(draw(st.integers(0, len(running) - 1)))
            if step == "commit":
                rows.append(acknowledged(f"k{xid}", xid))
    text, stored = taken or (_snapshot_text(running, next_xid), {row.key for row in rows})
    return History(rows=rows, snapshot=text, stored_then=stored, after=len(rows) - len(stored))


def _snapshot_text(running: list[int], next_xid: int) -> str:
    return f"{min(running, default=next_xid)}:{next_xid}:{','.join(map(str, sorted(running)))}"


@given(histories())
def test_an_honest_copy_of_any_moment_is_counted_whole(history: History) -> None:
    counted = account_for(history.rows, snapshot=history.snapshot, restored_keys=history.stored_then)
    assert counts(counted) == (len(history.stored_then), 0, history.after, 0, 0)


@given(histories(), st.data())
def test_any_rows_taken_out_of_or_put_into_a_copy_are_counted(history: History, data: st.DataObject) -> None:
    ordered = sorted(history.stored_then)
    taken = set(data.draw(st.lists(st.sampled_from(ordered), unique=True))) if ordered else set()
    late = sorted({row.key for row in history.rows} - history.stored_then)
    put = set(data.draw(st.lists(st.sampled_from([*late, "ghost"]), unique=True)))
    counted = account_for(history.rows, snapshot=history.snapshot, restored_keys=(history.stored_then - taken) | put)
    assert counts(counted) == (len(ordered), len(taken), history.after, len(put), 0)
