"""Compares two schemas as `pg_dump --schema-only` writes them, whatever order their statements stand in."""

from __future__ import annotations

import re
from collections import Counter

from stratum.core.proof import Check, Verdict, listed

_NOISE = re.compile(r"^(--|SET |REFRESH MATERIALIZED VIEW |SELECT pg_catalog\.set_config|\\restrict|\\unrestrict|$)")


def compare_schemas(*, dumped: str, restored: str) -> Check:
    """Say whether both define the same objects, and name the first statements that stand on one side only."""
    then, now = _statements(dumped), _statements(restored)
    missing, added = then - now, now - then
    if missing or added:
        reason = "; ".join(
            f"{word}: {listed((_first_line(s) for s in found), most=3)}"
            for word, found in (("missing", missing), ("added", added))
            if found
        )
        return Check(name="schema", verdict=Verdict.FAILED, reason=reason)
    return Check(name="schema", verdict=Verdict.PROVEN, reason=f"{sum(then.values())} statements equal")


def _statements(script: str) -> Counter[str]:
    """The script's blocks, which pg_dump separates by comments, without settings and comments.

    A block may hold semicolons (a function's body), so blocks are compared and never split further.
    """
    blocks: list[list[str]] = [[]]
    for line in script.splitlines():
        if line.startswith("--"):
            blocks.append([])
        elif not _NOISE.match(line):
            blocks[-1].append(line.rstrip())
    return Counter("\n".join(block) for block in blocks if block)


def _first_line(statement: str) -> str:
    return statement.splitlines()[0][:80]
