"""Which backups stay and which may go, and why: pure rules, the newest proven one always stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from stratum.core.backup import Manifest
from stratum.core.proof import Proof, newest_proven


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
