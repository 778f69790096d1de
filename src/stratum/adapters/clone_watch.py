"""Watches a clone while the new version works on it: locks that others would wait for, and its statements."""

from __future__ import annotations

import csv
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from stratum.adapters.catalog_rows import fetch_rows
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.sql_lint import find_linter, lint
from stratum.core.errors import StratumError
from stratum.core.rehearsal import BLOCKING, Finding, HeldLock, RunStatement
from stratum.rehearsal import Seen

_EVERY_SECONDS = 0.005
_NAME = "stratum_rehearsal"
_STATEMENTS_KEPT, _TEXT_KEPT = 20, 200
# https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-CSVLOG
_MESSAGE, _APPLICATION = 13, 22
_DURATION = re.compile(r"duration: ([0-9.]+) ms\s+(?:statement|execute [^:]*): (.*)", re.DOTALL)
_VALUE = re.compile(r"'(?:[^']|'')*'|\$([A-Za-z_]*)\$.*?\$\1\$", re.DOTALL)
_TRANSACTION_ENDS = re.compile(
    r"^\s*(?:BEGIN|COMMIT|ROLLBACK|START TRANSACTION|END|SET|SHOW|DISCARD)\b[^;]*;?\s*$", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CloneWatch:
    """Looks on until the block of `watching` ends; what it saw is complete then."""

    tables: Mapping[tuple[str, int], str]
    major: int
    held: dict[tuple[str, int, str], float] = field(default_factory=dict)
    statements: list[RunStatement] = field(default_factory=list)
    """As they were run, values included; what is handed on has none."""

    def seen(self) -> Seen:
        slowest = sorted(self.statements, key=lambda one: -one.seconds)
        findings, notes = self._lint()
        locks = [
            HeldLock(table=self.tables[database, oid], mode=mode, blocks=BLOCKING[mode], seconds=round(seconds, 3))
            for (database, oid, mode), seconds in self.held.items()
        ]
        return Seen(
            locks=tuple(sorted(locks, key=lambda lock: (-lock.seconds, lock.table))),
            statements=tuple(replace(one, text=_shown(one.text)) for one in slowest[:_STATEMENTS_KEPT]),
            statement_count=len(self.statements),
            findings=findings,
            notes=notes,
        )

    def _lint(self) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
        """What a linter says of the statements, and why it says nothing; advice that cannot be had stops nobody."""
        linter = find_linter()
        if linter is None:
            return (), ("the statements were not linted: there is no squawk here",)
        try:
            found = lint([one.text for one in self.statements], linter=linter, major=self.major)
        except StratumError as error:
            return (), (f"the statements were not linted: {error.message}",)
        return tuple(replace(one, statement=_shown(one.statement)) for one in found), ()


@contextmanager
def watching(
    endpoint: Endpoint, log: Path, *, tables: Mapping[tuple[str, int], str], major: int
) -> Iterator[CloneWatch]:
    """Sample locks on `tables` (by database and OID) and read what is logged until the block ends.

    A lock is seen from one sample to the next; what is held for less than about 5 ms may be missed. Tables that the
    new version makes are nobody's yet, and not among them.
    """
    watch, ended = CloneWatch(tables=tables, major=major), threading.Event()
    began = log.stat().st_size if log.exists() else 0
    with psycopg.connect(
        endpoint.conninfo("postgres"), password=endpoint.password.reveal, autocommit=True, application_name=_NAME
    ) as connection:
        thread = threading.Thread(target=_sample, args=(connection, watch, ended), daemon=True, name="locks")
        thread.start()
        try:
            yield watch
        finally:
            ended.set()
            thread.join()
    watch.statements.extend(one for one in _read_log(log, began) if not _TRANSACTION_ENDS.match(one.text))


def _sample(connection: psycopg.Connection[Any], watch: CloneWatch, ended: threading.Event) -> None:
    """Adds the time between two samples to every lock that both of them saw."""
    before, seen_before = time.monotonic(), frozenset[tuple[str, int, str]]()
    while not ended.wait(_EVERY_SECONDS):
        rows = fetch_rows(connection, "clone_locks", {"modes": list(BLOCKING)})
        now = time.monotonic()
        seen = frozenset((row.text("database"), row.integer("oid"), row.text("mode")) for row in rows)
        for key in seen:
            if key[:2] in watch.tables:
                watch.held[key] = watch.held.get(key, 0.0) + (now - before if key in seen_before else 0.0)
        before, seen_before = now, seen


def _read_log(log: Path, began: int) -> Iterator[RunStatement]:
    """Statements of everybody but us since then."""
    if not log.exists():
        return
    with log.open(encoding="utf-8", errors="replace", newline="") as stream:
        stream.seek(began)
        for row in csv.reader(stream):
            found = _DURATION.match(row[_MESSAGE]) if len(row) > _APPLICATION else None
            if found is not None and row[_APPLICATION] != _NAME:
                yield RunStatement(seconds=float(found.group(1)) / 1000, text=found.group(2))


def _shown(statement: str) -> str:
    """Shortened, and without its values, for they may be anybody's data."""
    plain = " ".join(_VALUE.sub("'…'", statement).split())
    return plain if len(plain) <= _TEXT_KEPT else plain[: _TEXT_KEPT - 1] + "…"
