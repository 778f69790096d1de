"""What going back to the release before would cost, for who cannot do it: asked where the data is, not on the host."""

from __future__ import annotations

from stratum.core.rollback_cost import DatabaseCost, RollbackCost
from stratum.core.way_back import Way, find_way
from stratum.engine.roll_back_cost import databases_to_move, heads_moved
from stratum.engine.undo_copy import Compared, compare_copies, observe_heads
from stratum.ports import Ports


def report_rollback_cost(ports: Ports, *, with_data: bool, seconds: float) -> RollbackCost:
    """What `stratum rollback` would say of its cost, counted now; reads only, and gives up after `seconds`.

    For the code alone rows are counted and no value is compared. The copies are opened for the time of the look,
    so the stack's lock is held. Whether the images are kept only the host sees. Raises `locked`,
    `nothing-to-roll-back`, `data-not-beside`, `no-undo-copy` and `not-counted-in-time`.
    """
    with ports.lock.hold(why="what a rollback would cost"):
        way = find_way(ports.journal.entries(), None, with_data=with_data)
        heads = observe_heads(ports)
        found = _compare(ports, way, heads, with_data=with_data, seconds=seconds)
    return RollbackCost(
        release=way.target,
        with_data=with_data,
        refused=not with_data and any(one.gone for one in found),
        compared=way.update is not None,
        databases=tuple(map(_cost, found)),
        heads=() if way.update else heads_moved(way.target, heads),
    )


def _compare(ports: Ports, way: Way, heads: dict[str, str], *, with_data: bool, seconds: float) -> tuple[Compared, ...]:
    if way.update is None:
        return ()
    databases = databases_to_move(ports, way.update, heads) if with_data else ()
    return compare_copies(
        ports, way.update.label, databases=databases, forward=way.forward, counts=not with_data, seconds=seconds
    )


def _cost(found: Compared) -> DatabaseCost:
    changed = sorted(
        found.rows.changed, key=lambda table: abs((table.rows_live or 0) - (table.rows_backup or 0)), reverse=True
    )
    return DatabaseCost(
        database=found.database,
        tables=tuple(changed),
        rows_lost=found.rows.rows_lost,
        rows_gained=found.rows.rows_gained,
        added=found.added,
        gone=found.gone,
    )
