"""Who asks, and what they may do: each role may also do what the one before it may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """A user's role."""

    VIEWER = "viewer"
    """Reads everything but the users."""
    OPERATOR = "operator"
    """Also takes backups, drills, restores and prunes."""
    ADMINISTRATOR = "administrator"
    """Also manages the users."""

    def covers(self, needed: Role) -> bool:
        """Whether whoever has this role may do what `needed` may."""
        order = tuple(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Whoever sent a request, as the token and the console's database know them by now."""

    user_id: UUID | None
    """None for a console-token session, which belongs to no user."""
    name: str
    role: Role
    session_id: UUID | None
    read_only: bool
    """A console-token session: it reads, whatever happens to roles."""
