"""Counts, from what the writing clients remember, which rows a recovery brought back and which not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

SAMPLE_SIZE = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledged:
    """A transfer the server said was committed."""

    key: str
    era: str
    """The line of history it was written in, as the client's own connection saw it (`era_of`)."""
    xid: int
    """`pg_current_xact_id()`, read inside the transaction; only comparable within one era."""
    amount: Decimal
    acknowledged_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class InDoubt:
    """A transfer whose COMMIT was sent and never answered: it may be there or not, and either is right."""

    key: str
    era: str
    xid: int
    amount: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What the clients know at one moment. A COMMIT still on its way is in doubt at that moment."""

    acknowledged: tuple[Acknowledged, ...]
    in_doubt: tuple[InDoubt, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Which transactions a reader can see.

    (https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT)
    """

    xmin: int
    xmax: int
    in_progress: frozenset[int]

    def sees(self, xid: int) -> bool:
        """Whether the transaction had ended before the snapshot; that it committed, its client knows."""
        return xid < self.xmin or (xid < self.xmax and xid not in self.in_progress)

    def sees_all_of(self, earlier: Snapshot) -> bool:
        """Whether nothing that `earlier` sees is hidden from this one. Both must be of one era."""
        return earlier.xmax <= self.xmax and not any(earlier.sees(xid) for xid in self.in_progress)


def parse_snapshot(text: str) -> Snapshot:
    """Read the text form `xmin:xmax:xip,xip`; raise ValueError on anything else."""
    xmin, xmax, listed = text.split(":")
    snapshot = Snapshot(
        xmin=int(xmin),
        xmax=int(xmax),
        in_progress=frozenset(int(xid) for xid in listed.split(",") if listed),
    )
    if not 0 < snapshot.xmin <= snapshot.xmax:
        raise ValueError(f"not a snapshot: {text!r}")
    return snapshot


def era_of(*, system_identifier: int | str, timeline: int, database_oid: int) -> str:
    """Name one line of history of one database: transaction ids mean the same thing all along it.

    A rebuilt cluster has a new identifier, a recovery to a moment a new timeline, a database restored beside
    and renamed into place a new OID. A crash, a restart or a rename changes none of them.
    """
    return f"{system_identifier}/{timeline}/{database_oid}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryPoint:
    """What a recovery promised to bring back."""

    era: str
    snapshot: str | None
    """`pg_current_snapshot()` of the backup, or None for everything that era ever acknowledged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chapter:
    """The transfers that stood in one database at one moment, all read in one snapshot."""

    era: str
    snapshot: str
    keys: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Accounting:
    """The clients' verdict on a recovery. Rows are transfers."""

    rows_in_point: int
    """Rows of the recovery point: those known to be there before, and those acknowledged that it can see."""
    rows_missing: int
    """Of these, the ones that did not come back. Must be 0."""
    rows_after_point: int
    """Rows acknowledged after the recovery point, which no copy of that point can hold."""
    rows_unexpected: int
    """Rows that came back though nobody wrote them, or though the point cannot hold them. Must be 0."""
    rows_since: int = 0
    """Rows acknowledged by the recovered database itself, between its return and the count."""
    missing_sample: tuple[str, ...] = ()
    unexpected_sample: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return self.rows_missing == 0 and self.rows_unexpected == 0


def account_for(
    acknowledged: Collection[Acknowledged],
    *,
    snapshot: str | None,
    restored_keys: AbstractSet[str],
    in_doubt: Iterable[InDoubt] = (),
    already_there: AbstractSet[str] = frozenset(),
) -> Accounting:
    """Compare what came back with what one era's clients wrote and what stood there before they began.

    `snapshot` is the recovery point's; None means that everything acknowledged belongs to the point. Raise
    ValueError when the acknowledgements are of several eras: a snapshot can only judge its own.
    """
    doubts = tuple(in_doubt)
    if len({row.era for row in acknowledged} | {row.era for row in doubts}) > 1:
        raise ValueError("a snapshot can only judge the acknowledgements of its own era")
    seen = _seen_by(acknowledged, snapshot)
    point = already_there | seen
    missing = point - restored_keys
    unexpected = restored_keys - point - _seen_by(doubts, snapshot)
    return Accounting(
        rows_in_point=len(point),
        rows_missing=len(missing),
        rows_after_point=len({row.key for row in acknowledged} - point),
        rows_unexpected=len(unexpected),
        missing_sample=_sample(missing),
        unexpected_sample=_sample(unexpected),
    )


class Ledgerbook:
    """What each era began with, so that a recovery can be judged across restores, undos and rebuilt clusters.

    The first chapter is read when the ledger has been filled; every later one after a recovery that was
    counted and found whole. Between chapters only the clients' own memory counts, never the database's.
    """

    def __init__(self, first: Chapter) -> None:
        self._chapters = [first]

    def account(self, *, point: RecoveryPoint, recovered: Chapter, evidence: Evidence) -> Accounting:
        """Judge a recovered database against the point it was to return to. Reads nothing, keeps nothing.

        `recovered` is read from the recovered database and may be read under traffic; `evidence` must be
        taken after it. Raise ValueError when no chapter of the point's era had begun by then.
        """
        began = self._beginning_of(point)
        before = parse_snapshot(self._chapters[began].snapshot)
        acknowledged = [
            row
            for row in evidence.acknowledged
            if row.era == point.era and not before.sees(row.xid) and _counted(row, point, recovered)
        ]
        doubts = [row for row in evidence.in_doubt if row.era == point.era and not before.sees(row.xid)]
        since, since_in_doubt = _since(point, recovered, evidence)
        counted = account_for(
            acknowledged,
            snapshot=point.snapshot,
            restored_keys=recovered.keys - since - since_in_doubt,
            in_doubt=doubts,
            already_there=self._chapters[began].keys,
        )
        lost = since - recovered.keys
        return replace(
            counted,
            rows_missing=counted.rows_missing + len(lost),
            rows_after_point=counted.rows_after_point + self._written_later(began, recovered, evidence),
            rows_since=len(since),
            missing_sample=(*counted.missing_sample, *_sample(lost))[:SAMPLE_SIZE],
        )

    def continue_from(self, recovered: Chapter, accounting: Accounting) -> None:
        """Begin a chapter where a recovery left off. Raise ValueError unless the recovery was found whole."""
        if not accounting.clean:
            raise ValueError("a recovery with missing or unexpected rows cannot be the base of the next count")
        self._chapters.append(recovered)

    def _beginning_of(self, point: RecoveryPoint) -> int:
        for index in reversed(range(len(self._chapters))):
            chapter = self._chapters[index]
            if chapter.era == point.era and _precedes(chapter, point):
                return index
        raise ValueError(f"no chapter of era {point.era} had begun at snapshot {point.snapshot}")

    def _written_later(self, began: int, recovered: Chapter, evidence: Evidence) -> int:
        """Rows acknowledged in eras that began after the point's, other than the recovered one."""
        known = {chapter.era for chapter in self._chapters[: began + 1]} | {recovered.era}
        return sum(1 for row in evidence.acknowledged if row.era not in known)


def _precedes(chapter: Chapter, point: RecoveryPoint) -> bool:
    if point.snapshot is None:
        return True
    return parse_snapshot(point.snapshot).sees_all_of(parse_snapshot(chapter.snapshot))


def _counted(row: Acknowledged, point: RecoveryPoint, recovered: Chapter) -> bool:
    """Where an era was to go on whole, rows it took after it was read are neither in the count nor lost."""
    if point.snapshot is not None or point.era != recovered.era:
        return True
    return parse_snapshot(recovered.snapshot).sees(row.xid)


def _since(point: RecoveryPoint, recovered: Chapter, evidence: Evidence) -> tuple[frozenset[str], frozenset[str]]:
    """Keys acknowledged, and keys in doubt, that the recovered database took itself before it was read."""
    if point.era == recovered.era:
        return frozenset(), frozenset()
    return (
        _seen_by((row for row in evidence.acknowledged if row.era == recovered.era), recovered.snapshot),
        _seen_by((row for row in evidence.in_doubt if row.era == recovered.era), recovered.snapshot),
    )


def _seen_by(rows: Iterable[Acknowledged | InDoubt], snapshot: str | None) -> frozenset[str]:
    if snapshot is None:
        return frozenset(row.key for row in rows)
    parsed = parse_snapshot(snapshot)
    return frozenset(row.key for row in rows if parsed.sees(row.xid))


def _sample(keys: AbstractSet[str]) -> tuple[str, ...]:
    return tuple(sorted(keys)[:SAMPLE_SIZE])
