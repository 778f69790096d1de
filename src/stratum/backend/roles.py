"""What a user of the console may do: each role may also do what the one before it may."""

from __future__ import annotations

from enum import StrEnum


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
