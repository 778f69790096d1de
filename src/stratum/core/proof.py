"""What a proof is: the checks of a drill or a verification, and the verdict they add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from stratum.core.backup import (
    DatabaseFacts,
    DigestMode,
    LargeObjectFacts,
    Manifest,
    SequenceFacts,
    TableFacts,
)

FORMAT = 1


class Verdict(StrEnum):
    """What is known of a backup after it was looked at."""

    PROVEN = "proven"
    FAILED = "failed"
    COULD_NOT_VERIFY = "could-not-verify"
    """Never shown as a pass."""


class Method(StrEnum):
    """How a proof was made, and so how much it says."""

    VERIFY = "verify"
    """The stored bytes were read and compared with the manifest."""
    DRILL = "drill"
    """The backup was restored and what came back was compared. Only this proves a backup."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One question asked of a backup, and its answer."""

    name: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What was asked of a backup at one time, and the verdict the answers add up to."""

    format: int = FORMAT
    id: str
    backup_id: str
    method: Method
    verdict: Verdict
    checks: tuple[Check, ...]
    started_at: datetime
    finished_at: datetime
    digest_mode: DigestMode
    rows: int | None = None
    """Rows found in the restored databases; None where nothing was restored."""
    restore_seconds: float | None = None
    """From an empty server to all data loaded; None where nothing was restored."""
    total_seconds: float
    server_version: str | None = None


def overall(checks: Iterable[Check]) -> Verdict:
    """One failed check fails the whole; one that could not be made leaves it unverified; no checks prove nothing."""
    verdicts = [check.verdict for check in checks]
    if Verdict.FAILED in verdicts:
        return Verdict.FAILED
    if not verdicts or Verdict.COULD_NOT_VERIFY in verdicts:
        return Verdict.COULD_NOT_VERIFY
    return Verdict.PROVEN


def newest_proven(manifests: Iterable[Manifest], proofs: Iterable[Proof]) -> Manifest | None:
    """The newest backup whose latest drill says `proven`."""
    proven = proven_ids(proofs)
    candidates = [manifest for manifest in manifests if manifest.id in proven]
    return max(candidates, key=lambda manifest: manifest.taken_at, default=None)


def proven_ids(proofs: Iterable[Proof]) -> frozenset[str]:
    """Backups whose last word is `proven`: a later failed drill or verification takes an earlier proof back."""
    return frozenset(i for i, proof in standing_proofs(proofs).items() if proof.verdict is Verdict.PROVEN)


def standing_proofs(proofs: Iterable[Proof]) -> dict[str, Proof]:
    """The proof that counts for each backup: its newest drill, unless a newer verification failed."""
    standing: dict[str, Proof] = {}
    for proof in sorted(proofs, key=lambda proof: proof.finished_at):
        if proof.method is Method.DRILL or proof.verdict is Verdict.FAILED:
            standing[proof.backup_id] = proof
    return standing


def newest_drill(proofs: Iterable[Proof]) -> Proof | None:
    """The last drill of any backup, whatever it found; None when there never was one."""
    drills = [proof for proof in proofs if proof.method is Method.DRILL]
    return max(drills, key=lambda proof: proof.finished_at, default=None)


def compare_facts(*, expected: DatabaseFacts, restored: DatabaseFacts) -> tuple[Check, ...]:
    """Compare what came back with what the manifest says was there. Pure: both sides were observed before."""
    return (
        _compare_tables(expected.tables, restored.tables),
        _compare_content(expected.tables, restored.tables, mode=expected.digest_mode),
        _compare_large_objects(expected.large_objects, restored.large_objects, mode=expected.digest_mode),
        _compare_sequences(expected.sequences, restored.sequences),
        _compare_names(
            "extensions",
            {extension.name for extension in expected.extensions},
            {extension.name for extension in restored.extensions},
        ),
        _compare_names("materialized-views", set(expected.materialized_views), set(restored.materialized_views)),
        _check_indexes(expected.invalid_indexes, restored.invalid_indexes),
        _compare_migrations(expected, restored),
    )


def _passed(name: str, reason: str) -> Check:
    return Check(name=name, verdict=Verdict.PROVEN, reason=reason)


def _failed(name: str, reason: str) -> Check:
    return Check(name=name, verdict=Verdict.FAILED, reason=reason)


def could_not_verify(name: str, reason: str) -> Check:
    """A check that could not be made: it fails nothing, and it keeps a proof from passing."""
    return Check(name=name, verdict=Verdict.COULD_NOT_VERIFY, reason=reason)


def listed(names: Iterable[str], *, most: int = 5) -> str:
    """Names in order, cut after `most` with the number left out: a reason stays readable at any size."""
    ordered = sorted(names)
    rest = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + rest


def _compare_tables(expected: tuple[TableFacts, ...], restored: tuple[TableFacts, ...]) -> Check:
    then = {table.qualified: table.rows for table in expected}
    now = {table.qualified: table.rows for table in restored}
    wrong = [
        f"{name}: {rows} expected, {now.get(name, 'no table')} found"
        for name, rows in then.items()
        if now.get(name) != rows
    ]
    wrong += [f"{name}: not in the backup" for name in now.keys() - then.keys()]
    if wrong:
        return _failed("row-counts", listed(wrong))
    return _passed("row-counts", f"{sum(then.values())} rows in {len(then)} tables")


def _compare_content(expected: tuple[TableFacts, ...], restored: tuple[TableFacts, ...], *, mode: DigestMode) -> Check:
    if mode is DigestMode.COUNTS:
        return _passed("content", "not read: the digest mode is counts")
    now = {table.qualified: table for table in restored}
    pairs = [(table, now[table.qualified]) for table in expected if table.qualified in now]
    unread = [
        f"{a.qualified}: {a.not_digested or b.not_digested}" for a, b in pairs if a.digest is None or b.digest is None
    ]
    wrong = [a.qualified for a, b in pairs if a.digest is not None and b.digest is not None and a.digest != b.digest]
    if wrong:
        return _failed("content", f"the content differs in {listed(wrong)}")
    if unread:
        return could_not_verify("content", f"could not be digested: {listed(unread)}")
    return _passed("content", f"{len(pairs)} table digests equal ({mode})")


def _compare_large_objects(expected: LargeObjectFacts, restored: LargeObjectFacts, *, mode: DigestMode) -> Check:
    name = "large-objects"
    if expected.count != restored.count:
        return _failed(name, f"{expected.count} expected, {restored.count} found")
    if mode is DigestMode.COUNTS or expected.count == 0:
        return _passed(name, f"{expected.count} large objects")
    if expected.digest is None or restored.digest is None:
        return could_not_verify(name, str(expected.not_digested or restored.not_digested))
    if expected.digest != restored.digest:
        return _failed(name, "the content differs")
    return _passed(name, f"{expected.count} large objects, content equal")


def _compare_sequences(expected: tuple[SequenceFacts, ...], restored: tuple[SequenceFacts, ...]) -> Check:
    then = {f"{s.schema}.{s.name}": s for s in expected}
    now = {f"{s.schema}.{s.name}": s for s in restored}
    missing = then.keys() - now.keys()
    if missing:
        return _failed("sequences", f"missing: {listed(missing)}")
    behind = [name for name, s in now.items() if s.behind and name in then and not then[name].behind]
    if behind:
        return _failed("sequences", f"the next value is already taken: {listed(behind)}")
    already = [name for name, s in then.items() if s.behind]
    remark = f"; already behind their column when the backup was taken: {listed(already)}" if already else ""
    return _passed("sequences", f"{len(now)} sequences{remark}")


def _compare_names(name: str, expected: set[str], restored: set[str]) -> Check:
    missing = expected - restored
    if missing:
        return _failed(name, f"missing: {listed(missing)}")
    return _passed(name, f"{len(expected)} present")


def _check_indexes(expected: tuple[str, ...], restored: tuple[str, ...]) -> Check:
    if newly := set(restored) - set(expected):
        return _failed("indexes", f"invalid after the restore: {listed(newly)}")
    remark = f"; invalid when the backup was taken: {listed(expected)}" if expected else ""
    return _passed("indexes", f"none that was valid is invalid now{remark}")


def _compare_migrations(expected: DatabaseFacts, restored: DatabaseFacts) -> Check:
    then, now = set(expected.migrations), set(restored.migrations)
    if then != now:
        return _failed("migration-head", f"{listed(f'{m.tool} {m.head}' for m in then ^ now)} on one side only")
    return _passed("migration-head", listed(f"{m.tool} {m.head}" for m in then) or "no migration tool recognised")
