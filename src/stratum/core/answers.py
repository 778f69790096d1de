"""What a command answers with `--json`: one object, with a format number, the same for every interface."""

from __future__ import annotations

from dataclasses import dataclass

from stratum.core.checklist import LineState
from stratum.core.plan import Facts, Plan, PlanEnd

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenError:
    """An error as a person or a program meets it: its code, and its sentences in the reader's language."""

    code: str
    """Stable; docs/reference/errors.md lists them all."""
    message: str
    """What happened."""
    data: str
    """What it means for the data."""
    next: str
    """What to do."""
    details: dict[str, str]
    """The values in the sentences, by name. Never a secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorAnswer:
    """What a command prints with `--json` when it refuses or fails."""

    format: int = FORMAT
    error: SpokenError


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenLine:
    """One line of the checklist, in the reader's language."""

    name: str
    state: LineState
    statement: str
    """What was found."""
    fix: str | None
    """What to do about it; None for a line that holds."""
    mendable: bool
    """Whether `stratum check --fix` can mend it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecklistAnswer:
    """What `stratum check --json` prints."""

    format: int = FORMAT
    all_hold: bool
    """Whether every line holds or was accepted by name; a line that could not be looked at does not hold."""
    lines: tuple[SpokenLine, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeAnswer:
    """What a command that carries out a plan prints with `--json`."""

    format: int = FORMAT
    plan: Plan
    end: PlanEnd | None
    """None for a dry run: nothing was carried out."""
    facts: Facts
    """What the steps learned: the new backup's id, the databases' names, the verdict."""
