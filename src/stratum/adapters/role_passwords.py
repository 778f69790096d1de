"""Changes passwords of roles on a running server, and proves which of two lets in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from stratum.adapters.endpoint import Endpoint
from stratum.adapters.scram import hash_password
from stratum.core.errors import StratumError
from stratum.core.stack import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    Connection = psycopg.Connection[tuple[object, ...]]

_SECONDS = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleChange:
    """One role, with the password it has and the one it is to have."""

    role: str
    database: str = "postgres"
    """One it may connect to."""
    before: str = field(repr=False)
    after: str = field(repr=False)

    def reversed(self) -> RoleChange:
        """The way back."""
        return RoleChange(role=self.role, database=self.database, before=self.after, after=self.before)


class PasswordWork(StrEnum):
    """What is to be done with the changes."""

    CHECK = "check"
    SET = "set"
    PROVE = "prove"


@dataclass(frozen=True, kw_only=True, slots=True)
class PasswordOrder:
    """What a container is asked, on its standard input."""

    format: int = 1
    host: str
    port: int
    changes: tuple[RoleChange, ...]
    work: PasswordWork


@dataclass(frozen=True, kw_only=True, slots=True)
class PasswordsAnswer:
    """What it answers."""

    format: int = 1
    roles: tuple[str, ...]


def carry_out(order: PasswordOrder) -> tuple[str, ...]:
    """Look at, make or prove the changes of an order; the roles they are about."""
    works = {PasswordWork.CHECK: check_logins, PasswordWork.SET: set_by_themselves, PasswordWork.PROVE: prove_logins}
    return works[order.work](order.host, order.port, order.changes)


def set_as_superuser(endpoint: Endpoint, candidates: Sequence[Secret], passwords: Mapping[str, str]) -> tuple[str, ...]:
    """Set these passwords, all in one transaction; a role that is not there is passed over. Which were set.

    The superuser's own may be any of the candidates: a change of it may have been cut.
    """
    from psycopg import sql

    with _first_that_lets_in(endpoint, candidates) as connection, connection.transaction():
        # In zero-loss mode a commit waits for the receiver, which may have to be told this very password first.
        connection.execute("SET LOCAL synchronous_commit = local")
        there = {str(name) for (name,) in connection.execute("SELECT rolname FROM pg_catalog.pg_roles")}
        found = tuple(sorted(there & passwords.keys()))
        for role in found:
            hashed = sql.Literal(hash_password(role, passwords[role]))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), hashed))
    return found


def check_logins(host: str, port: int, changes: Sequence[RoleChange]) -> tuple[str, ...]:
    """See that each role gets in with the password it has, before any is changed. Raises `rotation-not-permitted`."""
    import psycopg

    for change in changes:
        where = Endpoint(host=host, port=port, user=change.role, password=Secret(change.before))
        try:
            _connected(where, change.before, change.database).close()
        except psycopg.Error as error:
            problem = str(error).strip().replace("\n", "; ")
            raise StratumError("rotation-not-permitted", role=change.role, problem=problem) from None
    return tuple(change.role for change in changes)


def set_by_themselves(host: str, port: int, changes: Sequence[RoleChange]) -> tuple[str, ...]:
    """Let each role set its own password, which every role may; one that has the new one already is left.

    Each is a transaction of its own. Raises `rotation-not-permitted`.
    (https://www.postgresql.org/docs/current/sql-alterrole.html)
    """
    for change in changes:
        where = Endpoint(host=host, port=port, user=change.role, password=Secret(change.after))
        if not _lets_in(where, change.after, change.database):
            _set_own(where, change)
    return tuple(change.role for change in changes)


def _set_own(where: Endpoint, change: RoleChange) -> None:
    import psycopg
    from psycopg import sql

    try:
        with _connected(where, change.before, change.database) as connection:
            # Stratum's own roles may be set to read only.
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("SET synchronous_commit = local")
            hashed = sql.Literal(hash_password(change.role, change.after))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(change.role), hashed))
    except psycopg.Error as error:
        problem = (error.diag.message_primary or str(error)).strip().replace("\n", "; ")
        raise StratumError("rotation-not-permitted", role=change.role, problem=problem) from None


def prove_logins(host: str, port: int, changes: Sequence[RoleChange]) -> tuple[str, ...]:
    """Sign in with each new password, and see the old one refused. Raises `rotation-not-proven`.

    Asked for the new one again afterwards: a server that went away in between refused nothing.
    """
    for change in changes:
        where = Endpoint(host=host, port=port, user=change.role, password=Secret(change.after))
        if not _lets_in(where, change.after, change.database):
            raise _not_proven(change, "the server does not let it in with the new password")
        if _lets_in(where, change.before, change.database):
            raise _not_proven(change, "the server lets it in with the old password too: see pg_hba.conf for `trust`")
        if not _lets_in(where, change.after, change.database):
            raise _not_proven(change, "the server went away")
    return tuple(change.role for change in changes)


def _not_proven(change: RoleChange, problem: str) -> StratumError:
    return StratumError("rotation-not-proven", role=change.role, problem=problem)


@contextmanager
def _first_that_lets_in(endpoint: Endpoint, candidates: Sequence[Secret]) -> Iterator[Connection]:
    """Connected with the first candidate that the server takes. Raises what it says to the last one."""
    import psycopg

    good = next((each for each in candidates if _lets_in(endpoint, each.reveal, "postgres")), candidates[-1])
    try:
        connection = _connected(endpoint, good.reveal, "postgres")
    except psycopg.Error as error:
        problem = str(error).strip().replace("\n", "; ")
        raise StratumError("rotation-not-permitted", role=endpoint.user, problem=problem) from None
    with connection:
        yield connection


def _lets_in(where: Endpoint, password: str, database: str) -> bool:
    import psycopg

    try:
        with _connected(where, password, database):
            return True
    except psycopg.OperationalError:
        return False


def _connected(where: Endpoint, password: str, database: str) -> Connection:
    import psycopg

    return psycopg.connect(
        where.conninfo(database),
        password=password,
        autocommit=True,
        connect_timeout=_SECONDS,
        application_name="stratum",
    )
