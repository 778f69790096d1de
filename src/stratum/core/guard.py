"""Guards: the conditions a plan must meet, each with the refusal it becomes when it does not hold."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardResult:
    """One condition, looked at once, when the plan was made."""

    name: str
    holds: bool
    statement: str
    """What was observed, in one sentence with its numbers."""
    code: str
    """The error this guard becomes when it does not hold."""
    details: dict[str, str] = field(default_factory=dict)
    """The values that error's three sentences need."""


def failing(guards: tuple[GuardResult, ...]) -> tuple[GuardResult, ...]:
    """The guards that do not hold, in the order they were looked at."""
    return tuple(guard for guard in guards if not guard.holds)
