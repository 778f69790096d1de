"""A difference between two databases in lines a tired person can read."""

from __future__ import annotations

from stratum.core.recovery import Difference, TableDifference

_MOST_TABLES = 20


def render_difference(found: Difference) -> tuple[str, ...]:
    """What swapping would change: totals first, then the tables that differ, the largest change first."""
    changed = sorted(found.changed, key=_weight, reverse=True)
    if not changed:
        return ("the live database holds exactly the same rows",)
    head = (
        f"{len(changed)} of {len(found.tables)} tables differ: "
        f"{found.rows_lost} live rows beyond the backup, {found.rows_gained} rows come back"
    )
    lines = [_line(table) for table in changed[:_MOST_TABLES]]
    rest = len(changed) - _MOST_TABLES
    return (head, *lines, *((f"  … and {rest} more tables",) if rest > 0 else ()))


def render_written(found: Difference) -> tuple[str, ...]:
    """What was written to the live database since another time, the largest change first."""
    changed = sorted(found.changed, key=_weight, reverse=True)
    if not changed:
        return ("nothing was written since the swap",)
    rest = len(changed) - _MOST_TABLES
    return (
        "written since the swap (kept, not deleted):",
        *(_written(table) for table in changed[:_MOST_TABLES]),
        *((f"  … and {rest} more tables",) if rest > 0 else ()),
    )


def _written(table: TableDifference) -> str:
    if table.rows_live is None:
        return f"  {table.table}: dropped since, {table.rows_backup} rows"
    if table.rows_backup is None:
        return f"  {table.table}: new since, {table.rows_live} rows"
    change = table.rows_live - table.rows_backup
    content = "" if change else ", other content"
    return f"  {table.table}: {table.rows_backup} rows then, {table.rows_live} now ({change:+d}{content})"


def _line(table: TableDifference) -> str:
    if table.rows_live is None:
        return f"  {table.table}: missing now, comes back with {table.rows_backup} rows"
    if table.rows_backup is None:
        return f"  {table.table}: not in the backup, its {table.rows_live} rows go"
    change = table.rows_backup - table.rows_live
    content = "" if change else ", other content"
    return f"  {table.table}: {table.rows_live} rows now, {table.rows_backup} after ({change:+d}{content})"


def _weight(table: TableDifference) -> int:
    return abs((table.rows_live or 0) - (table.rows_backup or 0))
