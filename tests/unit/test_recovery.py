"""A recovery target means one backup, and the difference says what putting it in place would change."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.core.proof import Method, Verdict
from stratum.core.recovery import TableDifference, choose_backup, difference, older_proven
from tests.fixtures.manifests import NOW, a_manifest, a_proof, a_table, some_facts

_HOURS = (0, 1, 2)
_MANIFESTS = tuple(a_manifest(f"h{hour}", taken_at=NOW + timedelta(hours=hour)) for hour in _HOURS)


@pytest.mark.parametrize(
    ("at", "chosen"),
    [
        (None, "h2"),
        (NOW + timedelta(hours=1), "h1"),
        (NOW + timedelta(minutes=119), "h1"),
        (NOW - timedelta(seconds=1), None),
    ],
)
def test_a_time_means_the_newest_backup_at_or_before_it(at: datetime | None, chosen: str | None) -> None:
    found = choose_backup(_MANIFESTS, (), at=at)

    assert (found.id if found else None) == chosen


@pytest.mark.parametrize("method", Method)
def test_a_backup_whose_last_proof_failed_is_passed_over(method: Method) -> None:
    proofs = (
        a_proof("h2"),
        a_proof("h2", verdict=Verdict.FAILED, method=method, finished_at=NOW + timedelta(hours=3)),
    )

    found = choose_backup(_MANIFESTS, proofs, at=None)

    assert found is not None
    assert found.id == "h1"


def test_a_backup_that_could_not_be_verified_may_still_be_restored() -> None:
    found = choose_backup(_MANIFESTS, (a_proof("h2", verdict=Verdict.COULD_NOT_VERIFY),), at=None)

    assert found == _MANIFESTS[2]


def test_the_older_proven_backup_is_older_and_proven() -> None:
    proofs = tuple(a_proof(m.id) for m in _MANIFESTS[::2])

    assert older_proven(_MANIFESTS, proofs, than=_MANIFESTS[2]) == _MANIFESTS[0]
    assert older_proven(_MANIFESTS, proofs, than=_MANIFESTS[0]) is None


def test_a_table_on_one_side_only_shows_what_would_come_and_go() -> None:
    live = some_facts(tables=(a_table("new", rows=5), a_table("both", rows=4)))
    backup = some_facts(tables=(a_table("dropped", rows=7), a_table("both", rows=6)))

    found = difference(live=live, backup=backup)

    assert found.tables == (
        TableDifference(table="public.both", rows_live=4, rows_backup=6, content_differs=False),
        TableDifference(table="public.dropped", rows_live=None, rows_backup=7, content_differs=False),
        TableDifference(table="public.new", rows_live=5, rows_backup=None, content_differs=False),
    )
    assert (found.rows_lost, found.rows_gained) == (5, 9)


def test_a_table_with_as_many_rows_and_other_content_is_changed() -> None:
    found = difference(live=some_facts(tables=(a_table(digest="1"),)), backup=some_facts(tables=(a_table(),)))

    assert [table.table for table in found.changed] == ["public.account"]
    assert (found.rows_lost, found.rows_gained) == (0, 0)


def test_without_a_live_database_everything_is_gained() -> None:
    assert difference(live=None, backup=some_facts()).rows_gained == 3


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9)),
)
def test_rows_lost_and_gained_account_for_every_row(live: dict[str, int], backup: dict[str, int]) -> None:
    found = difference(
        live=some_facts(tables=tuple(a_table(name, rows=rows) for name, rows in live.items())),
        backup=some_facts(tables=tuple(a_table(name, rows=rows) for name, rows in backup.items())),
    )

    assert sum(live.values()) - found.rows_lost + found.rows_gained == sum(backup.values())
    assert (found.changed == ()) == (live == backup)
