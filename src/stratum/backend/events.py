"""The console's own part of the audit: what happened to sign-ins and users."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from stratum.backend.identity import Identity
from stratum.backend.models import Event


class EventKind(StrEnum):
    """What can happen to sign-ins and users."""

    FIRST_ADMINISTRATOR = "first-administrator"
    SIGNED_IN = "signed-in"
    SIGN_IN_FAILED = "sign-in-failed"
    SIGNED_IN_BY_CONSOLE_TOKEN = "signed-in-by-console-token"  # noqa: S105  a kind of event, not a token
    SIGNED_OUT = "signed-out"
    SIGNED_OUT_EVERYWHERE = "signed-out-everywhere"
    SESSION_ENDED = "session-ended"
    REFRESH_TOKEN_REUSED = "refresh-token-reused"  # noqa: S105  a kind of event, not a token
    PASSWORD_CHANGED = "password-changed"  # noqa: S105  a kind of event, not a password
    USER_CREATED = "user-created"
    USER_CHANGED = "user-changed"
    USER_REMOVED = "user-removed"
    RESCUE_KIT_MADE = "rescue-kit-made"
    DEMO_DATA_LOADED = "demo-data-loaded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """Where a request came from, as far as it says."""

    address: str
    user_agent: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleEvent:
    """One event as the audit shows it."""

    id: UUID
    at: datetime
    kind: str
    """An EventKind; a newer release may have written one that this one does not know."""
    who: str
    address: str
    details: dict[str, str]


def visitor_of(request: Request) -> Visitor:
    """The address is that of the connection; a proxy's word for it is taken where TRUSTED_PROXIES names it."""
    address = request.client.host if request.client else "unknown"
    return Visitor(address=address[:60], user_agent=_visible(request.headers.get("user-agent", ""))[:300])


def record_event(
    session: Session, identity: Identity, visitor: Visitor, *, kind: EventKind, who: str, **details: str
) -> None:
    """Note it in the transaction that does it."""
    event = Event(
        at=identity.now(), kind=kind.value, who=_visible(who)[:60], address=visitor.address, details=dict(details)
    )
    session.add(event)


def newest_events(identity: Identity, *, limit: int, before: datetime | None = None) -> tuple[ConsoleEvent, ...]:
    """The newest events, or the newest before a time, newest first."""
    wanted = select(Event).order_by(Event.at.desc(), Event.id).limit(limit)
    if before is not None:
        wanted = wanted.where(Event.at < before)
    with identity.transaction() as session:
        found = session.scalars(wanted).all()
    return tuple(
        ConsoleEvent(id=e.id, at=e.at, kind=e.kind, who=e.who, address=e.address, details=e.details) for e in found
    )


def _visible(text: str) -> str:
    """PostgreSQL's text takes no NUL, and a log no line breaks."""
    return "".join(character if character.isprintable() else "�" for character in text)
