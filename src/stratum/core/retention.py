"""Which backups stay and which may go, and why: pure rules, the newest proven one always stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from stratum.core.backup import Manifest
from stratum.core.base_backup import BaseManifest
from stratum.core.proof import Proof, newest_proven
from stratum.core.wal import SegmentName, segment_of


@dataclass(frozen=True, kw_only=True, slots=True)
class RetentionPolicy:
    """Which backups stay: those that any of these rules keeps. `[retention]` of stratum.toml."""

    keep_days: int = 14
    """Keep every backup younger than this many days."""
    keep_last: int = 3
    """Keep this many newest backups whatever their age."""
    daily: int = 0
    """Keep the newest backup of each of this many days that have one."""
    weekly: int = 0
    """Keep the newest backup of each of this many ISO weeks that have one."""
    monthly: int = 0
    """Keep the newest backup of each of this many months that have one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetentionDecision:
    """One backup's fate; `reasons` are the rules that keep it, or why it may go."""

    backup_id: str
    keep: bool
    reasons: tuple[str, ...]
    bytes: int


def decide_retention(
    manifests: Iterable[Manifest],
    *,
    proofs: Iterable[Proof],
    pinned: frozenset[str],
    policy: RetentionPolicy,
    now: datetime,
) -> tuple[RetentionDecision, ...]:
    """Decide for every backup, newest first.

    The newest proven backup stays under any policy. While nothing is proven, nothing goes: no backup is
    known to be better than the one about to be removed.
    """
    newest_first = sorted(manifests, key=lambda m: m.taken_at, reverse=True)
    proven = newest_proven(newest_first, proofs)
    reasons: dict[str, list[str]] = {m.id: [] for m in newest_first}
    for manifest in newest_first:
        if proven is None:
            reasons[manifest.id].append("no backup is proven yet")
        elif manifest.id == proven.id:
            reasons[manifest.id].append("newest proven backup")
        if manifest.id in pinned:
            reasons[manifest.id].append("pinned")
        if now - manifest.taken_at < timedelta(days=policy.keep_days):
            reasons[manifest.id].append(f"younger than {policy.keep_days} days")
    for rule, kept in _rules(newest_first, policy):
        for manifest in kept:
            reasons[manifest.id].append(rule)
    return tuple(_decision(m, tuple(reasons[m.id]), policy) for m in newest_first)


def decide_bases(
    bases: Iterable[BaseManifest],
    *,
    needed: frozenset[str],
    window: timedelta,
    now: datetime,
) -> tuple[RetentionDecision, ...]:
    """Decide for every base backup, newest first.

    Every second of the last `window` stays reachable: with the newest base backup that was whole before the window
    began, and all newer ones. `needed` are pinned ones and the newest proven one; they stay under any window. So does
    the newest of each cluster: it may be all that is left of it.
    """
    newest_first = sorted(bases, key=lambda base: base.finished_at, reverse=True)
    before = [base for base in newest_first if base.finished_at <= now - window]
    decided, seen = [], set()
    for base in newest_first:
        reasons = []
        if base.finished_at > now - window:
            reasons.append("within the recovery window")
        if before and base.id == before[0].id:
            reasons.append("the recovery window begins with it")
        if base.cluster.system_identifier not in seen:
            reasons.append("newest base backup of its cluster")
        if base.id in needed:
            reasons.append("pinned or proven")
        seen.add(base.cluster.system_identifier)
        why = tuple(reasons) or ("older than the recovery window",)
        decided.append(RetentionDecision(backup_id=base.id, keep=bool(reasons), reasons=why, bytes=base.bytes))
    return tuple(decided)


def oldest_needed(bases: Iterable[BaseManifest], decisions: Iterable[RetentionDecision]) -> dict[str, SegmentName]:
    """For each cluster, the oldest WAL segment that a base backup which stays begins with.

    Where a cluster has no base backup that stays, its WAL is not spoken of.
    """
    kept = {decision.backup_id for decision in decisions if decision.keep}
    oldest: dict[str, SegmentName] = {}
    for base in bases:
        if base.id not in kept:
            continue
        first = segment_of(base.start_lsn, timeline=base.start_timeline, segment_bytes=base.segment_bytes)
        known = oldest.get(base.cluster.system_identifier)
        if known is None or first.number < known.number:
            oldest[base.cluster.system_identifier] = first
    return oldest


def _decision(manifest: Manifest, reasons: tuple[str, ...], policy: RetentionPolicy) -> RetentionDecision:
    why = reasons or (f"older than {policy.keep_days} days and no rule keeps it",)
    return RetentionDecision(backup_id=manifest.id, keep=bool(reasons), reasons=why, bytes=manifest.bytes)


def _rules(newest_first: list[Manifest], policy: RetentionPolicy) -> Iterable[tuple[str, list[Manifest]]]:
    yield f"one of the {policy.keep_last} newest", newest_first[: policy.keep_last]
    yield "newest of its day", _newest_per(newest_first, lambda at: at.strftime("%Y-%m-%d"), policy.daily)
    yield "newest of its week", _newest_per(newest_first, lambda at: at.strftime("%G-W%V"), policy.weekly)
    yield "newest of its month", _newest_per(newest_first, lambda at: at.strftime("%Y-%m"), policy.monthly)


def _newest_per(newest_first: list[Manifest], period: Callable[[datetime], str], count: int) -> list[Manifest]:
    newest: dict[str, Manifest] = {}
    for manifest in newest_first:
        newest.setdefault(period(manifest.taken_at), manifest)
    return list(newest.values())[:count]
