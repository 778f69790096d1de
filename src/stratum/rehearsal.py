"""What the engine asks for to rehearse a release: a clone that is watched, and programs that reach nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stratum.core.rehearsal import CommandRun, DatabaseLook, Finding, HeldLock, Rehearsal, RunStatement
from stratum.server import Server


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a clone was seen to go through."""

    locks: tuple[HeldLock, ...]
    statements: tuple[RunStatement, ...]
    """The slowest of them."""
    statement_count: int
    findings: tuple[Finding, ...] = ()
    """Of a linter."""
    notes: tuple[str, ...] = ()
    """What could not be seen, and why."""


class Watch(Protocol):
    """Looks on until its block ends; what it saw is known then."""

    def seen(self) -> Seen: ...


class Clone(Protocol):
    """A throwaway server with a copy of the data."""

    @property
    def server(self) -> Server: ...

    @property
    def socket(self) -> Path:
        """The clone's Unix socket; only we, and what we let through, reach it."""

    def look(self, databases: Sequence[str], *, digest: bool) -> tuple[DatabaseLook, ...]: ...
    def watching(self, looks: Sequence[DatabaseLook]) -> AbstractContextManager[Watch]: ...


class Rehearsals(Protocol):
    """Makes clones, runs programs on them, and keeps what came of it."""

    def clone(self, *, bootstrap_role: str, load: Callable[[Server], None]) -> AbstractContextManager[Clone]:
        """A throwaway server, quarantined as every other, with what `load` put into it when it was empty.

        Gone with its files when the block ends.
        """

    def run_closed_off(self, clone: Clone, name: str, argv: Sequence[str]) -> CommandRun:
        """Run one of the application's commands on the clone, where it reaches nothing else.

        Raises `rehearsal-not-closed-off`; then the command was not run.
        """

    def record(self, rehearsal: Rehearsal) -> None: ...
    def recorded(self) -> tuple[Rehearsal, ...]:
        """The oldest first."""
