"""Rows of a named query as typed values, whatever the encoding of the names in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from stratum.adapters.queries import query


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogRow:
    """One row. In a SQL_ASCII database psycopg hands text over as bytes: nobody knows its encoding."""

    values: Mapping[str, Any]

    def text(self, column: str) -> str:
        """For people and records: bytes that are not UTF-8 are written in hexadecimal, behind a backslash."""
        value = self.values[column]
        return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)

    def text_or_none(self, column: str) -> str | None:
        return None if self.values[column] is None else self.text(column)

    def sql(self, column: str) -> bytes:
        """SQL the server quoted, byte for byte as it must go back to the server."""
        value = self.values[column]
        return value if isinstance(value, bytes) else str(value).encode()

    def sql_or_none(self, column: str) -> bytes | None:
        return None if self.values[column] is None else self.sql(column)

    def integer(self, column: str) -> int:
        return int(self.values[column])

    def integer_or_none(self, column: str) -> int | None:
        return None if self.values[column] is None else self.integer(column)

    def flag(self, column: str) -> bool:
        return bool(self.values[column])

    def moment(self, column: str) -> datetime:
        value = self.values[column]
        if not isinstance(value, datetime):
            raise TypeError(f"{column} is not a timestamp")
        return value

    @property
    def qualified(self) -> str:
        return f"{self.text('schema')}.{self.text('name')}"


def fetch_rows(
    connection: psycopg.Connection[Any],
    name: str,
    parameters: Mapping[str, Any] | None = None,
    /,
    **fragments: bytes,
) -> list[CatalogRow]:
    """Run a named query and read all its rows; psycopg's own errors pass through."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query(name, **fragments), parameters)
        return [CatalogRow(values=row) for row in cursor]


def fetch_row(
    connection: psycopg.Connection[Any],
    name: str,
    parameters: Mapping[str, Any] | None = None,
    /,
    **fragments: bytes,
) -> CatalogRow:
    """Run a named query that answers with exactly one row."""
    (row,) = fetch_rows(connection, name, parameters, **fragments)
    return row
