"""Which backup a recovery target means, and the difference between what is live and what would come back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from stratum.core.backup import DatabaseFacts, Manifest, TableFacts
from stratum.core.proof import Proof, Verdict, proven_ids, standing_proofs


@dataclass(frozen=True, kw_only=True, slots=True)
class TableDifference:
    """How one table would change: `rows_live` None means it is missing today, `rows_backup` None that it would go."""

    table: str
    rows_live: int | None
    rows_backup: int | None
    content_differs: bool

    @property
    def changed(self) -> bool:
        return self.content_differs or self.rows_live != self.rows_backup


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What putting the backup in place of the live database would change."""

    tables: tuple[TableDifference, ...]

    @property
    def rows_lost(self) -> int:
        """Rows live now beyond those the backup has, summed over tables that shrink."""
        return sum(max(0, (t.rows_live or 0) - (t.rows_backup or 0)) for t in self.tables)

    @property
    def rows_gained(self) -> int:
        return sum(max(0, (t.rows_backup or 0) - (t.rows_live or 0)) for t in self.tables)

    @property
    def changed(self) -> tuple[TableDifference, ...]:
        return tuple(table for table in self.tables if table.changed)


def choose_backup(manifests: Iterable[Manifest], proofs: Iterable[Proof], *, at: datetime | None) -> Manifest | None:
    """The backup a target without an id means.

    The newest at or before `at` (or the newest of all). A backup whose last proof failed is never chosen; a
    proven one is preferred to a newer one nobody has looked at only when that newer one is damaged, which
    the restore finds out before it touches anything.
    """
    failed = {i for i, proof in standing_proofs(proofs).items() if proof.verdict is Verdict.FAILED}
    candidates = [m for m in manifests if m.id not in failed and (at is None or m.taken_at <= at)]
    return max(candidates, key=lambda manifest: manifest.taken_at, default=None)


def older_proven(manifests: Iterable[Manifest], proofs: Iterable[Proof], *, than: Manifest) -> Manifest | None:
    """The newest proven backup older than a damaged one: what to use instead."""
    proven = proven_ids(proofs)
    candidates = [m for m in manifests if m.id in proven and m.taken_at < than.taken_at]
    return max(candidates, key=lambda manifest: manifest.taken_at, default=None)


def difference(*, live: DatabaseFacts | None, backup: DatabaseFacts) -> Difference:
    """Compare a live database (None when it is gone) with what a backup holds, table by table."""
    return compare_tables(now=live.tables if live else (), then=backup.tables)


def compare_tables(*, now: Iterable[TableFacts], then: Iterable[TableFacts]) -> Difference:
    """Compare what tables hold now with what they held then, whoever looked."""
    return _by_name({table.qualified: table for table in now}, {table.qualified: table for table in then})


def _by_name(now: dict[str, TableFacts], then: dict[str, TableFacts]) -> Difference:
    return Difference(
        tables=tuple(
            TableDifference(
                table=name,
                rows_live=now[name].rows if name in now else None,
                rows_backup=then[name].rows if name in then else None,
                content_differs=name in now and name in then and now[name].digest != then[name].digest,
            )
            for name in sorted(now.keys() | then.keys())
        )
    )
