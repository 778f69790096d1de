"""What a rehearsal is: the new version's migrations on a clone, what they did to it, and the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

FORMAT = 1


class RehearsalVerdict(StrEnum):
    """What is known of a release before it touches the data."""

    SAFE = "safe"
    NEEDS_DOWNTIME = "needs-downtime"
    """It would keep others waiting for longer than `[rehearsal] lock_limit`."""
    DESTRUCTIVE = "destructive"
    """Something that was there before is not there afterwards."""
    FAILS = "fails"


class Blocks(StrEnum):
    """Who waits while a lock on a table is held."""

    EVERYBODY = "everybody"
    WRITERS = "writers"


# https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
BLOCKING: dict[str, Blocks] = {
    "AccessExclusiveLock": Blocks.EVERYBODY,
    "ExclusiveLock": Blocks.WRITERS,
    "ShareRowExclusiveLock": Blocks.WRITERS,
    "ShareLock": Blocks.WRITERS,
}
"""The lock modes that keep an application's statements waiting, and which of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnLook:
    """One column at one time."""

    number: int
    """Its place in the table, which survives a new name."""
    name: str
    type: str
    filled: int
    """Rows in which it is not NULL."""
    digest: str | None
    """Of its values, whatever their order; None where digests were not asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableLook:
    """One table at one time."""

    oid: int
    schema: str
    name: str
    filenode: int
    """The file that holds its rows; another one after the table was rewritten."""
    bytes: int
    rows: int
    columns: tuple[ColumnLook, ...]

    @property
    def qualified(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseLook:
    """One database of the clone at one time."""

    name: str
    bytes: int
    tables: tuple[TableLook, ...]
    definitions: tuple[str, ...]
    """Statements of its schema, as pg_dump writes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandRun:
    """One thing that the new version did on the clone."""

    name: str
    """`migrate`, the service that was started, `health` or `smoke`."""
    ok: bool
    seconds: float
    said: str = ""
    """The end of what it printed, where it failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldLock:
    """A lock that others would have waited for."""

    table: str
    mode: str
    blocks: Blocks
    seconds: float
    """For how long it was held on the clone, where nobody else was; sampled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStatement:
    """A statement as the clone's log has it, its values left out."""

    seconds: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a linter holds against a statement."""

    rule: str
    advice: str
    statement: str
    """The part of it that is meant, its values left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """Something that the new version would take away."""

    name: str
    """What it is accepted by: `database.schema.table` or `database.schema.table.column`."""
    what: str
    """`column`, `table`, `rows` or `values`."""
    count: int
    """Rows or values that are gone."""

    def __str__(self) -> str:
        of = {"column": "values", "table": "rows", "rows": "rows", "values": "values"}[self.what]
        kind = f"{self.what} of " if self.what in {"rows", "values"} else f"{self.what} "
        return f"{kind}{self.name} ({self.count:,} {of})"


@dataclass(frozen=True, kw_only=True, slots=True)
class TableChange:
    """A table that is not as it was."""

    table: str
    rows_before: int | None
    """None for a new table."""
    rows_after: int | None
    """None for one that is gone."""
    bytes_before: int
    bytes_after: int
    rewritten: bool
    """Whether all its rows were written anew, which takes its size once more meanwhile."""
    changed: tuple[str, ...] = ()
    """Columns whose content, type or name changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsal:
    """What the new version did to a clone of the data, and the verdict."""

    format: int = FORMAT
    id: str
    backup_id: str
    """What the clone was made from."""
    at: datetime
    verdict: RehearsalVerdict
    summary: str
    """The verdict in one sentence."""
    runs: tuple[CommandRun, ...]
    losses: tuple[Loss, ...]
    locks: tuple[HeldLock, ...]
    """The longest first."""
    statements: tuple[RunStatement, ...]
    """The slowest of them."""
    statement_count: int
    tables: tuple[TableChange, ...]
    difference: tuple[str, ...]
    """First lines of schema statements, `+` for new and `-` for gone ones."""
    growth_bytes: int
    downtime_seconds: float
    """How long an application that stops for it would be away: what the migrations took."""
    clone_seconds: float
    """To restore the clone."""
    total_seconds: float
    clone_bytes: int
    """What the clone took of the disk."""
    started: tuple[str, ...] = ()
    """Services of the new version that were started on the clone and found well."""
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Advice on the statements; no part of the verdict, which rests on what was seen."""
    obstacles: tuple[str, ...] = ()
    """Why the release before could not go on working on what this one leaves; empty where nothing was seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acted:
    """What was run on a clone."""

    runs: tuple[CommandRun, ...]
    started: tuple[str, ...] = ()
    """Services that were started and found well."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RehearsalOrder:
    """What a host is to run on a clone."""

    backup_id: str | None
    """What the clone is made from; the newest backup with None."""
    service: str
    migrate: tuple[str, ...]
    environment: dict[str, str]
    """Given to the new version instead of its own."""
    start: bool
    """Whether the service is started as well."""
    checks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By name, what is run beside the service once it is well, in this order, until one fails."""
    image: str | None = None
    """What the service runs there instead of the image it has by name."""
    image_of_before: str | None = None
    """What is started on what the new version leaves, where the two are to serve beside each other."""


def find_losses(before: Sequence[DatabaseLook], after: Sequence[DatabaseLook]) -> tuple[Loss, ...]:
    """What was there and is not any more: tables, columns, rows, values that became NULL.

    A new name is no loss: tables are recognised by their OID and columns by their number, tables that were made anew
    by their name.
    """
    now = {look.name: look for look in after}
    found: list[Loss] = []
    for look in before:
        there = now.get(look.name)
        for table in look.tables:
            found += _table_losses(look.name, table, _same_table(table, there.tables if there else ()))
    return tuple(found)


def _table_losses(database: str, table: TableLook, now: TableLook | None) -> Iterator[Loss]:
    name = f"{database}.{table.qualified}"
    if now is None:
        yield Loss(name=name, what="table", count=table.rows)
        return
    if now.rows < table.rows:
        yield Loss(name=name, what="rows", count=table.rows - now.rows)
    for column in table.columns:
        found = same_column(column, table, now)
        if found is None:
            yield Loss(name=f"{name}.{column.name}", what="column", count=column.filled)
        # Rows that are gone took their values along, and were counted.
        elif (gone := column.filled - found.filled - max(0, table.rows - now.rows)) > 0:
            yield Loss(name=f"{name}.{column.name}", what="values", count=gone)


def _same_table(table: TableLook, among: Sequence[TableLook]) -> TableLook | None:
    by_oid = next((one for one in among if one.oid == table.oid), None)
    return by_oid or next((one for one in among if one.qualified == table.qualified), None)


def same_column(column: ColumnLook, table: TableLook, now: TableLook) -> ColumnLook | None:
    """The column as it stands afterwards; None where it is gone."""
    if table.oid == now.oid:
        return next((one for one in now.columns if one.number == column.number), None)
    return next((one for one in now.columns if one.name == column.name), None)


def find_changes(before: Sequence[DatabaseLook], after: Sequence[DatabaseLook]) -> tuple[TableChange, ...]:
    """Tables that are not as they were, old ones first."""
    now = {look.name: look for look in after}
    found: list[TableChange] = []
    for look in before:
        left = list(now[look.name].tables) if look.name in now else []
        for table in look.tables:
            same = _same_table(table, left)
            if same is not None:
                left.remove(same)
            change = _change(look.name, table, same)
            found += [change] if change else []
        found += [
            TableChange(table=f"{look.name}.{new.qualified}", rows_before=None, rows_after=new.rows, bytes_before=0,
                        bytes_after=new.bytes, rewritten=False)
            for new in left
        ]  # fmt: skip
    return tuple(found)


def _change(database: str, table: TableLook, now: TableLook | None) -> TableChange | None:
    changed = tuple(_changed_columns(table, now)) if now else ()
    same_file = now is not None and now.filenode == table.filenode
    if now is not None and not changed and same_file and now.rows == table.rows and now.qualified == table.qualified:
        return None
    return TableChange(
        table=f"{database}.{table.qualified}",
        rows_before=table.rows,
        rows_after=now.rows if now else None,
        bytes_before=table.bytes,
        bytes_after=now.bytes if now else 0,
        rewritten=now is not None and not same_file,
        changed=changed,
    )


def _changed_columns(table: TableLook, now: TableLook) -> Iterator[str]:
    for column in table.columns:
        same = same_column(column, table, now)
        if same is None:
            yield f"{column.name} is gone"
        elif same.name != column.name:
            yield f"{column.name} is {same.name}"
        elif same.type != column.type:
            yield f"{column.name} is {same.type}, was {column.type}"
        elif same.digest != column.digest and now.rows == table.rows:
            yield f"{column.name} holds other values"
    known = {same.number for column in table.columns if (same := same_column(column, table, now))}
    for column in now.columns:
        if column.number not in known:
            yield f"{column.name} is new"


def find_difference(before: Sequence[DatabaseLook], after: Sequence[DatabaseLook]) -> tuple[str, ...]:
    """First lines of the schema's statements that stand on one side only."""
    now = {look.name: look for look in after}
    lines: list[str] = []
    for look in before:
        there = now[look.name].definitions if look.name in now else ()
        then, since = set(look.definitions), set(there)
        lines += [f"- {one.splitlines()[0]}" for one in look.definitions if one not in since]
        lines += [f"+ {one.splitlines()[0]}" for one in there if one not in then]
    return tuple(lines)


def judge(
    *, runs: Sequence[CommandRun], losses: Sequence[Loss], locks: Iterable[HeldLock], lock_limit: timedelta
) -> tuple[RehearsalVerdict, str]:
    """The verdict, and the sentence that says why. A failure outweighs a loss, and a loss a wait."""
    failed = next((run for run in runs if not run.ok), None)
    if failed is not None:
        return RehearsalVerdict.FAILS, f"fails: {failed.name}: {_telling_line(failed.said)}"
    if losses:
        return RehearsalVerdict.DESTRUCTIVE, f"destructive: loses {', '.join(str(loss) for loss in losses)}"
    longest = max(locks, key=lambda lock: lock.seconds, default=None)
    if longest is not None and longest.seconds > lock_limit.total_seconds():
        whom = "reading and writing" if longest.blocks is Blocks.EVERYBODY else "writing"
        return (
            RehearsalVerdict.NEEDS_DOWNTIME,
            f"needs downtime of {longest.seconds:.1f} s: {whom} {longest.table} would wait that long",
        )
    return RehearsalVerdict.SAFE, "safe"


def _telling_line(said: str) -> str:
    """The last line that speaks of an error; programs like to add where it was, and what to look at."""
    lines = said.strip().splitlines() or ["it said nothing"]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1])


def not_accepted(rehearsal: Rehearsal, accepted: Sequence[str]) -> tuple[str, ...]:
    """Names that would have to be accepted for this release to go on; none where nothing stands in its way.

    What failed is accepted as `migrate` or by its service's name, a loss by its own name or the end of it, from a dot
    on: `users.email` for `shop.public.users.email`.
    """
    failed = tuple(run.name for run in rehearsal.runs if not run.ok and run.name not in accepted)
    if failed:
        return failed
    names = [loss.name for loss in rehearsal.losses]
    return tuple(name for name in names if not any(name == one or name.endswith(f".{one}") for one in accepted))
