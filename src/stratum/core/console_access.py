"""Who may sign in to the console when its database cannot say: one-time tokens, and the epoch of all sessions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

FORMAT = 1
TOKEN_LIFE = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleToken:
    """A one-time token as it is kept: whoever reads it here cannot sign in with it."""

    sha256: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleAccess:
    """console.json of the archive: what is known of sign-ins without the console's database."""

    format: int = FORMAT
    token_epoch: int = 1
    """Raised when the console's database is replaced: sign-ins of an earlier epoch have ended."""
    raised_for: str | None = None
    """The plan that raised it last, so that a plan that is resumed raises it once."""
    tokens: tuple[ConsoleToken, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleTokenAnswer:
    """What `stratum console-token --json` prints."""

    format: int = FORMAT
    token: str
    expires_at: datetime
    address: str | None
    """Where to use it; None while the frontend does not run."""


def digest_token(token: str) -> str:
    """A token is 32 random bytes, so a plain hash of it cannot be turned back."""
    return hashlib.sha256(token.encode()).hexdigest()


def with_token(access: ConsoleAccess, token: str, *, now: datetime) -> ConsoleAccess:
    """The same with one more token, good for a quarter of an hour; those that are too old are forgotten."""
    added = ConsoleToken(sha256=digest_token(token), expires_at=now + TOKEN_LIFE)
    return replace(access, tokens=(*_fresh(access, now), added))


def without_token(access: ConsoleAccess, token: str, *, now: datetime) -> ConsoleAccess | None:
    """The same with this token used up; None when it is not one that may be used now."""
    wanted = digest_token(token)
    fresh = _fresh(access, now)
    left = tuple(kept for kept in fresh if kept.sha256 != wanted)
    return None if len(left) == len(fresh) else replace(access, tokens=left)


def raised(access: ConsoleAccess, *, because: str) -> ConsoleAccess:
    """The next epoch; the same one when `because`, a plan's id, raised it already."""
    if access.raised_for == because:
        return access
    return replace(access, token_epoch=access.token_epoch + 1, raised_for=because)


def _fresh(access: ConsoleAccess, now: datetime) -> tuple[ConsoleToken, ...]:
    return tuple(token for token in access.tokens if now < token.expires_at)
