"""The timeline: which stretches of time can be brought back, which cannot, and what happened on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain, zip_longest

from stratum.core.backup import Manifest
from stratum.core.base_backup import BaseManifest
from stratum.core.plan import JournalEntry, PlanEnd
from stratum.core.proof import Method, Proof, Verdict, standing_proofs
from stratum.core.release import recorded_releases

FORMAT = 1


class Reach(StrEnum):
    """What a restore to a moment within a span brings back."""

    EXACT = "exact"
    """The moment itself: WAL covers it."""
    BACKUP_BEFORE = "backup-before"
    """The backup before it; what was written between the two is lost."""
    NOTHING = "nothing"
    """No backup that is whole, or none as recent as the schedule promises."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of time in which a restore reaches the same thing."""

    begins: datetime
    ends: datetime
    reach: Reach
    backup_id: str | None
    """What a restore to a moment in it starts from; None when there is nothing."""


class MomentKind(StrEnum):
    """What a mark on the timeline stands for."""

    BACKUP = "backup"
    BASE_BACKUP = "base-backup"
    """From it on WAL reaches every second."""
    DRILL = "drill"
    VERIFY = "verify"
    RESTORE = "restore"
    RELEASE = "release"
    RESTORE_POINT = "restore-point"
    """A moment somebody gave a name to; `id` is that name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One thing that happened."""

    at: datetime
    kind: MomentKind
    id: str
    """Of the backup, the proof or the plan."""
    backup_id: str | None
    verdict: Verdict | None
    label: str
    """One short sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """One picture of what can be brought back."""

    format: int = FORMAT
    begins: datetime
    ends: datetime
    """Now."""
    spans: tuple[Span, ...]
    """In order and without holes, from `begins` to `ends`."""
    moments: tuple[Moment, ...]
    """In order."""


BACKUP_TAKEN = "a backup was taken"
BASE_TAKEN = "a base backup was taken"
RESTORED = "a restore was carried out"
UNDONE = "a restore was taken back"
POINT_NAMED = "a moment was given a name"
_PROOFS: dict[tuple[Method, Verdict], str] = {
    (Method.DRILL, Verdict.PROVEN): "a drill proved the backup",
    (Method.DRILL, Verdict.FAILED): "a drill failed: the backup is not to be relied on",
    (Method.DRILL, Verdict.COULD_NOT_VERIFY): "a drill could not say whether the backup restores",
    (Method.VERIFY, Verdict.PROVEN): "every stored byte of the backup was as it was written",
    (Method.VERIFY, Verdict.FAILED): "the backup's stored files are damaged",
    (Method.VERIFY, Verdict.COULD_NOT_VERIFY): "the backup's stored files could not be read",
}
LABELS = (BACKUP_TAKEN, BASE_TAKEN, RESTORED, UNDONE, POINT_NAMED, *_PROOFS.values())
"""What marks say, without values in them, so that each can be said in any language."""
_RESTORES = {"restore": RESTORED, "restore-table": RESTORED, "place-table": RESTORED, "undo-restore": UNDONE}


def draw_timeline(
    manifests: Iterable[Manifest],
    proofs: Iterable[Proof],
    entries: Iterable[JournalEntry],
    *,
    now: datetime,
    promise: timedelta,
    exact: tuple[Span, ...] = (),
    bases: Iterable[BaseManifest] = (),
) -> Timeline:
    """The picture from the first thing that happened until now. `exact` is what WAL covers, in order.

    A backup reaches from the moment it was taken to the next one, for `promise` at most: after that there is
    nothing as recent as promised. One whose last word is that it failed reaches nothing.
    """
    known, taken = tuple(proofs), sorted(manifests, key=lambda manifest: manifest.taken_at)
    happened = chain(_moments(taken, known, entries), map(_base_moment, bases))
    moments = tuple(sorted(happened, key=lambda moment: (moment.at, moment.id)))
    failed = {i for i, proof in standing_proofs(known).items() if proof.verdict is Verdict.FAILED}
    exact = tuple(span for span in exact if span.backup_id not in failed)
    begins = min((*(moment.at for moment in moments), *(span.begins for span in exact)), default=now)
    whole = [manifest for manifest in taken if manifest.id not in failed and manifest.taken_at < now]
    spans = tuple(_spans(whole, begins=min(begins, now), now=now, promise=promise))
    return Timeline(
        begins=min(begins, now),
        ends=now,
        spans=tuple(_joined(_overlaid(spans, exact))),
        moments=moments,
    )


def _spans(whole: list[Manifest], *, begins: datetime, now: datetime, promise: timedelta) -> Iterator[Span]:
    reached = begins
    for manifest, following in zip_longest(whole, whole[1:]):
        if manifest.taken_at > reached:
            yield Span(begins=reached, ends=manifest.taken_at, reach=Reach.NOTHING, backup_id=None)
        reached = min(manifest.taken_at + promise, following.taken_at if following else now, now)
        if reached > manifest.taken_at:
            yield Span(begins=manifest.taken_at, ends=reached, reach=Reach.BACKUP_BEFORE, backup_id=manifest.id)
    if now > reached:
        yield Span(begins=reached, ends=now, reach=Reach.NOTHING, backup_id=None)


def _overlaid(spans: tuple[Span, ...], exact: tuple[Span, ...]) -> Iterator[Span]:
    """What WAL covers goes before what only a backup does."""
    for span in spans:
        reached = span.begins
        for over in exact:
            begins, ends = max(over.begins, reached), min(over.ends, span.ends)
            if begins >= ends:
                continue
            if begins > reached:
                yield replace(span, begins=reached, ends=begins)
            yield replace(over, begins=begins, ends=ends)
            reached = ends
        if span.ends > reached:
            yield replace(span, begins=reached)


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Neighbours that reach the same thing are one."""
    last: Span | None = None
    for span in spans:
        if last is not None and (last.reach, last.backup_id) == (span.reach, span.backup_id):
            last = replace(last, ends=span.ends)
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last


def _moments(
    manifests: Iterable[Manifest], proofs: Iterable[Proof], entries: Iterable[JournalEntry]
) -> Iterator[Moment]:
    for manifest in manifests:
        yield Moment(at=manifest.taken_at, kind=MomentKind.BACKUP, id=manifest.id, backup_id=manifest.id,
                     verdict=None, label=BACKUP_TAKEN)  # fmt: skip
    for proof in proofs:
        kind = MomentKind.DRILL if proof.method is Method.DRILL else MomentKind.VERIFY
        yield Moment(at=proof.finished_at, kind=kind, id=proof.id, backup_id=proof.backup_id,
                     verdict=proof.verdict, label=_PROOFS[proof.method, proof.verdict])  # fmt: skip
    noted = tuple(entries)
    yield from _restores(noted)
    yield from _points(noted)
    yield from _releases(noted)


def _base_moment(base: BaseManifest) -> Moment:
    return Moment(at=base.finished_at, kind=MomentKind.BASE_BACKUP, id=base.id, backup_id=base.id, verdict=None,
                  label=BASE_TAKEN)  # fmt: skip


def _points(entries: Iterable[JournalEntry]) -> Iterator[Moment]:
    """Moments that were given a name, at the server's time."""
    for entry in entries:
        if entry.verb == "restore-point" and "name" in entry.facts:
            yield Moment(at=datetime.fromisoformat(str(entry.facts["at"])), kind=MomentKind.RESTORE_POINT,
                         id=str(entry.facts["name"]), backup_id=None, verdict=None, label=POINT_NAMED)  # fmt: skip


def _releases(entries: Iterable[JournalEntry]) -> Iterator[Moment]:
    """Deploys, by the commit of the stack's files where that is known."""
    for release in recorded_releases(entries):
        yield Moment(at=release.at, kind=MomentKind.RELEASE, id=release.id, backup_id=None, verdict=None,
                     label=release.commit[:12] if release.commit else release.id)  # fmt: skip


def _restores(entries: Iterable[JournalEntry]) -> Iterator[Moment]:
    """Restores that were carried out to their end; what was taken back changed nothing."""
    started: dict[str, JournalEntry] = {}
    for entry in entries:
        if entry.plan is not None and entry.verb in _RESTORES:
            started[entry.plan_id] = entry
        elif entry.end is PlanEnd.DONE and entry.plan_id in started:
            plan = started[entry.plan_id].plan
            backup = plan.params.get("backup_id") if plan else None
            yield Moment(at=entry.at, kind=MomentKind.RESTORE, id=entry.plan_id,
                         backup_id=str(backup) if backup else None, verdict=None,
                         label=_RESTORES[entry.verb])  # fmt: skip
