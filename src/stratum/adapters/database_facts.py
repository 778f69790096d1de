"""Observes everything a proof compares: what one database holds, read inside one snapshot."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from stratum.adapters.catalog_rows import fetch_row, fetch_rows
from stratum.adapters.migration_heads import observe_migrations
from stratum.adapters.sequence_facts import observe_sequences
from stratum.adapters.table_digests import Progress, observe_large_objects, observe_tables
from stratum.core.backup import (
    DatabaseFacts,
    DatabaseProperties,
    DigestMode,
    ExtensionFacts,
    GrantFacts,
    SettingFacts,
)

_STEADY_ISOLATION = ("repeatable read", "serializable")


def observe_database_facts(
    connection: psycopg.Connection[Any],
    *,
    mode: DigestMode,
    progress: Progress | None = None,
    snapshot_at: datetime | None = None,
) -> DatabaseFacts:
    """Read everything a proof compares; changes nothing, and leaves the transaction open to the caller.

    The connection must be in a REPEATABLE READ (READ ONLY) transaction: its own, or one that imported a
    snapshot (https://www.postgresql.org/docs/current/sql-set-transaction.html). For an imported one, pass
    as `snapshot_at` when it was taken: by default the facts bear this transaction's start, which is later
    than an imported snapshot.

    The settings that shape the text of a value are pinned until the transaction ends. Tables stay locked
    (ACCESS SHARE) as long. Content that cannot be digested is named with its reason; rows that cannot be
    counted raise `query-failed` with the name of every such table. ValueError when the transaction holds no
    steady snapshot.
    """
    pin_settings(connection)
    state = fetch_row(connection, "transaction_state")
    if state.text("isolation") not in _STEADY_ISOLATION:
        raise ValueError(f"facts need one snapshot, and the transaction is {state.text('isolation')}")
    unread = fetch_rows(connection, "observed_unread_relations")
    return DatabaseFacts(
        properties=observe_properties(connection),
        snapshot=state.text("snapshot"),
        snapshot_at=snapshot_at or state.moment("began_at"),
        digest_mode=mode,
        tables=observe_tables(connection, mode=mode, progress=progress),
        sequences=observe_sequences(connection),
        extensions=_observe_extensions(connection),
        large_objects=observe_large_objects(connection, mode=mode),
        materialized_views=tuple(row.qualified for row in unread if row.text("kind") == "m"),
        foreign_tables=tuple(row.qualified for row in unread if row.text("kind") == "f"),
        collations=_observe_collations(connection),
        invalid_indexes=tuple(row.qualified for row in fetch_rows(connection, "observed_invalid_indexes")),
        migrations=observe_migrations(connection),
        size_bytes=state.integer("size_bytes"),
    )


def pin_settings(connection: psycopg.Connection[Any]) -> None:
    """Set, until the transaction ends, every setting that a value's text form or the rows seen depend on."""
    fetch_row(connection, "pin_settings")


def observe_properties(connection: psycopg.Connection[Any]) -> DatabaseProperties:
    """How to create this database again as it was; works on every major from 14 on."""
    row = fetch_row(connection, "database_properties")
    return DatabaseProperties(
        name=row.text("name"),
        oid=row.integer("oid"),
        owner=row.text("owner"),
        encoding=row.text("encoding"),
        locale_provider=row.text("locale_provider"),
        collate=row.text("collate"),
        ctype=row.text("ctype"),
        locale=row.text_or_none("locale"),
        icu_rules=row.text_or_none("icu_rules"),
        collation_version=row.text_or_none("collation_version"),
        connection_limit=row.integer("connection_limit"),
        comment=row.text_or_none("comment"),
        grants=_observe_grants(connection) if row.flag("has_grants") else None,
        settings=_observe_settings(connection),
    )


def _observe_grants(connection: psycopg.Connection[Any]) -> tuple[GrantFacts, ...]:
    return tuple(
        GrantFacts(
            grantee=row.text_or_none("grantee"),
            privilege=row.text("privilege"),
            grantable=row.flag("grantable"),
        )
        for row in fetch_rows(connection, "database_grants")
    )


def _observe_settings(connection: psycopg.Connection[Any]) -> tuple[SettingFacts, ...]:
    found: list[SettingFacts] = []
    for row in fetch_rows(connection, "database_settings"):
        name, _, value = row.text("setting").partition("=")
        found.append(SettingFacts(role=row.text_or_none("role"), name=name, value=value))
    return tuple(found)


def _observe_extensions(connection: psycopg.Connection[Any]) -> tuple[ExtensionFacts, ...]:
    return tuple(
        ExtensionFacts(name=row.text("name"), version=row.text("version"), schema=row.text("schema"))
        for row in fetch_rows(connection, "observed_extensions")
    )


def _observe_collations(connection: psycopg.Connection[Any]) -> dict[str, str]:
    rows = fetch_rows(connection, "observed_collations")
    return {row.qualified: row.text("version") for row in rows}


def observe_columns(connection: psycopg.Connection[Any]) -> dict[str, dict[str, str]]:
    """Every table and view of users, and the type of each of its columns."""
    found: dict[str, dict[str, str]] = {}
    for row in fetch_rows(connection, "columns"):
        found.setdefault(row.text("relation"), {})[row.text("name")] = row.text("type")
    return found
