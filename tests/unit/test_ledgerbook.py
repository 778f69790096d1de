"""The book of the ledger's lives: a recovery is counted across renames, undos and rebuilt clusters."""

from __future__ import annotations

import pytest

from stratum.demo.accounting import Evidence, Ledgerbook, RecoveryPoint, parse_snapshot
from tests.fixtures.ledger_rows import acknowledged, chapter, counts, in_doubt

FIRST = chapter("A", "100:100:", "seed")


def test_a_later_snapshot_sees_all_of_an_earlier_one_and_not_the_reverse() -> None:
    earlier, later = parse_snapshot("100:110:100,104"), parse_snapshot("104:112:104,111")
    assert later.sees_all_of(earlier)
    assert not earlier.sees_all_of(later)
    assert earlier.sees_all_of(earlier)
    assert parse_snapshot("110:110:").sees_all_of(parse_snapshot("100:110:100"))
    assert not parse_snapshot("100:110:100").sees_all_of(parse_snapshot("110:110:"))


def test_a_database_restored_beside_and_renamed_into_place_is_counted_with_what_it_took_since() -> None:
    evidence = Evidence(
        acknowledged=(
            acknowledged("in", 101),
            acknowledged("after", 105),
            acknowledged("since", 120, era="B"),
            acknowledged("later still", 130, era="B"),
        ),
        in_doubt=(in_doubt("doubt", 121, era="B"),),
    )
    recovered = chapter("B", "125:125:", "seed", "in", "since", "doubt")
    point = RecoveryPoint(era="A", snapshot="103:103:")
    assert counts(Ledgerbook(FIRST).account(point=point, recovered=recovered, evidence=evidence)) == (
        2,
        0,
        1,
        0,
        1,
    )
    torn = chapter("B", "125:125:", "seed", "in")
    counted = Ledgerbook(FIRST).account(point=point, recovered=torn, evidence=evidence)
    assert counts(counted) == (2, 1, 1, 0, 1)
    assert counted.missing_sample == ("since",)


def test_a_rebuilt_cluster_that_counts_its_transactions_anew_is_not_judged_by_the_old_ones() -> None:
    book = Ledgerbook(FIRST)
    old = acknowledged("old", 150)
    lost = acknowledged("lost", 160)
    rebuilt = chapter("B", "50:50:", "seed", "old")
    point = RecoveryPoint(era="A", snapshot="155:155:")
    evidence = Evidence(acknowledged=(old, lost), in_doubt=())
    counted = book.account(point=point, recovered=rebuilt, evidence=evidence)
    assert counts(counted) == (2, 0, 1, 0, 0)
    book.continue_from(rebuilt, counted)

    evidence = Evidence(
        acknowledged=(old, lost, acknowledged("new", 52, era="B"), acknowledged("newer", 60, era="B")),
        in_doubt=(),
    )
    again = chapter("C", "10:10:", "seed", "old", "new")
    counted = book.account(point=RecoveryPoint(era="B", snapshot="55:55:"), recovered=again, evidence=evidence)
    assert counts(counted) == (3, 0, 1, 0, 0)


def test_going_back_to_a_backup_of_an_earlier_era_shows_everything_acknowledged_since() -> None:
    book = Ledgerbook(FIRST)
    point = RecoveryPoint(era="A", snapshot="103:103:")
    rows = (acknowledged("in", 101), acknowledged("after", 105))
    restored = chapter("B", "110:110:", "seed", "in")
    first = book.account(point=point, recovered=restored, evidence=Evidence(acknowledged=rows, in_doubt=()))
    book.continue_from(restored, first)
    later = acknowledged("second life", 120, era="B")
    restored_again = chapter("C", "130:130:", "seed", "in")
    counted = book.account(
        point=point, recovered=restored_again, evidence=Evidence(acknowledged=(*rows, later), in_doubt=())
    )
    assert counts(counted) == (2, 0, 2, 0, 0)


def test_an_undone_restore_has_every_row_of_the_old_database_and_loses_those_of_the_new_one() -> None:
    book = Ledgerbook(FIRST)
    rows = (acknowledged("in", 101), acknowledged("after", 105))
    point = RecoveryPoint(era="A", snapshot="103:103:")
    restored = chapter("B", "110:110:", "seed", "in")
    book.continue_from(
        restored,
        book.account(point=point, recovered=restored, evidence=Evidence(acknowledged=rows, in_doubt=())),
    )
    evidence = Evidence(
        acknowledged=(*rows, acknowledged("new", 120, era="B"), acknowledged("back", 140, era="A")),
        in_doubt=(),
    )
    undone = chapter("A", "150:150:", "seed", "in", "after", "back")
    everything = RecoveryPoint(era="A", snapshot=None)
    assert counts(book.account(point=everything, recovered=undone, evidence=evidence)) == (4, 0, 1, 0, 0)


def test_a_crash_is_counted_up_to_the_moment_the_keys_were_read() -> None:
    evidence = Evidence(
        acknowledged=(acknowledged("a", 101), acknowledged("written while counting", 111)),
        in_doubt=(in_doubt("d", 103), in_doubt("e", 104)),
    )
    everything = RecoveryPoint(era="A", snapshot=None)
    book = Ledgerbook(FIRST)
    whole = chapter("A", "110:110:", "seed", "a", "d")
    assert counts(book.account(point=everything, recovered=whole, evidence=evidence)) == (2, 0, 0, 0, 0)
    torn = chapter("A", "110:110:", "seed", "d")
    assert counts(book.account(point=everything, recovered=torn, evidence=evidence)) == (2, 1, 0, 0, 0)


def test_a_table_put_back_in_place_begins_a_chapter_in_the_same_era() -> None:
    book = Ledgerbook(FIRST)
    rows = (acknowledged("in", 101), acknowledged("lost", 105))
    evidence = Evidence(acknowledged=rows, in_doubt=())
    beside = chapter("A", "110:110:", "seed", "in")
    old_point = RecoveryPoint(era="A", snapshot="103:103:")
    counted = book.account(point=old_point, recovered=beside, evidence=evidence)
    assert counts(counted) == (2, 0, 1, 0, 0)
    book.continue_from(chapter("A", "120:120:", "seed", "in"), counted)

    evidence = Evidence(acknowledged=(*rows, acknowledged("new", 125)), in_doubt=())
    restored = chapter("B", "140:140:", "seed", "in", "new")
    new_point = RecoveryPoint(era="A", snapshot="130:130:")
    assert counts(book.account(point=new_point, recovered=restored, evidence=evidence)) == (3, 0, 0, 0, 0)
    older = chapter("B", "140:140:", "seed", "in")
    assert counts(book.account(point=old_point, recovered=older, evidence=evidence)) == (2, 0, 2, 0, 0)


def test_a_row_in_doubt_that_a_chapter_began_without_must_not_come_back() -> None:
    evidence = Evidence(acknowledged=(), in_doubt=(in_doubt("before", 50), in_doubt("after", 101)))
    recovered = chapter("B", "9:9:", "seed", "before", "after")
    point = RecoveryPoint(era="A", snapshot="103:103:")
    counted = Ledgerbook(FIRST).account(point=point, recovered=recovered, evidence=evidence)
    assert (counted.rows_unexpected, counted.unexpected_sample) == (1, ("before",))


def test_a_recovery_that_is_not_whole_begins_no_chapter() -> None:
    book = Ledgerbook(FIRST)
    torn = chapter("B", "110:110:")
    point = RecoveryPoint(era="A", snapshot="103:103:")
    counted = book.account(point=point, recovered=torn, evidence=Evidence(acknowledged=(), in_doubt=()))
    with pytest.raises(ValueError, match="missing or unexpected"):
        book.continue_from(torn, counted)


@pytest.mark.parametrize("point", [RecoveryPoint(era="Z", snapshot=None), RecoveryPoint(era="A", snapshot="90:90:")])
def test_a_point_before_every_chapter_cannot_be_judged(point: RecoveryPoint) -> None:
    with pytest.raises(ValueError, match="no chapter"):
        Ledgerbook(FIRST).account(
            point=point, recovered=chapter("B", "9:9:"), evidence=Evidence(acknowledged=(), in_doubt=())
        )
