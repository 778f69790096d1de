"""The sentence at the top of everything: what would be lost now, how long getting back takes, when last proven."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from stratum.core.backup import Manifest
from stratum.core.copies import CopyState, best_copy
from stratum.core.proof import Proof, Verdict, newest_drill, newest_proven, proven_ids
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.core.receiving_rules import REASONS, covers_now, is_fresh
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
COPY_ELSEWHERE = (
    "If this disk died now you would lose {age} of writes, by the copy {copy}. If only the data directory died: {near}."
)
COPY_OF_MACHINE = "If this machine died you would lose {age} of writes, by the copy {copy}."
OTHER_DISK = "If this disk died now you would lose {age} of writes."
NEVER_MEASURED = "How long getting back takes was never measured."
NEVER_PROVEN = "Never proven: run `stratum drill`."
RECOVERY = "Getting back takes about {age}."
PROVEN = "Last proven {age} ago."
UNPROTECTED = {reason: f"Not every second is kept since {{since}} UTC: {reason}." for reason in REASONS}
NOT_RECEIVED = "No WAL is received since {since} UTC: {problem}."
SILENT = "Whether WAL is received is not known: the agent last said so {age} ago."
ZERO_LOSS = "No acknowledged commit would be lost: each waits until the archive has it."
NOT_ZERO_LOSS = "Zero-loss is asked for, and commits do not wait since {since} UTC: {problem}."
IN_VAIN = "Commits wait for the archive: {problem}."
MAY_HANG = (
    "Commits may wait for an agent that is silent: `stratum up` starts it, `stratum protect --degrade` lets them go on."
)
PHRASES = (
    *(
        NO_BACKUP,
        SAME_DISK,
        UNKNOWN_DISK,
        COPY_ELSEWHERE,
        COPY_OF_MACHINE,
        OTHER_DISK,
        NEVER_MEASURED,
        NEVER_PROVEN,
        RECOVERY,
        PROVEN,
    ),
    *(*UNPROTECTED.values(), NOT_RECEIVED, SILENT),
    *(ZERO_LOSS, NOT_ZERO_LOSS, IN_VAIN, MAY_HANG),
)
"""What the sentence is put together from, as `str.format` templates, so that it exists once for every language."""
_SURVIVES = frozenset({"other-disk", "other-host"})


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
    """Age of what the archive has for certain: of the newest received write of the canary, where WAL and a base
    backup reach it, else of the newest backup."""
    loss_since: datetime | None = None
    """What was written after it would be lost."""
    backup_age_seconds: float | None = None
    """Of the newest backup that is not known to be bad."""
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
    manifests: tuple[Manifest, ...],
    proofs: tuple[Proof, ...],
    *,
    failure_domain: str,
    now: datetime,
    receiver: ReceiverState | None = None,
    bases: frozenset[str] = frozenset(),
    copies: tuple[CopyState, ...] = (),
) -> Protection:
    """Put the measured numbers into the sentence. Nothing in it is assumed.

    `copies` are those that stand elsewhere: the best that was compared counts, with its own age. `bases` are ids of
    base backups: the drill of a moment that starts from one of them counts, too. `receiver` is what the agent wrote
    down last; it counts only while it is fresh.
    """
    failed = {p.backup_id for p in proofs if p.verdict is Verdict.FAILED} - proven_ids(proofs)
    usable = [manifest for manifest in manifests if manifest.id not in failed]
    newest = max(usable, key=lambda manifest: manifest.taken_at, default=None)
    drill = newest_drill(proofs)
    proven = newest_proven(manifests, proofs)
    moments = [p for p in proofs if p.backup_id in bases and p.verdict is Verdict.PROVEN and p.restore_seconds]
    known = [found for found in (_proof_of(proven, proofs), *moments) if found is not None]
    proof = max(known, key=lambda found: found.finished_at, default=None)
    kept = [newest.taken_at] if newest else []
    if receiver is not None and receiver.safe_at is not None and covers_now(receiver, now):
        kept.append(receiver.safe_at)
    since = max(kept, default=None)
    best = best_copy(copies, local=failure_domain)
    phrases = (
        *_loss(since, failure_domain, best, now),
        *_receiving(receiver, now),
        *_zero_loss(receiver, now, survives=failure_domain in _SURVIVES),
        *_recovery(proof, now),
    )
    if best is not None and failure_domain not in _SURVIVES:
        since = best.safe_at
    return Protection(
        newest_backup_at=newest.taken_at if newest else None,
        loss_seconds=max(0.0, (now - since).total_seconds()) if since else None,
        loss_since=since,
        backup_age_seconds=(now - newest.taken_at).total_seconds() if newest else None,
        recovery_seconds=proof.restore_seconds if proof else None,
        proven_at=proof.finished_at if proof else None,
        newest_drill=drill.verdict if drill else None,
        failure_domain=best.failure_domain if best else failure_domain,
        sentence=" ".join(phrase.english for phrase in phrases),
        phrases=phrases,
    )


def _loss(since: datetime | None, failure_domain: str, best: CopyState | None, now: datetime) -> tuple[Phrase, ...]:
    """What the archive saves, and what the best copy does where that survives more."""
    if since is None:
        return (Phrase(template=NO_BACKUP),)
    here = max(timedelta(0), now - since)
    template = {"same-disk": SAME_DISK, "unknown": UNKNOWN_DISK}.get(failure_domain, OTHER_DISK)
    if best is None or best.safe_at is None:
        return (_aged(template, here),)
    details = {"age": render_age(max(timedelta(0), now - best.safe_at)), "copy": best.name}
    if failure_domain in _SURVIVES:
        return _aged(template, here), Phrase(template=COPY_OF_MACHINE, details=details)
    return (Phrase(template=COPY_ELSEWHERE, details=details | {"near": render_age(here)}),)


def _receiving(receiver: ReceiverState | None, now: datetime) -> tuple[Phrase, ...]:
    """Why not every second is kept, where it should be."""
    if receiver is None or receiver.mode is ProtectMode.DUMPS:
        return ()
    if not is_fresh(receiver, now):
        return (_aged(SILENT, now - receiver.at),)
    said = []
    if receiver.unprotected_since is not None and receiver.unprotected_because in UNPROTECTED:
        details = {"since": f"{receiver.unprotected_since:%Y-%m-%d %H:%M:%S}"}
        said.append(Phrase(template=UNPROTECTED[receiver.unprotected_because], details=details))
    if receiver.phase is ReceiverPhase.AWAY and receiver.away_since is not None:
        details = {"since": f"{receiver.away_since:%Y-%m-%d %H:%M:%S}", "problem": receiver.problem.rstrip(".")}
        said.append(Phrase(template=NOT_RECEIVED, details=details))
    return tuple(said)


def _zero_loss(receiver: ReceiverState | None, now: datetime, *, survives: bool) -> tuple[Phrase, ...]:
    """Whether commits wait as was asked for; `survives` where the archive outlives the data's disk."""
    if receiver is None or receiver.mode is not ProtectMode.ZERO_LOSS:
        return ()
    if not is_fresh(receiver, now):
        return (Phrase(template=MAY_HANG),) if receiver.armed else ()
    problem = {"problem": receiver.armed_problem.rstrip(".")}
    if receiver.armed and receiver.armed_problem:
        return (Phrase(template=IN_VAIN, details=problem),)
    if not receiver.armed and receiver.degraded_since is not None:
        since = {"since": f"{receiver.degraded_since:%Y-%m-%d %H:%M:%S}"}
        return (Phrase(template=NOT_ZERO_LOSS, details=since | problem),)
    kept = receiver.armed and survives and receiver.unprotected_since is None
    return (Phrase(template=ZERO_LOSS),) if kept else ()


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
