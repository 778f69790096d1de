"""Has squawk read the statements a migration ran, for what would keep others waiting or break the version that serves.

(https://squawkhq.com/docs/rules)
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stratum.adapters.process import run_tool
from stratum.core.rehearsal import Finding

_SECONDS = 60.0
_DEFINES = re.compile(r"(?:^|;)\s*(?:ALTER|CREATE|DROP|TRUNCATE|REINDEX)\b", re.IGNORECASE)
# What a rehearsal measures is not said twice, and what is a matter of taste is left to those who have it.
_RULES = frozenset({
    "adding-field-with-default",
    "adding-foreign-key-constraint",
    "adding-not-nullable-field",
    "adding-required-field",
    "adding-serial-primary-key-field",
    "ban-drop-not-null",
    "ban-truncate-cascade",
    "changing-column-type",
    "constraint-missing-not-valid",
    "disallowed-unique-constraint",
    "renaming-column",
    "renaming-table",
    "require-concurrent-index-creation",
    "require-concurrent-index-deletion",
    "require-concurrent-partition-detach",
    "require-concurrent-reindex",
})  # fmt: skip


def find_linter() -> Path | None:
    """squawk, as it was installed with us or on the path; None where there is none for this processor."""
    beside = Path(sys.executable).with_name("squawk")
    found = str(beside) if beside.is_file() else shutil.which("squawk")
    return Path(found) if found else None


def lint(statements: Sequence[str], *, linter: Path, major: int) -> tuple[Finding, ...]:
    """What the linter holds against these statements, in their order; they reach it by its standard input alone.

    Statements that change rows and not definitions are not shown to it. Raises `tool-failed`.
    """
    defining = [one.strip().rstrip(";") for one in statements if _DEFINES.search(one)]
    if not defining:
        return ()
    sql = ";\n".join(defining) + ";\n"
    # In one transaction, so that nobody is said to wait for a table that the migration itself made.
    argv = (str(linter), "--reporter", "json", "--pg-version", str(major), "--assume-in-transaction")
    # 1 says that it found something (https://squawkhq.com/docs/cli).
    done = run_tool((*argv, "--stdin-filepath", "migration.sql"), timeout_seconds=_SECONDS, told=sql, accept=(0, 1))
    return tuple(_findings(json.loads(done.stdout or "[]"), sql.split("\n")))


def _findings(said: Sequence[dict[str, Any]], lines: Sequence[str]) -> Iterator[Finding]:
    for one in said:
        if one["rule_name"] in _RULES:
            advice = " ".join(part for part in (one["message"], one.get("help")) if part)
            yield Finding(rule=one["rule_name"], advice=advice, statement=_part(one, lines))


def _part(one: dict[str, Any], lines: Sequence[str]) -> str:
    """The first line of what it speaks of."""
    first, last = int(one["line"]), int(one.get("line_end") or one["line"])
    line = lines[first].encode() if first < len(lines) else b""
    part = line[int(one["column"]) : int(one["column_end"]) if first == last else None]
    return part.decode(errors="replace").strip(" ;")
