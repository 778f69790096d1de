"""The roles of a new cluster, each with no more rights than its work needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stratum.adapters.endpoint import Endpoint
from stratum.core.stack import Secret

if TYPE_CHECKING:
    import psycopg

BACKUP_ROLE = "stratum_backup"
REPLICATION_ROLE = "stratum_replication"
CONSOLE_ROLE = "stratum_console"

OWNER_RIGHTS = "LOGIN"
BACKUP_RIGHTS = "LOGIN BYPASSRLS IN ROLE pg_read_all_data"
REPLICATION_RIGHTS = "LOGIN REPLICATION"
CONSOLE_RIGHTS = "LOGIN"


def create_roles_and_databases(
    endpoint: Endpoint, *, owner: str, database: str | None, passwords: dict[str, Secret]
) -> None:
    """Create the owner (no superuser), the backup role (reads everything) and the replication role.

    `database` is created for the owner unless None, as when a restore brings it. The backup role may read
    large objects, which pg_read_all_data leaves out, and rows behind row-level security, since a dump that
    leaves rows out is no backup. (https://www.postgresql.org/docs/current/predefined-roles.html,
    https://www.postgresql.org/docs/current/runtime-config-compatible.html#GUC-LO-COMPAT-PRIVILEGES)
    """
    import psycopg
    from psycopg import sql

    with psycopg.connect(
        endpoint.conninfo("postgres"), password=endpoint.password.reveal, autocommit=True
    ) as connection:
        _create_role(connection, owner, OWNER_RIGHTS, passwords[owner])
        _create_role(connection, BACKUP_ROLE, BACKUP_RIGHTS, passwords[BACKUP_ROLE])
        connection.execute(sql.SQL("ALTER ROLE {} SET lo_compat_privileges = on").format(sql.Identifier(BACKUP_ROLE)))
        _create_role(connection, REPLICATION_ROLE, REPLICATION_RIGHTS, passwords[REPLICATION_ROLE])
        if database is not None:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
                    sql.Identifier(database), sql.Identifier(owner)
                )
            )


def prepare_console(endpoint: Endpoint, *, database: str, password: Secret) -> bool:
    """Make the console's role and its database where they are missing; says whether the database was made.

    The role owns this database and nothing else, and only it may connect there, beside those who read everything
    for a backup. Its password is set anew when the one in .env does not let it in, as after a restore.
    """
    import psycopg
    from psycopg import sql

    with psycopg.connect(
        endpoint.conninfo("postgres"), password=endpoint.password.reveal, autocommit=True
    ) as connection:
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (CONSOLE_ROLE,)).fetchall():
            _create_role(connection, CONSOLE_ROLE, CONSOLE_RIGHTS, password)
        elif not _lets_in(endpoint, CONSOLE_ROLE, password):
            _set_password(connection, CONSOLE_ROLE, CONSOLE_RIGHTS, password)
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


def _set_password(connection: psycopg.Connection[tuple[object, ...]], name: str, rights: str, password: Secret) -> None:
    from psycopg import sql

    connection.execute(
        sql.SQL("ALTER ROLE {} {} PASSWORD {}").format(
            sql.Identifier(name), sql.SQL(rights), sql.Literal(_hashed(connection, name, password))
        )
    )


def _create_role(connection: psycopg.Connection[tuple[object, ...]], name: str, rights: str, password: Secret) -> None:
    """The password is hashed here, so that its plain text reaches neither the server nor its log."""
    from psycopg import sql

    connection.execute(
        sql.SQL("CREATE ROLE {} {} PASSWORD {}").format(
            sql.Identifier(name), sql.SQL(rights), sql.Literal(_hashed(connection, name, password))
        )
    )


def _hashed(connection: psycopg.Connection[tuple[object, ...]], name: str, password: Secret) -> str:
    return connection.pgconn.encrypt_password(password.reveal.encode(), name.encode(), b"scram-sha-256").decode()
