"""Compares two schemas as `pg_dump --schema-only` writes them, whatever order their statements stand in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from stratum.core.proof import Check, Verdict, listed

_NOISE = re.compile(r"^(--|SET |REFRESH MATERIALIZED VIEW |SELECT pg_catalog\.set_config|\\restrict|\\unrestrict|$)")

Columns: TypeAlias = Mapping[str, Mapping[str, str]]
"""Tables and views by their name, and of each the type of every column by its name."""
REQUIRED = " not null"
"""Behind the type of a column that whoever adds a row has to fill."""


class ChangeKind(StrEnum):
    """How a table or column of today differs from what a program of then knew."""

    NEW_TABLE = "new-table"
    NEW = "new"
    OTHER_TYPE = "other-type"
    TABLE_GONE = "table-gone"
    GONE = "gone"
    TO_FILL = "to-fill"
    """Every new row has to fill it, and a program of then does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnChange:
    """One difference."""

    kind: ChangeKind
    name: str
    """Schema and table, and of a column its own name behind them."""
    type_now: str = ""
    type_then: str = ""
    """Of a column that has another type."""

    @property
    def text(self) -> str:
        """In words, as the command line says it."""
        return {
            ChangeKind.NEW_TABLE: f"table {self.name}",
            ChangeKind.NEW: self.name,
            ChangeKind.OTHER_TYPE: f"{self.name} ({self.type_now} now, {self.type_then} then)",
            ChangeKind.TABLE_GONE: f"table {self.name} is gone",
            ChangeKind.GONE: f"{self.name} is gone",
            ChangeKind.TO_FILL: f"{self.name} has to be filled",
        }[self.kind]


def compare_schemas(*, dumped: str, restored: str) -> Check:
    """Say whether both define the same objects, and name the first statements that stand on one side only."""
    then, now = Counter(statements(dumped)), Counter(statements(restored))
    missing, added = then - now, now - then
    if missing or added:
        reason = "; ".join(
            f"{word}: {listed((_first_line(s) for s in found), most=3)}"
            for word, found in (("missing", missing), ("added", added))
            if found
        )
        return Check(name="schema", verdict=Verdict.FAILED, reason=reason)
    return Check(name="schema", verdict=Verdict.PROVEN, reason=f"{sum(then.values())} statements equal")


def statements(script: str) -> tuple[str, ...]:
    """The script's blocks, which pg_dump separates by comments, without settings and comments.

    A block may hold semicolons (a function's body), so blocks are compared and never split further.
    """
    blocks: list[list[str]] = [[]]
    for line in script.splitlines():
        if line.startswith("--"):
            blocks.append([])
        elif not _NOISE.match(line):
            blocks[-1].append(line.rstrip())
    return tuple("\n".join(block) for block in blocks if block)


def _first_line(statement: str) -> str:
    return statement.splitlines()[0][:80]


def compare_columns(*, then: Columns, now: Columns) -> tuple[tuple[ColumnChange, ...], tuple[ColumnChange, ...]]:
    """What a program of then does not know of today's schema, and what it cannot work without.

    The second: tables and columns that are gone, also under a new name, and columns that every new row has to fill.
    """
    unknown = [ColumnChange(kind=ChangeKind.NEW_TABLE, name=table) for table in now if table not in then]
    breaking = [ColumnChange(kind=ChangeKind.TABLE_GONE, name=table) for table in then if table not in now]
    for table in (table for table in then if table in now):
        known, there = then[table], now[table]
        breaking += [ColumnChange(kind=ChangeKind.GONE, name=f"{table}.{name}") for name in known if name not in there]
        for name, kind in there.items():
            column = f"{table}.{name}"
            if kind.endswith(REQUIRED) and not known.get(name, "").endswith(REQUIRED):
                breaking.append(ColumnChange(kind=ChangeKind.TO_FILL, name=column))
            elif name not in known:
                unknown.append(ColumnChange(kind=ChangeKind.NEW, name=column))
            elif kind.removesuffix(REQUIRED) != known[name].removesuffix(REQUIRED):
                other = ColumnChange(kind=ChangeKind.OTHER_TYPE, name=column, type_now=kind, type_then=known[name])
                unknown.append(other)
    return tuple(unknown), tuple(breaking)
