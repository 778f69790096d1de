"""The sentence says what would be lost, from measured numbers only, and says when a number is missing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stratum.core.proof import Verdict
from stratum.core.protection import Protection, describe_protection
from tests.fixtures.manifests import NOW, a_manifest, a_proof

_MANIFEST = a_manifest("b", taken_at=NOW - timedelta(seconds=90))
_PROOF = a_proof("b", finished_at=NOW - timedelta(hours=3), restore_seconds=41.0)


def _describe(domain: str = "other-disk", *, backups: int = 1, proven: bool = True) -> Protection:
    manifests = (_MANIFEST,)[:backups]
    return describe_protection(manifests, (_PROOF,) if proven else (), failure_domain=domain, now=NOW)


def test_the_sentence_names_the_loss_the_way_back_and_the_last_proof() -> None:
    assert _describe().sentence == (
        "If this disk died now you would lose 1 min of writes. Getting back takes about 41 s. Last proven 3 h ago."
    )


def test_an_archive_on_the_same_disk_loses_everything_with_it() -> None:
    assert _describe("same-disk").sentence.startswith(
        "If this disk died now you would lose everything: the archive is on the same disk. "
        "If only the data directory died: 1 min of writes."
    )


def test_an_unknown_disk_is_never_taken_for_another_one() -> None:
    assert "nobody can say" in _describe("unknown").sentence


def test_without_a_backup_everything_would_be_lost() -> None:
    protection = _describe(backups=0, proven=False)

    assert protection.sentence.startswith("If this disk died now you would lose everything: there is no backup.")
    assert protection.loss_seconds is None


def test_what_was_never_measured_is_said_to_be_so() -> None:
    protection = _describe(proven=False)

    assert protection.recovery_seconds is None
    assert protection.sentence.endswith(
        "How long getting back takes was never measured. Never proven: run `stratum drill`."
    )


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.COULD_NOT_VERIFY])
def test_a_proof_that_is_none_is_no_last_proof(verdict: Verdict) -> None:
    proof = a_proof("b", verdict=verdict, finished_at=NOW)

    protection = describe_protection((_MANIFEST,), (proof,), failure_domain="other-disk", now=NOW)

    assert protection.proven_at is None
    assert protection.newest_drill is verdict
    assert "Never proven" in protection.sentence


def test_a_backup_known_to_be_bad_does_not_shorten_the_loss() -> None:
    bad = a_manifest("bad", taken_at=NOW - timedelta(seconds=1))
    proofs = (_PROOF, a_proof("bad", verdict=Verdict.FAILED, finished_at=NOW))

    protection = describe_protection((_MANIFEST, bad), proofs, failure_domain="other-disk", now=NOW)

    assert protection.loss_seconds == 90
