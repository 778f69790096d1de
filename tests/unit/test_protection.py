"""The sentence says what would be lost, from measured numbers only, and says when a number is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stratum.core.proof import Verdict
from stratum.core.protection import Protection, describe_protection
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.core.receiving_rules import SLOT_LOST
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


_RECEIVER = ReceiverState(
    at=NOW, mode=ProtectMode.STREAMING, phase=ReceiverPhase.RECEIVING, safe_at=NOW - timedelta(seconds=0.4)
)


def _receiving(**changes: Any) -> Protection:  # noqa: ANN401 - fields of the record, of many types
    receiver = replace(_RECEIVER, **changes)
    return describe_protection((_MANIFEST,), (_PROOF,), failure_domain="other-disk", now=NOW, receiver=receiver)


def test_while_wal_is_received_the_loss_is_the_age_of_the_newest_received_write() -> None:
    protection = _receiving()

    assert protection.sentence.startswith("If this disk died now you would lose 0.4 s of writes. Getting back")
    assert protection.backup_age_seconds == 90


def test_a_receiver_that_went_silent_shortens_no_loss() -> None:
    protection = _receiving(at=NOW - timedelta(seconds=11))

    assert protection.loss_seconds == 90
    assert "the agent last said so 11 s ago" in protection.sentence


def test_until_a_base_backup_stands_the_loss_is_that_of_the_dumps_and_the_sentence_says_why() -> None:
    protection = _receiving(unprotected_since=NOW, unprotected_because=SLOT_LOST)

    assert protection.loss_seconds == 90
    assert f"Not every second is kept since {NOW:%Y-%m-%d %H:%M:%S} UTC: {SLOT_LOST}." in protection.sentence


def test_a_receiver_that_is_away_is_named_and_what_it_received_still_counts() -> None:
    away = NOW - timedelta(seconds=40)
    protection = _receiving(phase=ReceiverPhase.AWAY, safe_at=away, away_since=away, problem="connection refused")

    assert protection.loss_seconds == 40
    assert "connection refused." in protection.sentence


def test_dumps_alone_are_described_as_such() -> None:
    protection = _receiving(mode=ProtectMode.DUMPS, phase=ReceiverPhase.OFF, at=NOW - timedelta(days=9))

    assert protection.sentence == _describe().sentence


def test_the_drill_of_a_moment_counts_while_its_base_backup_is_there() -> None:
    drilled = a_proof("base-1", finished_at=NOW - timedelta(minutes=5), restore_seconds=4.0)

    told, gone = (
        describe_protection((_MANIFEST,), (drilled,), failure_domain="other-disk", now=NOW, bases=bases)
        for bases in (frozenset({"base-1"}), frozenset[str]())
    )

    assert (told.recovery_seconds, told.proven_at) == (4.0, NOW - timedelta(minutes=5))
    assert (gone.recovery_seconds, gone.proven_at) == (None, None)
