"""Every query of the project by its name, read from queries.sql."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_SOURCE = Path(__file__).with_name("queries.sql")
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One named query."""

    name: str
    description: str
    """What it answers."""
    text: str


@cache
def load_queries() -> dict[str, Query]:
    """Read queries.sql; a name that stands twice is a mistake of ours and raises ValueError."""
    parts = _NAME.split(_SOURCE.read_text(encoding="utf-8"))[1:]
    queries: dict[str, Query] = {}
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        if name in queries:
            raise ValueError(f"queries.sql has two queries called {name}")
        queries[name] = _parse_block(name, block)
    return queries


def query(name: str, /, **fragments: bytes) -> bytes:
    """The text of a query, with each `{fragment}` replaced by SQL.

    A fragment is SQL that the server quoted itself, or a constant of ours: never a value a person typed.
    Bytes, because an identifier of a SQL_ASCII database need not be valid in any encoding. A query with
    fragments must be executed without parameters: an identifier may hold a percent sign.
    """
    text = load_queries()[name].text.encode()
    wanted = set(re.findall(rb"\{(\w+)\}", text))
    if wanted != {fragment.encode() for fragment in fragments}:
        raise ValueError(f"query {name} takes {sorted(wanted)}, and was given {sorted(fragments)}")
    return re.sub(rb"\{(\w+)\}", lambda match: fragments[match[1].decode()], text)


def _parse_block(name: str, block: str) -> Query:
    """Split what stands below a name: the comment lines at its top describe, the rest up to a rule is SQL."""
    lines = block.strip("\n").split("\n")
    described = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    body = "\n".join(line for line in lines[described:] if not line.startswith("--")).strip()
    description = " ".join(line.removeprefix("--").strip() for line in lines[:described])
    return Query(name=name, description=description, text=body.rstrip(";"))
