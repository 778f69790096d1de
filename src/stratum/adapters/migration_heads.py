"""Recognises migration tools by the table each keeps, and reads where it says the schema stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from stratum.adapters.catalog_rows import CatalogRow, fetch_row, fetch_rows
from stratum.adapters.table_digests import reason
from stratum.core.backup import MigrationHead


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """A tool's table: its name may be anybody's, its name and columns together are not."""

    tool: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    version: str | None = None
    """The column that names a migration, for plain tables."""


_PLAIN_TABLES = ("schema_migrations", "pgmigrations", "knex_migrations", "SequelizeMeta", "_sqlx_migrations",
                 "__diesel_schema_migrations")  # fmt: skip
_SHAPES = (
    _Shape(tool="alembic", tables=("alembic_version",), columns=("version_num",)),
    _Shape(
        tool="prisma",
        tables=("_prisma_migrations",),
        columns=("migration_name", "finished_at", "rolled_back_at"),
    ),
    _Shape(tool="django", tables=("django_migrations",), columns=("id", "app", "name")),
    _Shape(
        tool="flyway",
        tables=("flyway_schema_history", "schema_version"),
        columns=("installed_rank", "version", "type", "success"),
    ),
    _Shape(tool="plain", tables=(*_PLAIN_TABLES, "migrations"), columns=("version",), version="version"),
    _Shape(tool="plain", tables=("migrations",), columns=("migration", "batch"), version="migration"),
    _Shape(tool="plain", tables=("migrations",), columns=("timestamp", "name"), version="name"),
    _Shape(tool="plain", tables=_PLAIN_TABLES, columns=("name",), version="name"),
)
"""The first shape that fits counts. `migrations` alone may be about birds, so it must have more to show."""


def observe_migrations(connection: psycopg.Connection[Any]) -> tuple[MigrationHead, ...]:
    """The head of every migration tool found, in whatever schema its table is.

    A table that looks like a tool's but cannot be read that way is not taken for one: its rows are counted
    and digested like any table's.
    """
    heads = (_observe_head(connection, row) for row in fetch_rows(connection, "migration_tables"))
    return tuple(head for head in heads if head is not None)


def _observe_head(connection: psycopg.Connection[Any], row: CatalogRow) -> MigrationHead | None:
    shape = _recognised(row)
    if shape is None:
        return None
    fragments = {"relation": row.sql("relation")}
    if shape.version is not None:
        fragments["version"] = shape.version.encode()
    try:
        with connection.transaction():
            found = fetch_row(connection, f"migration_head_{shape.tool}", **fragments)
    except psycopg.Error as error:
        reason(connection, error)
        return None
    return MigrationHead(
        tool=shape.tool,
        table=row.qualified,
        head=found.text_or_none("head") or "",
        applied=found.integer_or_none("applied"),
    )


def _recognised(row: CatalogRow) -> _Shape | None:
    name, columns = row.text("name"), set((row.text_or_none("columns") or "").split())
    return next((s for s in _SHAPES if name in s.tables and columns.issuperset(s.columns)), None)
