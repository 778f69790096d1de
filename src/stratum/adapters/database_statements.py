"""Statements about databases and tables, built from their names and properties and not yet sent."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from stratum.core.backup import DatabaseProperties, SettingFacts

_LISTS_OF_NAMES = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}


def create_statement(name: str, properties: DatabaseProperties, version: int) -> sql.Composed:
    """An empty database as `properties` describe it; `version` is the server's number, e.g. 170010.

    (https://www.postgresql.org/docs/current/sql-createdatabase.html)
    """
    clauses: list[sql.Composable] = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 OWNER {} ENCODING {} LC_COLLATE {} LC_CTYPE {}").format(
            sql.Identifier(name),
            sql.Identifier(properties.owner),
            sql.Literal(properties.encoding),
            sql.Literal(properties.collate),
            sql.Literal(properties.ctype),
        )
    ]
    if version >= 150000:
        clauses.append(sql.SQL("LOCALE_PROVIDER {}").format(sql.Identifier(properties.locale_provider)))
    if properties.locale is not None:
        kind = sql.SQL("BUILTIN_LOCALE {}" if properties.locale_provider == "builtin" else "ICU_LOCALE {}")
        clauses.append(kind.format(sql.Literal(properties.locale)))
    if properties.icu_rules:
        clauses.append(sql.SQL("ICU_RULES {}").format(sql.Literal(properties.icu_rules)))
    return sql.SQL(" ").join(clauses)


def property_statements(name: str, properties: DatabaseProperties) -> Iterator[sql.Composed]:
    """The connection limit, comment and grants that `pg_restore` without `-C` does not bring back."""
    database = sql.Identifier(name)
    yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, sql.Literal(properties.connection_limit))
    if properties.comment is not None:
        yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(properties.comment))
    if properties.grants is None:
        return
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database)
    for grant in properties.grants:
        grantee: sql.Composable = sql.SQL("PUBLIC") if grant.grantee is None else sql.Identifier(grant.grantee)
        option = sql.SQL(" WITH GRANT OPTION" if grant.grantable else "")
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(sql.SQL(grant.privilege), database, grantee, option)


def rename(old: str, new: str) -> sql.Composed:
    """One half of a swap. The server refuses while anyone is connected to the database."""
    return sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))


def set_schema(schema: str, table: str, into: str) -> sql.Composed:
    """Move a table with its indexes and owned sequences; what refers to it by identity goes on doing so."""
    return sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(sql.Identifier(schema, table), sql.Identifier(into))


def leave_parent(table: tuple[str, str], parent: tuple[str, str], is_partition: bool) -> sql.Composed:  # noqa: FBT001 - as the catalogue says it
    """Take a table out of the one it is a partition of or inherits from; both keep their rows."""
    names = {"table": sql.Identifier(*table), "parent": sql.Identifier(*parent)}
    if is_partition:
        return sql.SQL("ALTER TABLE {parent} DETACH PARTITION {table}").format(**names)
    return sql.SQL("ALTER TABLE {table} NO INHERIT {parent}").format(**names)


def setting_statement(database: str, setting: SettingFacts) -> sql.Composed:
    """One setting of a database, for one role or for everyone, from the text that pg_db_role_setting holds.

    A list whose members are names is stored with the quotes its members need, and has to be given member by
    member; every other value is one literal. (pg_dump does the same: variable_is_guc_list_quote in its dumputils.c)
    """
    members = split_names(setting.value) if setting.name in _LISTS_OF_NAMES else (setting.value,)
    parts = {
        "database": sql.Identifier(database),
        "name": sql.Identifier(*setting.name.split(".")),
        "value": sql.SQL(", ").join(sql.Literal(member) for member in members),
    }
    if setting.role is None:
        return sql.SQL("ALTER DATABASE {database} SET {name} TO {value}").format(**parts)
    role = sql.Identifier(setting.role)
    return sql.SQL("ALTER ROLE {role} IN DATABASE {database} SET {name} TO {value}").format(role=role, **parts)


def split_names(text: str) -> tuple[str, ...]:
    """The members of a stored list of names: `"$user", "it""s", public` holds three."""
    members, member, quoted = [], "", False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character == "," and not quoted:
            members.append(member)
            member = ""
        else:
            member += character
    return tuple(_unquoted(found.strip()) for found in (*members, member))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
