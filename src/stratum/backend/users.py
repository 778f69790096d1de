"""Users: listed, made, changed and removed, with at least one administrator left at any time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from stratum.backend.events import EventKind, Visitor, record_event
from stratum.backend.identity import Identity
from stratum.backend.models import User
from stratum.backend.names import fold_name
from stratum.backend.passwords import check_rules, hash_password
from stratum.backend.roles import Caller, Role
from stratum.backend.sessions import check_password, end_sessions_of
from stratum.backend.user_lock import lock_users
from stratum.core.errors import StratumError


@dataclass(frozen=True, kw_only=True, slots=True)
class UserAnswer:
    """One user, without anything of the password."""

    id: UUID
    name: str
    role: Role
    disabled: bool
    created_at: datetime
    password_changed_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class UserChange:
    """What is to be changed; None leaves it."""

    role: Role | None = None
    password: str | None = None
    disabled: bool | None = None


def list_users(identity: Identity) -> tuple[UserAnswer, ...]:
    """All users, by name."""
    with identity.transaction() as session:
        return tuple(_answer(user) for user in session.scalars(select(User).order_by(User.folded_name)))


def observe_user(identity: Identity, user_id: UUID) -> UserAnswer:
    """Raises `unknown-user`."""
    with identity.transaction() as session:
        return _answer(_find(session, user_id))


def create_user(
    identity: Identity, visitor: Visitor, caller: Caller, *, name: str, password: str, role: Role
) -> UserAnswer:
    """Raises `password-too-weak` or `user-exists`."""
    check_rules(password, name=name)
    hashed = hash_password(password)
    with identity.transaction() as session:
        lock_users(session)
        folded = fold_name(name)
        if session.scalar(select(User.id).where(User.folded_name == folded)) is not None:
            raise StratumError("user-exists", user=name)
        user = User(name=name, folded_name=folded, role=role, password_hash=hashed)
        session.add(user)
        session.flush()
        record_event(
            session, identity, visitor, kind=EventKind.USER_CREATED, who=caller.name, user=name, role=role.value
        )
        session.refresh(user)
        return _answer(user)


def change_user(identity: Identity, visitor: Visitor, caller: Caller, user_id: UUID, change: UserChange) -> UserAnswer:
    """A new password, or being disabled, ends the user's sessions; a new role counts from the next request on.

    Raises `unknown-user`, `last-administrator` or `password-too-weak`.
    """
    with identity.transaction() as session:
        lock_users(session)
        user = _find(session, user_id)
        loses_role = change.role not in {None, Role.ADMINISTRATOR} or change.disabled is True
        if loses_role:
            _keep_one_administrator(session, user)
        details = {"user": user.name}
        if change.role is not None:
            user.role = change.role
            details["role"] = change.role.value
        if change.disabled is not None:
            user.disabled = change.disabled
            details["disabled"] = str(change.disabled).lower()
        if change.password is not None:
            set_password(identity, user, change.password)
            details["password"] = "changed"  # noqa: S105  says that it was, not what it is
        if change.password is not None or change.disabled:
            end_sessions_of(session, identity, user.id, but=caller.session_id)
        record_event(session, identity, visitor, kind=EventKind.USER_CHANGED, who=caller.name, **details)
        session.flush()
        return _answer(user)


def remove_user(identity: Identity, visitor: Visitor, caller: Caller, user_id: UUID) -> None:
    """The user's sessions go too, and what the audit says of the user stays.

    Raises `unknown-user` or `last-administrator`.
    """
    with identity.transaction() as session:
        lock_users(session)
        user = _find(session, user_id)
        _keep_one_administrator(session, user)
        record_event(session, identity, visitor, kind=EventKind.USER_REMOVED, who=caller.name, user=user.name)
        session.delete(user)


def change_own_password(identity: Identity, visitor: Visitor, caller: Caller, *, current: str, new: str) -> None:
    """Every other session of the caller ends. Raises `wrong-sign-in`, `too-many-tries` or `password-too-weak`."""
    check_password(identity, visitor, caller, current)
    check_rules(new, name=caller.name)
    with identity.transaction() as session:
        user = _find(session, caller.user_id)
        set_password(identity, user, new)
        end_sessions_of(session, identity, user.id, but=caller.session_id)
        record_event(session, identity, visitor, kind=EventKind.PASSWORD_CHANGED, who=caller.name)


def set_password(identity: Identity, user: User, password: str) -> None:
    """Raises `password-too-weak`."""
    check_rules(password, name=user.name)
    user.password_hash = hash_password(password)
    user.password_changed_at = identity.now()


def _keep_one_administrator(session: Session, user: User) -> None:
    """Raises `last-administrator` when nobody else could manage the users."""
    if user.role != Role.ADMINISTRATOR or user.disabled:
        return
    others = select(func.count()).where(User.role == Role.ADMINISTRATOR, User.disabled.is_(False), User.id != user.id)
    if not session.scalar(others):
        raise StratumError("last-administrator", user=user.name)


def _find(session: Session, user_id: UUID | None) -> User:
    user = session.get(User, user_id) if user_id else None
    if user is None:
        raise StratumError("unknown-user", user=user_id)
    return user


def _answer(user: User) -> UserAnswer:
    return UserAnswer(
        id=user.id,
        name=user.name,
        role=Role(user.role),
        disabled=user.disabled,
        created_at=user.created_at,
        password_changed_at=user.password_changed_at,
    )
