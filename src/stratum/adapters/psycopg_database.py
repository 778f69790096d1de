"""One PostgreSQL server through psycopg: identity, snapshots, and the switch from one database to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from stratum.adapters.bounded_look import looking
from stratum.adapters.catalog_rows import fetch_row, fetch_rows
from stratum.adapters.database_copy import copy_files
from stratum.adapters.database_facts import observe_columns, observe_database_facts, observe_properties
from stratum.adapters.database_sessions import Connection, allow, drain, hold_newcomers, maintenance
from stratum.adapters.database_statements import (
    create_statement,
    leave_parent,
    property_statements,
    rename,
    set_schema,
    setting_statement,
)
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.migration_heads import observe_migrations
from stratum.adapters.queries import query
from stratum.adapters.server_rights import observe_rights
from stratum.adapters.server_start import answers
from stratum.core.adoption import ServerRights
from stratum.core.backup import DatabaseFacts, DatabaseProperties, DigestMode, RoleFacts
from stratum.core.errors import StratumError
from stratum.core.identity import DatabaseIdentity, Identity
from stratum.core.proof import Check, Verdict, listed
from stratum.ports import ServerHealth, Snapshot, SwapNames, TablePlacement

_CONNECT_SECONDS = 10
_CANARY = ("postgres", "stratum.canary")


@dataclass(frozen=True, kw_only=True, slots=True)
class PsycopgSnapshot:
    """An exported snapshot; the transaction that keeps it open holds no lock on any table.

    The facts are read by a transaction of their own, which ends before a tool begins. Were its locks still
    held then, an ALTER TABLE queued behind them would hold up the tool, and the tool our end: a wait in a
    circle that runs through two clients, so that no server can see it.
    """

    name: str
    taken_at: datetime
    connect: Callable[[], AbstractContextManager[Connection]]

    def observe_facts(self, mode: DigestMode, progress: Callable[[int, int], None] | None = None) -> DatabaseFacts:
        with self.connect() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self.name)))
            return observe_database_facts(connection, mode=mode, progress=progress, snapshot_at=self.taken_at)


class PsycopgDatabase:
    """A server, connected to in one role. Every failure becomes one of Stratum's own errors."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def server_version_num(self) -> int:
        with self._connected("postgres") as connection:
            return int(str(self._one(connection, "server_version_num")))

    def observe_health(self) -> ServerHealth:
        with self._connected("postgres") as connection:
            checksums, clock_at, failures = self._rows(connection, "server_health")[0]
        return ServerHealth(data_checksums=checksums, clock_at=clock_at, checksum_failures=failures)

    def observe_rights(self, databases: Sequence[str]) -> ServerRights:
        """What Stratum's roles lack here for their verbs."""
        return observe_rights(self._connected, databases)

    def observe_identity(self, databases: Sequence[str]) -> Identity:
        """The cluster's identity now; only `databases` that exist are looked into."""
        with self._connected("postgres") as connection:
            identifier, timeline, lsn, version = self._rows(connection, "cluster_identity")[0]
            oids = dict(self._rows(connection, "databases"))
            collations = dict(self._rows(connection, "collation_versions")) if version >= 150000 else {}
        return Identity(
            system_identifier=identifier,
            timeline=timeline,
            flushed_lsn=lsn,
            server_version_num=version,
            databases=tuple(
                DatabaseIdentity(name=name, oid=oids[name], has_rows=self._has_rows(name))
                for name in databases
                if name in oids
            ),
            collation_versions={name: collations[name] for name in databases if name in collations},
        )

    def bootstrap_role(self) -> str:
        with self._connected("postgres") as connection:
            return str(self._one(connection, "bootstrap_role"))

    def is_superuser(self) -> bool:
        """Whether whoever connects here may do everything."""
        with self._connected("postgres") as connection:
            return bool(self._one(connection, "is_superuser"))

    def roles(self) -> tuple[RoleFacts, ...]:
        with self._connected("postgres") as connection:
            rows = self._rows(connection, "roles")
        return tuple(RoleFacts(name=name, can_login=login, superuser=superuser) for name, login, superuser in rows)

    def database_oids(self) -> dict[str, int]:
        with self._connected("postgres") as connection:
            return dict(self._rows(connection, "databases"))

    @contextmanager
    def snapshot(self, database: str) -> Iterator[Snapshot]:
        """Export a snapshot, and keep it valid while the block runs.

        (https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION)
        """
        with self._connected(database) as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            row = fetch_row(connection, "export_snapshot")
            yield PsycopgSnapshot(
                name=row.text("name"), taken_at=row.moment("taken_at"), connect=lambda: self._connected(database)
            )

    def observe_facts(self, database: str, mode: DigestMode, *, seconds: float | None = None) -> DatabaseFacts:
        with self._connected(database) as connection, looking(connection, seconds=seconds):
            return observe_database_facts(connection, mode=mode)

    def observe_properties(self, database: str) -> DatabaseProperties:
        """How a database was made: what its own dump does not hold."""
        with self._connected(database) as connection:
            return observe_properties(connection)

    def create_database(self, name: str, properties: DatabaseProperties) -> int:
        """Create an empty database as `properties` describe it; returns its OID."""
        version = self.server_version_num()
        with self._connected("postgres") as connection:
            connection.execute(create_statement(name, properties, version))
            return int(dict(self._rows(connection, "databases"))[name])

    def observe_size(self, database: str) -> int:
        """Bytes of its files."""
        with self._connected("postgres") as connection:
            return int(self._rows(connection, "database_size", database=database)[0][0])

    def copy_database(self, name: str, copy: str) -> None:
        """Copy a database beside itself file by file; its sessions are ended, and none may begin meanwhile.

        It belongs to the same role. Grants and settings of the database itself stay behind: see `apply_properties`.
        (https://www.postgresql.org/docs/current/sql-createdatabase.html, TEMPLATE and STRATEGY)
        """
        owner, version = self.observe_properties(name).owner, self.server_version_num()
        with self._connected(maintenance(name)) as connection:
            try:
                allow(connection, name, allowed=False)
                drain(connection, [name])
                copy_files(connection, name, copy, owner=owner, version_num=version)
            finally:
                allow(connection, name, allowed=True)

    def observe_migration_head(self, database: str) -> str:
        """Where its migrations stand, as `alembic 0001`; empty when no known tool keeps any."""
        with self._connected(database) as connection:
            return ", ".join(f"{found.tool} {found.head}" for found in observe_migrations(connection))

    def apply_properties(self, name: str, properties: DatabaseProperties) -> None:
        """Give a database the grants, settings, limit and comment that `pg_restore` without `-C` loses."""
        with self._connected("postgres") as connection, connection.transaction():
            for statement in property_statements(name, properties):
                connection.execute(statement)
            for setting in properties.settings:
                connection.execute(setting_statement(name, setting))

    def drop_database(self, name: str) -> None:
        """Remove a database for good. One that is gone already is no error."""
        with self._connected(maintenance(name)) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def swap_databases(self, names: SwapNames) -> None:
        """Put `beside` in place of `live`, and keep what was live as `kept`.

        New connections are refused, sessions ended, then both renames happen in one transaction: there is no
        moment without a database of the live name. Raises `swap-blocked` after letting connections in again.
        A swap that already happened is left as it is.
        """
        oids = self.database_oids()
        if names.beside not in oids:
            if names.live in oids:
                self.allow_connections(names.live, allowed=True)
            return
        present = [name for name in (names.live, names.beside) if name in oids]
        with self._connected(maintenance(*present)) as connection:
            try:
                for name in present:
                    allow(connection, name, allowed=False)
                drain(connection, present)
                with connection.transaction():
                    if self._one(connection, "is_superuser"):
                        hold_newcomers(connection)
                    if names.live in oids:
                        connection.execute(rename(names.live, names.kept))
                    connection.execute(rename(names.beside, names.live))
                    # In the same transaction: killed at any moment, the live database is never left closed.
                    allow(connection, names.live, allowed=True)
            except BaseException:
                for name in set(present) & dict(self._rows(connection, "databases")).keys():
                    allow(connection, name, allowed=True)
                raise

    def allow_connections(self, database: str, *, allowed: bool) -> None:
        with self._connected(maintenance(database)) as connection:
            allow(connection, database, allowed=allowed)

    def swap_obstacles(self, database: str) -> tuple[str, ...]:
        with self._connected("postgres") as connection:
            return tuple(row[0] for row in self._rows(connection, "swap_obstacles", database=database))

    def does_not_follow(self, database: str) -> tuple[str, ...]:
        """What stays behind, or needs a look, when another database takes this one's name."""
        with self._connected("postgres") as connection:
            found = [row[0] for row in self._rows(connection, "logical_slots", database=database)]
            found += [row[0] for row in self._rows(connection, "subscriptions", database=database)]
            if self._one(connection, "has_cron"):
                found += [row[0] for row in self._rows(connection, "cron_jobs", database=database)]
        return tuple(found)

    def run_smoke(self, database: str, statements: Sequence[str]) -> tuple[Check, ...]:
        """Ask the stack's own questions: each must answer a row whose first value is neither false nor NULL."""
        return tuple(self._smoke(database, number, text) for number, text in enumerate(statements, start=1))

    def check_collations(self, database: str) -> Check:
        """Whether text sorts here as it did when its indexes were built."""
        version = self.server_version_num()
        with self._connected(database) as connection:
            wrong = [row[0] for row in self._rows(connection, "collation_mismatches")]
            if version >= 150000:
                wrong += [row[0] for row in self._rows(connection, "database_collation_mismatch")]
        if wrong:
            return Check(name="collations", verdict=Verdict.FAILED, reason=listed(wrong))
        return Check(name="collations", verdict=Verdict.PROVEN, reason="every version is this system's")

    def columns(self, database: str) -> dict[str, dict[str, str]]:
        with self._connected(database) as connection:
            return observe_columns(connection)

    def schemas(self, database: str) -> tuple[str, ...]:
        with self._connected(database) as connection:
            return tuple(row[0] for row in self._rows(connection, "schemas"))

    def table_exists(self, database: str, table: tuple[str, str]) -> bool:
        with self._connected(database) as connection:
            return bool(self._one(connection, "table_exists", schema=table[0], table=table[1]))

    def table_dependents(self, database: str, table: tuple[str, str]) -> tuple[str, ...]:
        """What refers to a table by identity and not by name, in words."""
        with self._connected(database) as connection:
            return tuple(row[0] for row in self._rows(connection, "table_dependents", schema=table[0], table=table[1]))

    def outbound_definitions(self, database: str, table: tuple[str, str]) -> tuple[str, ...]:
        """The table's own foreign keys and triggers, as statements."""
        with self._connected(database) as connection:
            rows = self._rows(connection, "outbound_definitions", schema=table[0], table=table[1])
        return tuple(row[0] for row in rows)

    def table_family(self, database: str, table: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        """The table and its partitions, the table first; empty when it does not exist."""
        with self._connected(database) as connection:
            rows = self._rows(connection, "table_family", schema=table[0], table=table[1])
        return tuple((schema, name) for schema, name in rows)

    def move_tables(self, database: str, tables: Sequence[tuple[str, str]], *, into_schema: str) -> None:
        """Move tables, with their indexes and owned sequences, to a schema that is made for them.

        They are taken out of parents that stay behind: as parts of those their rows would be live.
        """
        with self._connected(database) as connection, connection.transaction():
            self._make_schema(connection, into_schema, like=tables[0])
            for schema, name in tables:
                for parent_schema, parent, is_partition in self._rows(connection, "parents", schema=schema, table=name):
                    if (parent_schema, parent) not in tables and parent_schema != into_schema:
                        connection.execute(leave_parent((schema, name), (parent_schema, parent), is_partition))
                connection.execute(set_schema(schema, name, into_schema))

    def put_table_in_place(self, database: str, placement: TablePlacement) -> None:
        """Put a restored table under its own name again, keeping what stood there; all in one transaction."""
        schema, name = placement.table
        old = self.table_family(database, placement.table)
        new = self.table_family(database, (placement.from_schema, name))
        with self._connected(database) as connection, connection.transaction():
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
            if old:
                self._make_schema(connection, placement.kept_schema, like=old[0])
            for old_schema, old_name in old:
                connection.execute(set_schema(old_schema, old_name, placement.kept_schema))
            for new_schema, new_name in new:
                connection.execute(set_schema(new_schema, new_name, schema))
            for statement in placement.completing:
                connection.execute(statement.encode())

    def _make_schema(self, connection: Connection, schema: str, *, like: tuple[str, str]) -> None:
        """A schema that belongs to a table's owner, who then can read what is put there, dump it and drop it."""
        owner = self._rows(connection, "table_owner", schema=like[0], table=like[1])[0][0]
        statement = sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}")
        connection.execute(statement.format(sql.Identifier(schema), sql.Identifier(owner)))

    def drop_schema(self, database: str, schema: str) -> None:
        """Remove a schema with all in it, for good. One that is gone already is no error."""
        with self._connected(database) as connection:
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))

    @contextmanager
    def _connected(self, database: str) -> Iterator[Connection]:
        """An autocommit connection; statements that fail become `query-failed` or `not-enough-roles`."""
        connection = self._connect(database)
        try:
            yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            raise StratumError("not-enough-roles", role=self._endpoint.user, problem=_primary(error)) from None
        except psycopg.OperationalError as error:
            where = f"{self._endpoint.host}:{self._endpoint.port}"
            raise StratumError("unreachable-server", where=where, problem=_primary(error)) from None
        except psycopg.Error as error:
            raise StratumError("query-failed", problem=_primary(error)) from None
        finally:
            connection.close()

    def _connect(self, database: str) -> Connection:
        try:
            return psycopg.connect(
                self._endpoint.conninfo(database),
                password=self._endpoint.password.reveal,
                connect_timeout=_CONNECT_SECONDS,
                application_name="stratum",
                autocommit=True,
            )
        except psycopg.Error as error:
            raise self._refusal(database, error) from None

    def _refusal(self, database: str, error: psycopg.Error) -> StratumError:
        """Libpq gives no SQLSTATE for a refused connection, so ask what can be asked without its words."""
        where = f"{self._endpoint.host}:{self._endpoint.port}"
        connection = error.pgconn
        asked = answers(self._endpoint) and connection is not None and connection.used_password
        if asked and (database == "postgres" or not self._may_connect("postgres")):
            return StratumError("wrong-password", where=where, role=self._endpoint.user)
        return StratumError("unreachable-server", where=where, problem=_primary(error))

    def _may_connect(self, database: str) -> bool:
        try:
            psycopg.connect(self._endpoint.conninfo(database), password=self._endpoint.password.reveal).close()
        except psycopg.Error:
            return False
        return True

    def _rows(self, connection: Connection, name: str, **values: object) -> list[tuple[Any, ...]]:
        return connection.execute(query(name), values or None).fetchall()

    def _one(self, connection: Connection, name: str, **values: object) -> object:
        """The only value; text of a SQL_ASCII database, which psycopg hands over as bytes, becomes text."""
        value = self._rows(connection, name, **values)[0][0]
        return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value

    def _has_rows(self, database: str) -> bool:
        """A database or table that cannot be read is damaged, which is another thing than emptied."""
        try:
            with self._connected(database) as connection:
                for table in fetch_rows(connection, "tables_largest_first"):
                    if (database, table.text("relation")) == _CANARY:
                        continue  # the agent's own row, which it writes into a new cluster too, is nobody's data
                    row = connection.execute(b"SELECT EXISTS (SELECT FROM ONLY %b)" % table.sql("relation")).fetchone()
                    if row is not None and row[0]:
                        return True
        except StratumError as error:
            if error.code not in {"query-failed", "unreachable-server"}:
                raise
            return True
        return False

    def _smoke(self, database: str, number: int, text: str) -> Check:
        name = f"smoke-{number}"
        try:
            with self._connected(database) as connection:
                connection.execute("BEGIN READ ONLY")
                row = connection.execute(text.encode()).fetchone()
        except StratumError as error:
            return Check(name=name, verdict=Verdict.FAILED, reason=f"{text}: {error.message}")
        if row is None or row[0] is None or row[0] is False:
            return Check(name=name, verdict=Verdict.FAILED, reason=f"{text}: answered {row[0] if row else 'no row'}")
        return Check(name=name, verdict=Verdict.PROVEN, reason=f"{text}: answered {row[0]}")


def _primary(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip().replace("\n", " | ")
