"""Undo copies: what the databases held when the application was stopped, kept beside for the way back of an update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stratum.core.answers import UndoCopyAnswer
from stratum.core.backup import DigestMode
from stratum.core.errors import StratumError
from stratum.core.recovery import Difference, difference
from stratum.core.schema import ColumnChange, compare_columns
from stratum.engine.restore import name_beside
from stratum.engine.show_difference import render_difference
from stratum.engine.take_dump import space_guard
from stratum.engine.tripwire import record_identity, refuse_look_alike
from stratum.ports import Ports, Role, SwapNames


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """A live database beside its copy."""

    database: str
    rows: Difference
    added: tuple[ColumnChange, ...]
    """What the live schema has more."""
    gone: tuple[ColumnChange, ...]
    """What it lacks, or wants filled."""


def make_undo_copies(ports: Ports, label: str) -> UndoCopyAnswer:
    """Copy every guarded database beside itself, at the speed of files. Sessions on them are ended first.

    One that is there from a cut try is made anew. Raises the tripwire's errors and `disk-too-small`.
    """
    refuse_look_alike(ports)
    database = ports.runtime.server(Role.MAINTENANCE).database
    see_room(ports)
    for name in _present(ports):
        copy = copy_name(name, label)
        database.drop_database(copy)
        database.copy_database(name, copy)
        try:
            database.apply_properties(copy, database.observe_properties(name))
        except StratumError:
            # The way back puts every copy in place that is there, and this one lacks grants and settings.
            database.drop_database(copy)
            raise
        database.allow_connections(copy, allowed=False)
    return UndoCopyAnswer(databases=_present(ports), heads=observe_heads(ports))


def see_room(ports: Ports) -> UndoCopyAnswer:
    """Whether the copies have room; asked also while the application still serves. Raises `disk-too-small`."""
    database = ports.runtime.server(Role.MAINTENANCE).database
    needed = sum(database.observe_size(name) for name in _present(ports))
    space = space_guard(what="the undo copy", needed=needed, free=ports.runtime.free_bytes(), where="the data volume")
    if not space.holds:
        raise StratumError(space.code, **space.details)
    return UndoCopyAnswer(databases=_present(ports), heads=observe_heads(ports))


def swap_undo_copies(ports: Ports, label: str, *, databases: Sequence[str], forward: bool = False) -> UndoCopyAnswer:
    """Put the copies in place; what they replace is kept as `…__taken_back_…`, and `forward` puts that back.

    Without names every guarded database is meant. One that is swapped already stays as it is. What a copy that was cut
    had closed to everybody is open again.
    """
    database = ports.runtime.server(Role.MAINTENANCE).database
    for name in databases or _present(ports):
        database.allow_connections(name, allowed=True)
    for name in databases or ports.stack.databases:
        copy, kept = copy_name(name, label), taken_back_name(name, label)
        beside, aside = (kept, copy) if forward else (copy, kept)
        if beside in database.database_oids():
            database.swap_databases(SwapNames(live=name, beside=beside, kept=aside))
            database.allow_connections(aside, allowed=False)
    record_identity(ports)
    return UndoCopyAnswer(databases=_present(ports), heads=observe_heads(ports))


def show_cost(
    ports: Ports, label: str, *, databases: Sequence[str], forward: bool = False, counts: bool = False
) -> UndoCopyAnswer:
    """What putting the copies in place would change, row by row, and how the live schema differs; reads only.

    `forward` compares with what a way back had set aside; with `counts` rows are counted and no value is compared.
    Raises `no-undo-copy`.
    """
    lines: list[str] = []
    added: list[str] = []
    gone: list[str] = []
    for found in compare_copies(ports, label, databases=databases, forward=forward, counts=counts):
        lines += [f"{found.database}:", *render_difference(found.rows)]
        added += [f"{found.database}.{one.text}" for one in found.added]
        gone += [f"{found.database}.{one.text}" for one in found.gone]
    return UndoCopyAnswer(
        databases=_present(ports), heads=observe_heads(ports), cost=tuple(lines), added=tuple(added), gone=tuple(gone)
    )


def compare_copies(
    ports: Ports,
    label: str,
    *,
    databases: Sequence[str],
    forward: bool,
    counts: bool,
    seconds: float | None = None,
) -> tuple[Compared, ...]:
    """Each database beside its copy, for `show_cost` and for who shows it otherwise; reads only.

    With `seconds` looking is given up after so many in sum. Raises `no-undo-copy` and `not-counted-in-time`.
    """
    mode = DigestMode.COUNTS if counts else ports.stack.backup.digest
    until = None if seconds is None else ports.clock.monotonic() + seconds
    found: list[Compared] = []
    for name in databases or _present(ports):
        copy = (taken_back_name if forward else copy_name)(name, label)
        if copy not in ports.runtime.server(Role.MAINTENANCE).database.database_oids():
            raise StratumError("no-undo-copy", database=name, label=label)
        found.append(_compare(ports, name, copy, mode, until))
    return tuple(found)


def _compare(ports: Ports, name: str, copy: str, mode: DigestMode, until: float | None) -> Compared:
    database = ports.runtime.server(Role.MAINTENANCE).database

    def left() -> float | None:
        return None if until is None else max(0.0, until - ports.clock.monotonic())

    database.allow_connections(copy, allowed=True)
    try:
        then, columns = database.observe_facts(copy, mode, seconds=left()), database.columns(copy)
    finally:
        database.allow_connections(copy, allowed=False)
    live = database.observe_facts(name, mode, seconds=left())
    added, gone = compare_columns(then=columns, now=database.columns(name))
    return Compared(database=name, rows=difference(live=live, backup=then), added=added, gone=gone)


def drop_undo_copies(ports: Ports, label: str) -> UndoCopyAnswer:
    """Remove the copies of one update, and what a way back had kept. Those that are gone are no error."""
    database = ports.runtime.server(Role.MAINTENANCE).database
    for name in ports.stack.databases:
        for copy in (copy_name(name, label), taken_back_name(name, label)):
            database.drop_database(copy)
    return UndoCopyAnswer(databases=_present(ports), heads=observe_heads(ports))


def copy_name(database: str, label: str) -> str:
    """What a database's copy of one update is called."""
    return name_beside(database, "before_update", label)


def taken_back_name(database: str, label: str) -> str:
    """What a database that a copy replaced is kept as."""
    return name_beside(database, "taken_back", label)


def observe_heads(ports: Ports) -> dict[str, str]:
    """Where the migrations of each database stand; empty for one that no known tool keeps."""
    database = ports.runtime.server(Role.BACKUP).database
    return {name: database.observe_migration_head(name) for name in _present(ports)}


def _present(ports: Ports) -> tuple[str, ...]:
    there = ports.runtime.server(Role.MAINTENANCE).database.database_oids()
    return tuple(name for name in ports.stack.databases if name in there)
