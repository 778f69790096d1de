"""The sentence at the top of everything: what would be lost now, how long getting back takes, when last proven."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from stratum.core.backup import Manifest
from stratum.core.proof import Proof, Verdict, newest_drill, newest_proven, proven_ids
from stratum.core.sizes import render_age

FORMAT = 1

NO_BACKUP = "If this disk died now you would lose everything: there is no backup."
SAME_DISK = (
    "If this disk died now you would lose everything: the archive is on the same disk. "
    "If only the data directory died: {age} of writes."
)
UNKNOWN_DISK = (
    "If this disk died now nobody can say what would be left: whether the archive is on the same disk is not "
    "known. If only the data directory died: {age} of writes."
)
OTHER_DISK = "If this disk died now you would lose {age} of writes."
NEVER_MEASURED = "How long getting back takes was never measured."
NEVER_PROVEN = "Never proven: run `stratum drill`."
RECOVERY = "Getting back takes about {age}."
PROVEN = "Last proven {age} ago."
PHRASES = (NO_BACKUP, SAME_DISK, UNKNOWN_DISK, OTHER_DISK, NEVER_MEASURED, NEVER_PROVEN, RECOVERY, PROVEN)
"""What the sentence is put together from, as `str.format` templates, so that it exists once for every language."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """One piece of the sentence, before it is said in a language."""

    template: str
    details: dict[str, str] = field(default_factory=dict)
    """The values in it, by name."""

    @property
    def english(self) -> str:
        return self.template.format_map(self.details)


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
    """In English, for programs and logs."""
    phrases: tuple[Phrase, ...] = ()
    """The same sentence for whoever says it in another language."""


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
    phrases = (_loss(loss, failure_domain), *_recovery(proof, now))
    return Protection(
        newest_backup_at=newest.taken_at if newest else None,
        loss_seconds=loss,
        recovery_seconds=proof.restore_seconds if proof else None,
        proven_at=proof.finished_at if proof else None,
        newest_drill=drill.verdict if drill else None,
        failure_domain=failure_domain,
        sentence=" ".join(phrase.english for phrase in phrases),
        phrases=phrases,
    )


def _loss(loss: float | None, failure_domain: str) -> Phrase:
    if loss is None:
        return Phrase(template=NO_BACKUP)
    template = {"same-disk": SAME_DISK, "unknown": UNKNOWN_DISK}.get(failure_domain, OTHER_DISK)
    return _aged(template, timedelta(seconds=loss))


def _recovery(proof: Proof | None, now: datetime) -> tuple[Phrase, ...]:
    if proof is None or proof.restore_seconds is None:
        return (Phrase(template=NEVER_MEASURED), Phrase(template=NEVER_PROVEN))
    return _aged(RECOVERY, timedelta(seconds=proof.restore_seconds)), _aged(PROVEN, now - proof.finished_at)


def _aged(template: str, age: timedelta) -> Phrase:
    return Phrase(template=template, details={"age": render_age(age)})


def _proof_of(manifest: Manifest | None, proofs: tuple[Proof, ...]) -> Proof | None:
    if manifest is None:
        return None
    own = [p for p in proofs if p.backup_id == manifest.id and p.restore_seconds is not None]
    return max(own, key=lambda proof: proof.finished_at, default=None)
