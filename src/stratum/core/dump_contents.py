"""Compares what a dump really holds with what its manifest says: which tables have data, and how many rows."""

from __future__ import annotations

from stratum.core.backup import TableFacts
from stratum.core.proof import Check, Verdict, listed

TABLE_DATA = "TABLE DATA "


def compare_contents(tables: tuple[TableFacts, ...], contents: tuple[str, ...], rows: tuple[int, ...]) -> Check:
    """Every table of the manifest has its data in the dump, and as many rows of it.

    `contents` is the dump's table of contents; `rows` are those read from its data, one number for each entry
    of table data, in the same order.
    """
    data = tuple(entry for entry in contents if entry.startswith(TABLE_DATA))
    if len(data) != len(rows):
        return _failed(f"{len(data)} tables have data, and {len(rows)} of them were read to their end")
    missing = [table.qualified for table in tables if not _rows_of(table, data, rows)]
    if missing:
        return _failed(f"no data in the dump for {listed(missing)}")
    wrong = [
        f"{table.qualified}: {table.rows} rows expected, {found[0]} in the dump"
        for table in tables
        if table.rows not in (found := _rows_of(table, data, rows))
    ]
    if wrong:
        return _failed(listed(wrong))
    reason = f"data of {len(tables)} tables present, {sum(table.rows for table in tables)} rows"
    return Check(name="contents", verdict=Verdict.PROVEN, reason=reason)


def _rows_of(table: TableFacts, data: tuple[str, ...], rows: tuple[int, ...]) -> list[int]:
    """Rows of each entry that can be this table's: a blank in a name or an owner leaves more than one."""
    begin = f"{TABLE_DATA}{_as_listed(table.schema)} {_as_listed(table.name)} "
    return [count for entry, count in zip(data, rows, strict=True) if entry.startswith(begin)]


def _as_listed(name: str) -> str:
    """Line breaks in names are written as blanks by `pg_restore --list`."""
    return name.replace("\n", " ").replace("\r", " ")


def _failed(reason: str) -> Check:
    return Check(name="contents", verdict=Verdict.FAILED, reason=reason)
