"""Whether two releases of an application can serve on the same data at the same time; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from stratum.core.rehearsal import DatabaseLook, Rehearsal, RehearsalVerdict
from stratum.core.schema import ChangeKind, Columns, compare_columns

OF_BEFORE = "{service} of before"
"""What a rehearsal calls the release that serves now, started on what the new one left."""
_TABLE = re.compile(r"CREATE (?:UNLOGGED )?TABLE (?P<table>\S+) \(")
_RULE = re.compile(
    r"ALTER TABLE (?:ONLY )?(?P<table>\S+)\s+ADD (?P<rule>CONSTRAINT .+)"
    r"|CREATE (?P<index>UNIQUE INDEX \S+) ON (?:ONLY )?(?P<indexed>\S+)"
    r"|CREATE (?:CONSTRAINT )?(?P<trigger>TRIGGER \S+) .*? ON (?P<triggered>\S+)",
    re.DOTALL,
)


def find_obstacles(
    *,
    then: Mapping[str, Columns],
    now: Mapping[str, Columns],
    before: Sequence[DatabaseLook],
    after: Sequence[DatabaseLook],
) -> tuple[str, ...]:
    """Why a program of `then` could not go on working on the schema of `now`; empty where nothing speaks against it.

    What it knew and does not find, or finds with another type; what every new row has to fill; and rules that rows of
    tables it knows have to obey since.
    """
    found: list[str] = []
    for database, columns in then.items():
        unknown, breaking = compare_columns(then=columns, now=now.get(database, {}))
        others = [change for change in unknown if change.kind is ChangeKind.OTHER_TYPE]
        found += [f"{database}.{change.name}: {_WORDS[change.kind]}" for change in (*breaking, *others)]
    later = {look.name: look for look in after}
    for look in before:
        known, since = {table.qualified for table in look.tables}, later.get(look.name)
        had = set(_rules(look.definitions))
        new = (rule for rule in _rules(since.definitions if since else ()) if rule not in had and rule[0] in known)
        found += [f"{look.name}.{table}: new {rule}" for table, rule in new]
    return tuple(found)


_WORDS = {
    ChangeKind.TABLE_GONE: "the table is gone, or has another name",
    ChangeKind.GONE: "the column is gone, or has another name",
    ChangeKind.TO_FILL: "every new row has to fill it",
    ChangeKind.OTHER_TYPE: "it has another type",
}


def _rules(definitions: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Tables, and the rules that their rows have to obey, out of statements as pg_dump writes them."""
    for statement in definitions:
        made = _TABLE.match(statement)
        if made:
            lines = (line.strip().removesuffix(",") for line in statement.splitlines())
            yield from ((made["table"], line) for line in lines if line.startswith("CONSTRAINT "))
        elif found := _RULE.match(statement):
            table = found["table"] or found["indexed"] or found["triggered"]
            rule = found["rule"] or found["index"] or found["trigger"]
            yield table, " ".join(rule.rstrip(";").split())


def why_not_beside(rehearsal: Rehearsal, service: str) -> tuple[str, ...]:
    """Why a release cannot take over while the one before serves; empty where it was seen that it can.

    What a rehearsal could not see counts as much as what it found.
    """
    tried = any(run.name == OF_BEFORE.format(service=service) for run in rehearsal.runs)
    found = [] if rehearsal.verdict is RehearsalVerdict.SAFE else [rehearsal.summary]
    found += [] if tried or found else ["the release that serves was not started on what the new one left"]
    return (*found, *rehearsal.obstacles)
