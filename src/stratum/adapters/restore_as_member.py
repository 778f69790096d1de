"""Loads a dump as a role that is no superuser but a member of every owner in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_SCHEMA = re.compile(r"\d+; \d+ \d+ SCHEMA - ")
_SCHEMA_RIGHTS = re.compile(r"\d+; \d+ \d+ ACL - SCHEMA ")

_PAIRS = """
    FOR pair IN
        SELECT n.nspname AS schema, r.rolname AS role
        FROM pg_catalog.pg_namespace AS n CROSS JOIN pg_catalog.pg_roles AS r
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND r.rolname !~ '^pg_' AND NOT r.rolsuper AND r.oid <> n.nspowner AND pg_catalog.pg_has_role(r.oid, 'MEMBER')
          AND pg_catalog.pg_has_role(n.nspowner, 'USAGE') AND {condition}
"""

_LET_IN = f"""
DO $stratum$
DECLARE
    pair record;
BEGIN{_PAIRS.format(condition="NOT pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')")}    LOOP
        EXECUTE pg_catalog.format('GRANT CREATE ON SCHEMA %I TO %I', pair.schema, pair.role);
    END LOOP;
END
$stratum$;
"""

_LET_OUT = f"""
DO $stratum$
DECLARE
    pair record;
BEGIN{_PAIRS.format(condition="n.nspacl IS NOT NULL")}    LOOP
        EXECUTE pg_catalog.format('REVOKE CREATE ON SCHEMA %I FROM %I', pair.schema, pair.role);
    END LOOP;
END
$stratum$;
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loading:
    """The three things that are done to the database being made."""

    entries: Callable[[Path], Sequence[str]]
    """The lines of `pg_restore --list`."""
    load: Callable[[Sequence[str]], None]
    """Load these entries; the first error ends it."""
    run: Callable[[str], None]
    """Run statements."""


def restore_as_member(loading: Loading, source: Path) -> None:
    """Load a dump into an empty database. Owners and rights come out as the dump has them.

    Giving a table to its owner takes that owner's right to create things in its schema, which a superuser alone may
    pass over, and a dump gives rights last of all. So the schemas come first, all owners are let into them, and out
    again at the end; then the rights on schemas are given once more as the dump has them.
    (https://www.postgresql.org/docs/current/sql-altertable.html, OWNER TO)
    """
    entries = loading.entries(source)
    schemas = [line for line in entries if _SCHEMA.match(line)]
    if schemas:
        loading.load(schemas)
    loading.run(_LET_IN)
    loading.load([line for line in entries if not _SCHEMA.match(line)])
    loading.run(_LET_OUT)
    if rights := [line for line in entries if _SCHEMA_RIGHTS.match(line)]:
        loading.load(rights)


def listed_entries(lines: Sequence[str]) -> Iterator[str]:
    """The lines that stand for an entry; the others are remarks."""
    return (line for line in lines if re.match(r"\d+; ", line))
