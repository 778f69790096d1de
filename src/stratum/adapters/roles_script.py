"""Renders roles.sql: for clusters that Stratum makes, and as the script for a server of the user's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from stratum.adapters.queries import load_queries
from stratum.adapters.scram import hash_password
from stratum.core.stack import Secret

_SOURCE = Path(__file__).with_name("roles.sql")
_SECTION = re.compile(r"^-- section: ([\w-]+)$", re.MULTILINE)

BACKUP_ROLE = "stratum_backup"
REPLICATION_ROLE = "stratum_replication"
CONSOLE_ROLE = "stratum_console"
MAINTENANCE_ROLE = "stratum_maintenance"
"""On a server of the user's own, where Stratum is given no superuser."""

_PREFIX = {
    BACKUP_ROLE: "backup",
    REPLICATION_ROLE: "replication",
    CONSOLE_ROLE: "console",
    MAINTENANCE_ROLE: "maintenance",
}

_HEADER = """\
-- The roles that Stratum needs on this server, each with no more rights than its work needs. Run it as a superuser, or
-- as whoever administers the server:
--
--     psql --file=this-file.sql --host=... --username=... --dbname={database}
--
-- Passwords are in it as the hashes that the server stores. Running it again changes nothing but those passwords.
-- Each right you may not give is a warning that says what Stratum cannot do without it; the script goes on.
\\set ON_ERROR_STOP on
\\set QUIET on
SET client_min_messages = warning;
"""

_IF_THERE = """\
SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = {name}) AS stratum_there \\gset
\\if :stratum_there
\\else
\\echo {shown}
\\endif
\\if :stratum_there
"""

_CANARY = """\
-- The canary of the agent: one row, moved on every few seconds, which shows that commits arrive.
DO $stratum_canary$
BEGIN
    EXECUTE $stratum_statement${statement}$stratum_statement$;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'not made: the schema stratum in the database postgres; the agent has no canary there'
        USING DETAIL = SQLERRM;
END
$stratum_canary$;
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RolesOrder:
    """What the roles of one server are made for."""

    owner: str
    databases: tuple[str, ...]
    """The guarded ones that are on the server already."""
    passwords: Mapping[str, Secret] = field(repr=False)
    """By role: the owner's and those of Stratum's own roles. A role without one is left out."""
    replication_line: str = ""
    """What pg_hba.conf has to hold; empty where Stratum writes that file itself."""
    from_afar: bool = False
    """Whether Stratum comes over a network, and not from the server's own machine."""


@cache
def load_sections() -> dict[str, str]:
    """The sections of roles.sql by their names."""
    parts = _SECTION.split(_SOURCE.read_text(encoding="utf-8"))[1:]
    return {name: text.strip("\n") + "\n" for name, text in zip(parts[::2], parts[1::2], strict=True)}


def role_settings(order: RolesOrder) -> dict[str, str]:
    """The settings of the session that roles.sql reads: names, and passwords as the server stores them."""
    hashed = {role: hash_password(role, secret.reveal) for role, secret in order.passwords.items()}
    found = {"stratum.owner": order.owner, "stratum.owner_secret": hashed[order.owner]}
    if order.replication_line:
        found["stratum.replication_line"] = order.replication_line
        found["stratum.replication_from_afar"] = "on" if order.from_afar else "off"
    return found | {f"stratum.{_PREFIX[role]}_secret": hashed[role] for role in hashed if role in _PREFIX}


def render_roles_script(order: RolesOrder) -> str:
    """The script for a server of the user's own, to be run with psql by whoever administers it.

    No password stands in it in plain text. What it does: docs/how-to/use-your-own-postgresql.md.
    """
    return "\n".join((_HEADER.format(database=order.databases[0]), *_parts(order)))


def _parts(order: RolesOrder) -> Iterator[str]:
    sections = load_sections()
    yield "".join(f"SET {name} = {_literal(value)};\n" for name, value in role_settings(order).items())
    yield sections["helpers"]
    yield sections["roles"]
    if order.replication_line:
        yield sections["replication"]
    if CONSOLE_ROLE in order.passwords:
        yield sections["console"]
    if MAINTENANCE_ROLE in order.passwords:
        yield sections["maintenance"]
        for database in order.databases:
            yield _IF_THERE.format(name=_literal(database), shown=_literal(f"there is no database {database} yet"))
            yield from (_connect(database), sections["helpers"], sections["application-database"], "\\endif\n")
    yield _connect("postgres")
    if MAINTENANCE_ROLE in order.passwords:
        yield from (sections["helpers"], sections["maintenance-database"])
    yield _CANARY.format(statement=load_queries()["canary_create"].text)


def _connect(database: str) -> str:
    """As a connection string, since a bare name with `=` in it would be taken for one."""
    name = database.replace("\\", r"\\").replace("'", r"\'")
    quoted = f"dbname='{name}'".replace('"', '""')
    return f'\\connect -reuse-previous=on "{quoted}"\nSET client_min_messages = warning;\n'


def render_new_passwords(passwords: Mapping[str, str]) -> str:
    """Statements for psql that set passwords, hashed here, all or none; a role that is not there is passed over."""
    # Without its terse way psql shows the statement that failed, and the hash in it.
    opening = "\\set VERBOSITY terse\nBEGIN;\n"
    return opening + "".join(_new_password(role, password) for role, password in passwords.items()) + "COMMIT;\n"


def _new_password(role: str, password: str) -> str:
    statement = f"format('ALTER ROLE %I PASSWORD %L', rolname, {_literal(hash_password(role, password))})"
    # psql runs what the query answers with. (https://www.postgresql.org/docs/current/app-psql.html, \\gexec)
    query = f"SELECT {statement} FROM pg_roles WHERE rolname = {_literal(role)} \\gexec\n"  # noqa: S608 - quoted
    # In zero-loss mode a commit waits for the receiver, which may have to be told this very password first.
    return f"SET LOCAL synchronous_commit = local;\n{query}"


def _literal(text: str) -> str:
    """A literal under any setting of standard_conforming_strings."""
    quoted = "'" + text.replace("'", "''") + "'"
    return f"E{quoted}".replace("\\", "\\\\") if "\\" in text else quoted


def given_rights(role: str) -> tuple[str, ...]:
    """The statements of roles.sql that give one of Stratum's roles its rights, in their order."""
    found = re.findall(r"stratum_give\('((?:GRANT|ALTER)[^']*)'", "".join(load_sections().values()))
    return tuple(statement for statement in found if role in statement.split()[-2:] or f"ROLE {role} " in statement)
