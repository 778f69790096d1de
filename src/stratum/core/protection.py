"""The sentence at the top of everything: what would be lost now, how long getting back takes, when last proven."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from stratum.core.backup import Manifest
from stratum.core.proof import Proof, Verdict, newest_drill, newest_proven, proven_ids
from stratum.core.sizes import render_age

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Protection:
    """What the numbers say now. None means: not measured, and the sentence says so."""

    format: int = FORMAT
    newest_backup_at: datetime | None
    loss_seconds: float | None
    """Age of the newest backup that is not known to be bad: what was written since is in no backup."""
    recovery_seconds: float | None
    """Restore time the newest proving drill measured."""
    proven_at: datetime | None
    newest_drill: Verdict | None
    failure_domain: str
    sentence: str


def describe_protection(
    manifests: tuple[Manifest, ...], proofs: tuple[Proof, ...], *, failure_domain: str, now: datetime
) -> Protection:
    """Put the measured numbers into the sentence. Nothing in it is assumed."""
    failed = {p.backup_id for p in proofs if p.verdict is Verdict.FAILED} - proven_ids(proofs)
    usable = [manifest for manifest in manifests if manifest.id not in failed]
    newest = max(usable, key=lambda manifest: manifest.taken_at, default=None)
    drill = newest_drill(proofs)
    proven = newest_proven(manifests, proofs)
    proof = _proof_of(proven, proofs)
    loss = (now - newest.taken_at).total_seconds() if newest else None
    return Protection(
        newest_backup_at=newest.taken_at if newest else None,
        loss_seconds=loss,
        recovery_seconds=proof.restore_seconds if proof else None,
        proven_at=proof.finished_at if proof else None,
        newest_drill=drill.verdict if drill else None,
        failure_domain=failure_domain,
        sentence=_sentence(loss, proof, failure_domain, now),
    )


def _sentence(loss: float | None, proof: Proof | None, failure_domain: str, now: datetime) -> str:
    return " ".join((_loss(loss, failure_domain), *_recovery(proof, now)))


def _loss(loss: float | None, failure_domain: str) -> str:
    if loss is None:
        return "If this disk died now you would lose everything: there is no backup."
    lost = f"{render_age(timedelta(seconds=loss))} of writes"
    if failure_domain == "same-disk":
        return (
            "If this disk died now you would lose everything: the archive is on the same disk. "
            f"If only the data directory died: {lost}."
        )
    if failure_domain == "unknown":
        return (
            "If this disk died now nobody can say what would be left: whether the archive is on the same disk is not "
            f"known. If only the data directory died: {lost}."
        )
    return f"If this disk died now you would lose {lost}."


def _recovery(proof: Proof | None, now: datetime) -> tuple[str, ...]:
    if proof is None or proof.restore_seconds is None:
        return ("How long getting back takes was never measured.", "Never proven: run `stratum drill`.")
    back = render_age(timedelta(seconds=proof.restore_seconds))
    return (f"Getting back takes about {back}.", f"Last proven {render_age(now - proof.finished_at)} ago.")


def _proof_of(manifest: Manifest | None, proofs: tuple[Proof, ...]) -> Proof | None:
    if manifest is None:
        return None
    own = [p for p in proofs if p.backup_id == manifest.id and p.restore_seconds is not None]
    return max(own, key=lambda proof: proof.finished_at, default=None)
