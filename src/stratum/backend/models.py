"""The console's own tables: users, their sessions, what happened to them, and the releases that know the schema."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, CheckConstraint, DateTime, ForeignKey, Index, MetaData, String, Uuid, func
from sqlalchemy.orm import Mapped, mapped_as_dataclass, mapped_column, registry
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from stratum.backend.roles import Role

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_TYPES: dict[Any, TypeEngine[Any]] = {
    datetime: DateTime(timezone=True),
    UUID: Uuid(),
    Role: String(20),
    dict[str, str]: JSON(),
}
_MAPPER = registry(metadata=METADATA, type_annotation_map=_TYPES)


def _arguments(*items: SchemaItem) -> tuple[SchemaItem, ...]:
    return items


@mapped_as_dataclass(_MAPPER, kw_only=True, repr=False)
class User:
    """Somebody who signs in with a name and a password."""

    __tablename__ = "users"
    __table_args__ = _arguments(
        CheckConstraint("role IN ('viewer', 'operator', 'administrator')", name="role"),
        Index("uq_users_folded_name", "folded_name", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=uuid4)
    name: Mapped[str] = mapped_column(String(60))
    """As it was typed, in NFKC."""
    folded_name: Mapped[str] = mapped_column(String(200))
    """The name as it is compared: capitals make no difference."""
    role: Mapped[Role] = mapped_column(String(20))
    password_hash: Mapped[str | None] = mapped_column(String(300))
    """Argon2id with its parameters; None for an account nobody can sign in to."""
    disabled: Mapped[bool] = mapped_column(default=False, server_default="false")
    created_at: Mapped[datetime] = mapped_column(init=False, server_default=func.now())
    password_changed_at: Mapped[datetime | None] = mapped_column(default=None)


@mapped_as_dataclass(_MAPPER, kw_only=True, repr=False)
class SignInSession:
    """One sign-in and all the refresh tokens that came of it."""

    __tablename__ = "sessions"
    __table_args__ = _arguments(Index("ix_sessions_user_id", "user_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    epoch: Mapped[int]
    """The token epoch at the sign-in: a session of another one has ended."""
    address: Mapped[str] = mapped_column(String(60))
    user_agent: Mapped[str] = mapped_column(String(300))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(default=None)


@mapped_as_dataclass(_MAPPER, kw_only=True, repr=False)
class RefreshToken:
    """One refresh token, by its hash. A used one stays until its session goes, so that a second use is noticed."""

    __tablename__ = "refresh_tokens"
    __table_args__ = _arguments(Index("ix_refresh_tokens_session_id", "session_id"))

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None] = mapped_column(default=None)


@mapped_as_dataclass(_MAPPER, kw_only=True, repr=False)
class FirstRunToken:
    """The one token that makes the first administrator, by its hash: at most one row."""

    __tablename__ = "first_run_token"
    __table_args__ = _arguments(CheckConstraint("id = 1", name="single"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    token_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


@mapped_as_dataclass(_MAPPER, kw_only=True, repr=False)
class Event:
    """Something that happened to sign-ins or users: the console's own part of the audit."""

    __tablename__ = "events"
    __table_args__ = _arguments(Index("ix_events_at", "at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=uuid4)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(40))
    who: Mapped[str] = mapped_column(String(60))
    """The name of whoever did it, as it was then; for a failed sign-in the name that was tried."""
    address: Mapped[str] = mapped_column(String(60))
    details: Mapped[dict[str, str]] = mapped_column(JSON, default_factory=dict)
    """Never a secret."""


@mapped_as_dataclass(_MAPPER, kw_only=True, repr=False)
class ReleaseRecord:
    """A release that migrated this database or served on it, and the migrations it knew, oldest first."""

    __tablename__ = "releases"

    release: Mapped[str] = mapped_column(String(100), primary_key=True)
    schema_head: Mapped[str] = mapped_column(String(40), primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(init=False, server_default=func.now())


@mapped_as_dataclass(_MAPPER, kw_only=True, repr=False)
class ReleasePermit:
    """What a rollback leaves after it proved an older release on a newer schema: that release may start on it."""

    __tablename__ = "release_permits"

    release: Mapped[str] = mapped_column(String(100), primary_key=True)
    schema_head: Mapped[str] = mapped_column(String(40), primary_key=True)
    proven_at: Mapped[datetime]
