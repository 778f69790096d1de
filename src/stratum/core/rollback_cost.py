"""What a rollback costs, as a console shows it: rows by table, and what of today's schema stands against it."""

from __future__ import annotations

from dataclasses import dataclass

from stratum.core.recovery import TableDifference
from stratum.core.release import Release
from stratum.core.schema import ColumnChange

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseCost:
    """One database beside the copy of what that release worked on."""

    database: str
    tables: tuple[TableDifference, ...]
    """Those that differ, the largest change first; "backup" is the copy."""
    rows_lost: int
    """Live rows beyond those of the copy, in tables that have more now."""
    rows_gained: int
    """Rows of the copy beyond the live ones, in tables that have fewer now."""
    added: tuple[ColumnChange, ...]
    """Tables and columns that release does not know."""
    gone: tuple[ColumnChange, ...]
    """What it knew and is gone, or has to be filled by whoever adds a row: it cannot work without."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadMoved:
    """Migrations of one database that stand elsewhere than that release left them; empty where none are known."""

    database: str
    then: str
    now: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackCost:
    """What going back to the release before would cost, before anything is done. Nothing of it was done."""

    format: int = FORMAT
    release: Release
    """Where it leads."""
    with_data: bool
    """Whether the databases of then take the place of the live ones; without, the data stays as it is."""
    refused: bool
    """Whether its code cannot work on the data as it is now, so that the host refuses without the data of then."""
    compared: bool
    """Whether copies of what it worked on were there to compare with; without, `heads` is all that is known."""
    databases: tuple[DatabaseCost, ...]
    """Those that were compared. With the data, those that would be put in place."""
    heads: tuple[HeadMoved, ...]
    """Where nothing was compared: migrations that moved since."""
