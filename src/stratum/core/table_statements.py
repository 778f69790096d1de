"""The statements that belong to one table and wait until it stands in its place, out of a schema-only dump."""

from __future__ import annotations

import re

_NAME = r'(?:"(?:[^"]|"")+"|[^\s".;(]+)'
_TABLE = rf"(?P<schema>{_NAME})\.(?P<name>{_NAME})"
_OF_A_TABLE = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rf"ALTER TABLE (?:ONLY )?{_TABLE}\s+ADD CONSTRAINT {_NAME} FOREIGN KEY",
        rf"ALTER TABLE ONLY {_NAME}\.{_NAME} ATTACH PARTITION {_TABLE}\s",
        rf"CREATE (?:CONSTRAINT )?TRIGGER {_NAME} (?:{_NAME},? )+?ON {_TABLE}\s",
        rf"CREATE RULE {_NAME} AS\s+ON \w+ TO {_TABLE}\s",
        rf"COMMENT ON (?:CONSTRAINT|TRIGGER|RULE) {_NAME} ON {_TABLE}\s",
    )
)
_BLOCK = "\n--\n-- Name: "
_KINDS = (
    "; Type: TABLE ATTACH; ",
    "; Type: FK CONSTRAINT; ",
    "; Type: TRIGGER; ",
    "; Type: RULE; ",
    "; Type: COMMENT; ",
)
_END = "\n--\n-- PostgreSQL database dump complete"


def statements_of_table(script: str, table: tuple[str, str]) -> tuple[str, ...]:
    """Its place in a partitioned table, foreign keys, triggers, rules and remarks on them, as the dump has them.

    Each stands in a block of its own below the comment `-- Name: table name; Type: TRIGGER; …`, with whatever
    completes it, such as the disabling of a trigger. Which table it belongs to is read from the statement
    itself: in the comment a blank may end a name or stand in it.
    """
    found = []
    for block in script.partition(_END)[0].split(_BLOCK)[1:]:
        head, _, body = block.partition("\n")
        statement = body.removeprefix("--").strip().rstrip(";")
        if any(kind in head for kind in _KINDS) and _table_of(statement) == table:
            found.append(statement)
    return tuple(found)


def _table_of(statement: str) -> tuple[str, str] | None:
    for pattern in _OF_A_TABLE:
        if found := pattern.match(statement):
            return _plain(found["schema"]), _plain(found["name"])
    return None


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
