"""One change of users at a time, so that two at once cannot remove the last two administrators."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

_USERS_LOCK = 7_214_301


def lock_users(session: Session) -> None:
    """Wait for another change of users to end; held until the transaction does."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _USERS_LOCK})
