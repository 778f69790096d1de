"""A verdict adds up honestly, and every comparison sees a difference and passes without one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.core.backup import DatabaseFacts, DigestMode, LargeObjectFacts, MigrationHead
from stratum.core.proof import (
    Check,
    Method,
    Verdict,
    compare_facts,
    listed,
    newest_drill,
    newest_proven,
    overall,
    proven_ids,
    standing_proofs,
)
from tests.fixtures.manifests import NOW, a_check, a_manifest, a_proof, a_sequence, a_table, some_facts

_FAILED, _UNVERIFIED, _PROVEN = Verdict.FAILED, Verdict.COULD_NOT_VERIFY, Verdict.PROVEN


@given(st.lists(st.sampled_from(Verdict)))
def test_a_verdict_is_proven_only_when_there_are_checks_and_all_of_them_are(verdicts: list[Verdict]) -> None:
    verdict = overall([a_check(v) for v in verdicts])

    assert (verdict is _PROVEN) == (bool(verdicts) and set(verdicts) == {_PROVEN})
    assert (verdict is _FAILED) == (_FAILED in verdicts)


def test_no_checks_prove_nothing() -> None:
    assert overall([]) is _UNVERIFIED


def test_a_verification_alone_never_proves_a_backup() -> None:
    assert proven_ids([a_proof("b", method=Method.VERIFY)]) == frozenset()


def test_a_passing_verification_leaves_the_drill_before_it_standing() -> None:
    drill = a_proof("b")
    later = a_proof("b", method=Method.VERIFY, finished_at=NOW + timedelta(hours=1))

    assert standing_proofs([later, drill]) == {"b": drill}


@pytest.mark.parametrize("verdict", [_FAILED, _UNVERIFIED])
def test_a_later_drill_that_does_not_prove_takes_an_earlier_proof_back(verdict: Verdict) -> None:
    proofs = [a_proof("b"), a_proof("b", verdict=verdict, finished_at=NOW + timedelta(hours=1))]

    assert proven_ids(proofs) == frozenset()


def test_a_proof_made_after_a_failure_counts_again() -> None:
    proofs = [a_proof("b", finished_at=NOW + timedelta(hours=1)), a_proof("b", verdict=_FAILED)]

    assert proven_ids(proofs) == {"b"}


def test_the_newest_proven_backup_is_the_newest_by_its_recovery_point() -> None:
    old, new = a_manifest("old"), a_manifest("new", taken_at=NOW + timedelta(hours=1))
    unproven = a_manifest("unproven", taken_at=NOW + timedelta(hours=2))
    proofs = [a_proof("new"), a_proof("old", finished_at=NOW + timedelta(days=1))]

    assert newest_proven([old, unproven, new], proofs) == new
    assert newest_proven([unproven], proofs) is None


def test_the_newest_drill_is_a_drill_whatever_it_found() -> None:
    drill = a_proof("b", verdict=_FAILED)
    verification = a_proof("b", method=Method.VERIFY, finished_at=NOW + timedelta(hours=1))

    assert newest_drill([verification, drill]) == drill
    assert newest_drill([verification]) is None


_SAMPLED = some_facts(digest_mode=DigestMode.SAMPLED)
_COUNTS = some_facts(digest_mode=DigestMode.COUNTS, tables=(a_table(digest=None),))

_DIFFERENCES: dict[str, tuple[str, dict[str, Any], Verdict]] = {
    "a row too few": ("row-counts", {"tables": (a_table(rows=2),)}, _FAILED),
    "a row too many": ("row-counts", {"tables": (a_table(rows=4),)}, _FAILED),
    "a table missing": ("row-counts", {"tables": ()}, _FAILED),
    "a table too many": ("row-counts", {"tables": (a_table(), a_table("more"))}, _FAILED),
    "other content": ("content", {"tables": (a_table(digest="18"),)}, _FAILED),
    "content unread": ("content", {"tables": (a_table(digest=None, not_digested="type x"),)}, _UNVERIFIED),
    "a large object missing": ("large-objects", {"large_objects": LargeObjectFacts(count=0, digest="0")}, _FAILED),
    "another large object": ("large-objects", {"large_objects": LargeObjectFacts(count=1, digest="6")}, _FAILED),
    "large objects unread": (
        "large-objects",
        {"large_objects": LargeObjectFacts(count=1, digest=None, not_digested="no right to")},
        _UNVERIFIED,
    ),
    "a sequence behind": ("sequences", {"sequences": (a_sequence(behind=True),)}, _FAILED),
    "a sequence missing": ("sequences", {"sequences": ()}, _FAILED),
    "an extension missing": ("extensions", {"extensions": ()}, _FAILED),
    "a materialised view missing": ("materialized-views", {"materialized_views": ()}, _FAILED),
    "an invalid index": ("indexes", {"invalid_indexes": ("public.account_pkey",)}, _FAILED),
    "another migration head": (
        "migration-head",
        {"migrations": (MigrationHead(tool="alembic", table="public.alembic_version", head="a0", applied=None),)},
        _FAILED,
    ),
    "no migration table": ("migration-head", {"migrations": ()}, _FAILED),
}


@pytest.mark.parametrize(("name", "change", "verdict"), _DIFFERENCES.values(), ids=_DIFFERENCES)
def test_each_difference_is_found_by_its_own_check_and_by_no_other(
    name: str, change: dict[str, Any], verdict: Verdict
) -> None:
    checks = compare_facts(expected=some_facts(), restored=some_facts(**change))

    assert {check.name: check.verdict for check in checks if check.verdict is not _PROVEN} == {name: verdict}


@pytest.mark.parametrize("facts", [some_facts(), _SAMPLED, _COUNTS], ids=["full", "sampled", "counts"])
def test_what_came_back_unchanged_passes_every_check(facts: DatabaseFacts) -> None:
    checks = compare_facts(expected=facts, restored=facts)

    assert overall(checks) is _PROVEN
    assert {name for name, _, _ in _DIFFERENCES.values()} == {check.name for check in checks}


def test_a_proof_that_only_counted_says_so() -> None:
    assert _named("content", _COUNTS, _COUNTS).reason == "not read: the digest mode is counts"


def test_a_wrong_table_outweighs_an_unread_one() -> None:
    expected = some_facts(tables=(a_table(), a_table("odd", digest=None, not_digested="type x")))
    restored = replace(expected, tables=(a_table(digest="18"), expected.tables[1]))

    assert _named("content", expected, restored).verdict is _FAILED


def test_a_sequence_that_was_behind_already_is_remarked_and_not_blamed_on_the_backup() -> None:
    behind = some_facts(sequences=(a_sequence(behind=True),))

    check = _named("sequences", behind, behind)

    assert check.verdict is _PROVEN
    assert "already behind" in check.reason


def test_a_sequence_that_came_back_better_than_it_was_passes() -> None:
    assert _named("sequences", some_facts(sequences=(a_sequence(behind=True),)), some_facts()).verdict is _PROVEN


def test_an_index_that_was_invalid_when_the_backup_was_taken_is_remarked() -> None:
    check = _named("indexes", some_facts(invalid_indexes=("public.half_built",)), some_facts())

    assert check.verdict is _PROVEN
    assert "public.half_built" in check.reason


def test_a_long_list_of_names_is_cut_and_says_how_many_are_left_out() -> None:
    assert listed(["c", "a", "b"], most=2) == "a, b and 1 more"
    assert listed(["b", "a"], most=2) == "a, b"
    assert listed([]) == ""


def _named(name: str, expected: DatabaseFacts, restored: DatabaseFacts) -> Check:
    return next(check for check in compare_facts(expected=expected, restored=restored) if check.name == name)


def test_an_index_that_was_invalid_before_the_backup_fails_no_drill() -> None:
    half_built = some_facts(invalid_indexes=("public.half_built",))

    check = _named("indexes", half_built, half_built)

    assert check.verdict is Verdict.PROVEN
    assert "public.half_built" in check.reason
