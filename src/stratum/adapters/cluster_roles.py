"""Gives a cluster that Stratum made its roles, and any server the console's database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from stratum.adapters.endpoint import Endpoint
from stratum.adapters.roles_script import (
    BACKUP_ROLE,
    CONSOLE_ROLE,
    MAINTENANCE_ROLE,
    REPLICATION_ROLE,
    RolesOrder,
    load_sections,
    role_settings,
)
from stratum.adapters.scram import hash_password
from stratum.core.errors import StratumError
from stratum.core.stack import Secret

if TYPE_CHECKING:
    import psycopg

__all__ = ["BACKUP_ROLE", "CONSOLE_ROLE", "MAINTENANCE_ROLE", "REPLICATION_ROLE", "create_roles_and_databases",
           "prepare_console", "set_passwords"]  # fmt: skip


def create_roles_and_databases(
    endpoint: Endpoint, *, owner: str, database: str | None, passwords: Mapping[str, Secret]
) -> None:
    """Create the owner (no superuser), the backup role (reads everything) and the replication role, by roles.sql.

    `database` is created for the owner unless None, as when a restore brings it.
    """
    import psycopg
    from psycopg import sql

    wanted = {name: passwords[name] for name in (owner, BACKUP_ROLE, REPLICATION_ROLE)}
    order = RolesOrder(owner=owner, databases=(), passwords=wanted)
    with psycopg.connect(
        endpoint.conninfo("postgres"), password=endpoint.password.reveal, autocommit=True
    ) as connection:
        for setting in role_settings(order).items():
            connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", setting)
        for section in ("helpers", "roles"):
            connection.execute(load_sections()[section].encode())
        if database is not None:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
                    sql.Identifier(database), sql.Identifier(owner)
                )
            )


def prepare_console(endpoint: Endpoint, *, database: str, password: Secret) -> bool:
    """Make the console's role and its database where they are missing; says whether the database was made.

    The role owns this database and nothing else, and only it may connect there, beside those who read everything
    for a backup. Its password is set anew when the one in .env does not let it in, as after a restore. On a server
    of the user's own the role comes from the printed script. Raises `not-enough-roles`.
    """
    import psycopg

    with psycopg.connect(
        endpoint.conninfo("postgres"), password=endpoint.password.reveal, autocommit=True
    ) as connection:
        # With zero-loss commits wait for the receiver, and that is started only after this.
        connection.execute("SET synchronous_commit = local")
        try:
            _prepare_role(connection, endpoint, password)
            return _prepare_database(connection, database)
        except psycopg.errors.InsufficientPrivilege as error:
            problem = error.diag.message_primary or str(error)
            raise StratumError("not-enough-roles", role=endpoint.user, problem=problem) from None


def _prepare_role(connection: psycopg.Connection[tuple[object, ...]], endpoint: Endpoint, password: Secret) -> None:
    from psycopg import sql

    there = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (CONSOLE_ROLE,)).fetchall()
    if there and _lets_in(endpoint, CONSOLE_ROLE, password):
        return
    statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
        sql.SQL("ALTER" if there else "CREATE"),
        sql.Identifier(CONSOLE_ROLE),
        sql.Literal(hash_password(CONSOLE_ROLE, password.reveal)),
    )
    connection.execute(statement)


def _prepare_database(connection: psycopg.Connection[tuple[object, ...]], database: str) -> bool:
    from psycopg import sql

    if connection.execute("SELECT FROM pg_database WHERE datname = %s", (database,)).fetchall():
        return False
    name, owner = sql.Identifier(database), sql.Identifier(CONSOLE_ROLE)
    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(name, owner))
    connection.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(name))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(BACKUP_ROLE)))
    return True


def _lets_in(endpoint: Endpoint, role: str, password: Secret) -> bool:
    import psycopg

    try:
        with psycopg.connect(replace(endpoint, user=role).conninfo("postgres"), password=password.reveal):
            return True
    except psycopg.OperationalError:
        return False


def set_passwords(endpoint: Endpoint, passwords: Mapping[str, Secret]) -> None:
    """Set these passwords, hashed here; a role that is not there is passed over."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(
        endpoint.conninfo("postgres"), password=endpoint.password.reveal, autocommit=True
    ) as connection:
        there = {str(name) for (name,) in connection.execute("SELECT rolname FROM pg_catalog.pg_roles")}
        for role in sorted(there & passwords.keys()):
            hashed = sql.Literal(hash_password(role, passwords[role].reveal))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), hashed))
