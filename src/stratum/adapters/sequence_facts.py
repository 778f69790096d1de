"""Where each sequence stands, and whether the column it feeds already holds the next value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg

from stratum.adapters.catalog_rows import CatalogRow, fetch_row, fetch_rows
from stratum.core.backup import SequenceFacts


def observe_sequences(connection: psycopg.Connection[Any]) -> tuple[SequenceFacts, ...]:
    """Read every sequence of users. Sequences are outside transactions: what is read is now.

    `behind` is known for columns of integer and numeric types and domains over them. A sequence that feeds no
    such column, or that may cycle, is never behind: wrapping around is what a cycling one is declared to do.
    """
    return tuple(_observe_sequence(connection, row) for row in fetch_rows(connection, "observed_sequences"))


def _observe_sequence(connection: psycopg.Connection[Any], row: CatalogRow) -> SequenceFacts:
    stored, behind = row.sql_or_none("stored"), False
    if stored is None or row.flag("cycles"):
        state = fetch_row(connection, "sequence_state", relation=row.sql("relation"))
    else:
        extreme = b"max" if row.integer("increment") > 0 else b"min"
        fragments = {"relation": row.sql("relation"), "stored": stored, "extreme": extreme}
        state = fetch_row(connection, "sequence_and_column", **fragments)
        behind = _is_behind(connection, row, state, stored)
    return SequenceFacts(
        schema=row.text("schema"),
        name=row.text("name"),
        last_value=state.integer("last_value") if state.flag("is_called") else None,
        table=_fed_table(row),
        column=row.text_or_none("column_name"),
        behind=behind,
    )


def _is_behind(connection: psycopg.Connection[Any], row: CatalogRow, state: CatalogRow, stored: bytes) -> bool:
    """Whether nextval() will come to a value that is stored: at once, or after the steps in between."""
    farthest, increment = state.text_or_none("farthest"), row.integer("increment")
    following = state.integer("last_value") + (increment if state.flag("is_called") else 0)
    if farthest is None:
        return False
    distance = (Decimal(farthest) - following) * (1 if increment > 0 else -1)
    if distance < 0 or abs(increment) == 1:
        return distance >= 0
    beyond = b">=" if increment > 0 else b"<="
    numbers = {"next": b"%d" % following, "increment": b"%d" % abs(increment)}
    return fetch_row(connection, "sequence_collides", stored=stored, beyond=beyond, **numbers).flag("collides")


def _fed_table(row: CatalogRow) -> str | None:
    schema = row.text_or_none("table_schema")
    return None if schema is None else f"{schema}.{row.text('table_name')}"
