"""Retention under any policy and any history: the newest proven backup and every pinned one stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.core.backup import Manifest
from stratum.core.proof import Method, Proof, Verdict, newest_proven
from stratum.core.retention import RetentionDecision, RetentionPolicy, decide_retention
from tests.fixtures.manifests import NOW, a_manifest, a_proof

_NOTHING = RetentionPolicy(keep_days=0, keep_last=0)
_RULES = ("keep_days", "keep_last", "daily", "weekly", "monthly")

_policies = st.builds(
    RetentionPolicy,
    keep_days=st.integers(0, 60),
    keep_last=st.integers(0, 5),
    daily=st.integers(0, 10),
    weekly=st.integers(0, 10),
    monthly=st.integers(0, 10),
)


@st.composite
def _histories(draw: st.DrawFn) -> tuple[tuple[Manifest, ...], tuple[Proof, ...]]:
    hours = draw(st.lists(st.integers(0, 24 * 200), unique=True, max_size=12))
    manifests = tuple(a_manifest(f"b{hour}", taken_at=NOW - timedelta(hours=hour)) for hour in hours)
    made = st.tuples(st.sampled_from(hours or [0]), st.sampled_from(Verdict), st.sampled_from(Method))
    proofs = tuple(
        a_proof(f"b{hour}", verdict=verdict, method=method, finished_at=NOW + timedelta(minutes=number))
        for number, (hour, verdict, method) in enumerate(draw(st.lists(made, max_size=15)))
    )
    return manifests, proofs


def _decide(
    manifests: tuple[Manifest, ...],
    proofs: tuple[Proof, ...] = (),
    *,
    pinned: frozenset[str] = frozenset(),
    policy: RetentionPolicy = _NOTHING,
) -> tuple[RetentionDecision, ...]:
    return decide_retention(manifests, proofs=proofs, pinned=pinned, policy=policy, now=NOW)


def _kept(decisions: tuple[RetentionDecision, ...]) -> set[str]:
    return {decision.backup_id for decision in decisions if decision.keep}


@given(_histories(), _policies)
def test_the_newest_proven_backup_stays_under_every_policy(
    history: tuple[tuple[Manifest, ...], tuple[Proof, ...]], policy: RetentionPolicy
) -> None:
    manifests, proofs = history
    newest = newest_proven(manifests, proofs)

    kept = _kept(_decide(manifests, proofs, policy=policy))

    assert newest is None or newest.id in kept


@given(_histories(), _policies)
def test_nothing_goes_while_nothing_is_proven(
    history: tuple[tuple[Manifest, ...], tuple[Proof, ...]], policy: RetentionPolicy
) -> None:
    manifests, proofs = history
    unproven = tuple(proof for proof in proofs if proof.verdict is not Verdict.PROVEN or proof.method is Method.VERIFY)

    assert _kept(_decide(manifests, unproven, policy=policy)) == {m.id for m in manifests}


@given(_histories(), _policies, st.data())
def test_a_pinned_backup_stays_under_every_policy(
    history: tuple[tuple[Manifest, ...], tuple[Proof, ...]], policy: RetentionPolicy, data: st.DataObject
) -> None:
    manifests, proofs = history
    pinned = frozenset(data.draw(st.sets(st.sampled_from([m.id for m in manifests]))) if manifests else ())

    assert pinned <= _kept(_decide(manifests, proofs, pinned=pinned, policy=policy))


@given(_histories(), _policies, st.sampled_from(_RULES), st.integers(1, 30))
def test_a_more_generous_policy_never_keeps_less(
    history: tuple[tuple[Manifest, ...], tuple[Proof, ...]], policy: RetentionPolicy, rule: str, more: int
) -> None:
    manifests, proofs = history
    generous = replace(policy, **{rule: getattr(policy, rule) + more})

    assert _kept(_decide(manifests, proofs, policy=policy)) <= _kept(_decide(manifests, proofs, policy=generous))


@given(_histories(), _policies)
def test_every_backup_is_decided_once_newest_first_and_with_a_reason(
    history: tuple[tuple[Manifest, ...], tuple[Proof, ...]], policy: RetentionPolicy
) -> None:
    manifests, proofs = history

    decisions = _decide(manifests, proofs, policy=policy)

    newest_first = sorted(manifests, key=lambda m: m.taken_at, reverse=True)
    assert [decision.backup_id for decision in decisions] == [m.id for m in newest_first]
    assert all(decision.reasons for decision in decisions)


def _ages(*days: float) -> tuple[Manifest, ...]:
    return tuple(a_manifest(f"d{day}", taken_at=NOW - timedelta(days=day)) for day in days)


_PROOF = (a_proof("d0"),)


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        (_NOTHING, {"d0"}),
        (replace(_NOTHING, keep_days=14), {"d0", "d0.2", "d13"}),
        (replace(_NOTHING, keep_last=2), {"d0", "d0.2"}),
        (replace(_NOTHING, daily=2), {"d0", "d13"}),
        (replace(_NOTHING, weekly=2), {"d0", "d13"}),
        (replace(_NOTHING, monthly=3), {"d0", "d13", "d40"}),
    ],
    ids=["nothing", "days", "last", "daily", "weekly", "monthly"],
)
def test_each_rule_keeps_what_its_name_says(policy: RetentionPolicy, kept: set[str]) -> None:
    assert _kept(_decide(_ages(0, 0.2, 13, 14, 40), _PROOF, policy=policy)) == kept


def test_a_later_failed_verification_takes_the_proof_back_and_the_next_proven_one_stays() -> None:
    manifests = _ages(0, 1, 2)
    proofs = (
        a_proof("d0", finished_at=NOW - timedelta(hours=3)),
        a_proof("d1", finished_at=NOW - timedelta(hours=2)),
        a_proof("d0", verdict=Verdict.FAILED, method=Method.VERIFY, finished_at=NOW - timedelta(hours=1)),
    )

    assert _kept(_decide(manifests, proofs)) == {"d1"}


def test_a_backup_that_goes_says_which_rule_it_fell_out_of_and_what_it_frees() -> None:
    gone = _decide(_ages(0, 20), _PROOF, policy=replace(_NOTHING, keep_days=14))[1]

    assert (gone.keep, gone.bytes) == (False, 100)
    assert gone.reasons == ("older than 14 days and no rule keeps it",)
