"""Counts and digests what tables and large objects hold (docs/decisions/0003-digest.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from stratum.adapters.catalog_rows import CatalogRow, fetch_row, fetch_rows
from stratum.core.backup import DigestMode, LargeObjectFacts, TableFacts
from stratum.core.errors import StratumError
from stratum.core.proof import listed

Progress = Callable[[int, int], None]
"""Called with the bytes of the tables read so far and of all tables, indexes and TOAST included."""

_NAMED_AT_MOST = 20


def observe_tables(
    connection: psycopg.Connection[Any], *, mode: DigestMode, progress: Progress | None = None
) -> tuple[TableFacts, ...]:
    """Count the rows of every ordinary table and partition leaf, and digest their content as `mode` asks.

    Content that cannot be digested leaves a reason in `not_digested`. A table whose rows cannot even be
    counted has no facts: every such table is named in one error (`query-failed`) once all others were
    tried, and so is one that was truncated or rewritten after the snapshot was taken, because it reads as
    empty through it. The tables stay locked (ACCESS SHARE) until the transaction ends, so that none can be
    rewritten after that.
    """
    rows = fetch_rows(connection, "observed_tables")
    total, done = sum(row.integer("bytes") for row in rows), 0
    facts: list[TableFacts] = []
    unreadable: list[str] = []
    for row in rows:
        try:
            facts.append(_observe_table(connection, row, mode))
        except psycopg.Error as error:
            unreadable.append(f"{row.qualified}: {reason(connection, error)}")
        done += row.integer("bytes")
        if progress is not None:
            progress(done, total)
    _refuse_unreadable(unreadable + _rewritten(connection))
    return tuple(facts)


def observe_large_objects(connection: psycopg.Connection[Any], *, mode: DigestMode) -> LargeObjectFacts:
    """Count the large objects and digest their OIDs and content.

    Reading them takes a superuser, their owner's rights or `lo_compat_privileges`; without, the reason is in
    `not_digested`.
    """
    count = fetch_row(connection, "count_large_objects").integer("count")
    if mode is DigestMode.COUNTS:
        return LargeObjectFacts(count=count, digest=None)
    sampled = {"sampled": mode is DigestMode.SAMPLED}
    try:
        with connection.transaction():
            digest = fetch_row(connection, "digest_large_objects", sampled).text("digest")
    except psycopg.Error as error:
        return LargeObjectFacts(count=count, digest=None, not_digested=reason(connection, error))
    return LargeObjectFacts(count=count, digest=digest)


def reason(connection: psycopg.Connection[Any], error: psycopg.Error) -> str:
    """What the server said, for a person; an error that ends the whole observation is raised again.

    A lost connection, a cancelled statement or a server that shuts down says nothing about one table.
    """
    ended = isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.OperatorIntervention)
    if ended or connection.broken or connection.closed or error.sqlstate is None:
        raise error
    return f"{error.diag.message_primary} ({error.sqlstate})"


def _observe_table(connection: psycopg.Connection[Any], row: CatalogRow, mode: DigestMode) -> TableFacts:
    if mode is DigestMode.COUNTS:
        return _count(connection, row, not_digested=None)
    try:
        with connection.transaction():
            return _facts(row, _digest(connection, row, mode), not_digested=None)
    except psycopg.Error as error:
        return _count(connection, row, not_digested=reason(connection, error))


def _digest(connection: psycopg.Connection[Any], row: CatalogRow, mode: DigestMode) -> CatalogRow:
    """Without a primary key nothing says which rows a sample should hold, so the whole table is read."""
    fragments = {"relation": row.sql("relation"), "row_hash": row.sql("row_hash")}
    chosen = row.sql_or_none("chosen")
    if mode is DigestMode.SAMPLED and chosen is not None:
        return fetch_row(connection, "digest_sampled", **fragments, chosen=chosen)
    return fetch_row(connection, "digest_full", **fragments)


def _count(connection: psycopg.Connection[Any], row: CatalogRow, *, not_digested: str | None) -> TableFacts:
    with connection.transaction():
        found = fetch_row(connection, "count_rows", relation=row.sql("relation"))
    return _facts(row, found, not_digested=not_digested)


def _facts(row: CatalogRow, found: CatalogRow, *, not_digested: str | None) -> TableFacts:
    return TableFacts(
        schema=row.text("schema"),
        name=row.text("name"),
        rows=found.integer("rows"),
        digest=found.text_or_none("digest"),
        digested_rows=found.integer("digested_rows"),
        not_digested=not_digested,
        bytes=row.integer("bytes"),
    )


def _rewritten(connection: psycopg.Connection[Any]) -> list[str]:
    return [
        f"{row.qualified}: truncated or rewritten after the snapshot was taken"
        for row in fetch_rows(connection, "tables_rewritten")
    ]


def _refuse_unreadable(unreadable: list[str]) -> None:
    if unreadable:
        named = listed(unreadable, most=_NAMED_AT_MOST)
        raise StratumError("query-failed", problem=f"these tables cannot be read: {named}")
