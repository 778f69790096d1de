"""Looks at a clone's tables column by column, so that a rehearsal can tell what a migration took away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from stratum.adapters.catalog_rows import CatalogRow, fetch_row, fetch_rows
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.queries import query
from stratum.core.rehearsal import ColumnLook, TableLook

_COLUMNS_AT_ONCE = 400
"""A select list holds 1664 entries at most, and each column takes two."""


def observe_clone_tables(endpoint: Endpoint, database: str, *, digest: bool) -> tuple[int, tuple[TableLook, ...]]:
    """Size of the database in bytes, and its tables. Reads every row once; changes nothing.

    Values are hashed as text under pinned settings, so that two looks at the same values agree.
    """
    with psycopg.connect(endpoint.conninfo(database), password=endpoint.password.reveal) as connection:
        connection.execute(query("pin_settings"))
        columns: dict[int, list[CatalogRow]] = {}
        for row in fetch_rows(connection, "clone_columns"):
            columns.setdefault(row.integer("oid"), []).append(row)
        tables = tuple(
            _observe_table(connection, row, columns.get(row.integer("oid"), []), digest=digest)
            for row in fetch_rows(connection, "clone_tables")
        )
        size = fetch_row(connection, "database_size", {"database": database}).integer("pg_database_size")
    return size, tables


def _observe_table(
    connection: psycopg.Connection[Any], row: CatalogRow, columns: Sequence[CatalogRow], *, digest: bool
) -> TableLook:
    looks: list[ColumnLook] = []
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        some = columns[start : start + _COLUMNS_AT_ONCE]
        looks += _observe_columns(connection, row.sql("quoted"), some, digest=digest)
    return TableLook(
        oid=row.integer("oid"),
        schema=row.text("schema"),
        name=row.text("name"),
        filenode=row.integer("filenode"),
        bytes=row.integer("bytes"),
        rows=fetch_row(connection, "clone_rows", table=row.sql("quoted")).integer("rows"),
        columns=tuple(looks),
    )


def _observe_columns(
    connection: psycopg.Connection[Any], table: bytes, columns: Sequence[CatalogRow], *, digest: bool
) -> list[ColumnLook]:
    wanted = []
    for place, column in enumerate(columns):
        name = column.sql("quoted")
        wanted.append(b"count(%s) AS f%d" % (name, place))
        if digest:
            wanted.append(b"sum(hashtextextended(%s::text, 0)::numeric)::text AS d%d" % (name, place))
    found = fetch_row(connection, "clone_column_facts", wanted=b", ".join(wanted), table=table)
    return [
        ColumnLook(
            number=column.integer("number"),
            name=column.text("name"),
            type=column.text("type"),
            filled=found.integer(f"f{place}"),
            digest=(found.text_or_none(f"d{place}") or "0") if digest else None,
        )
        for place, column in enumerate(columns)
    ]
