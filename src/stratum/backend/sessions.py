"""Sessions: signing in, going on with a refresh token, and ending."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from stratum.backend.events import EventKind, Visitor, record_event
from stratum.backend.identity import CONSOLE_TOKEN_NAME, Identity
from stratum.backend.models import RefreshToken, SignInSession, User
from stratum.backend.names import fold_name
from stratum.backend.passwords import hash_password, verify_password, wants_rehash
from stratum.backend.roles import Caller, Role
from stratum.backend.tokens import Claims, TokenKind, hash_opaque_token, new_opaque_token
from stratum.core.errors import StratumError

CONSOLE_TOKEN_LIFETIME = timedelta(minutes=30)
_KEPT_AFTER_END = timedelta(days=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenUser:
    """Whom the tokens are for."""

    id: UUID | None
    """None for a console-token session."""
    name: str
    role: Role


@dataclass(frozen=True, kw_only=True, slots=True)
class TokensAnswer:
    """What a sign-in gives."""

    access_token: str
    refresh_token: str | None
    """Good once; None for a console-token session."""
    token_type: str = "Bearer"  # noqa: S105  the scheme's name
    expires_in: int
    """Seconds until the access token expires."""
    user: TokenUser


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionSummary:
    """One session that has not ended."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    address: str
    user_agent: str
    current: bool
    """Whether this request belongs to it."""


def sign_in(identity: Identity, visitor: Visitor, name: str, password: str) -> TokensAnswer:
    """Raises `wrong-sign-in`, which does not tell whether the name exists, or `too-many-tries`."""
    folded = fold_name(name)
    identity.throttle.count(name=folded, address=visitor.address)
    epoch = identity.epoch.current()
    with identity.transaction() as session:
        # Nobody's name has a character that is not seen, and PostgreSQL refuses to be asked for one with a NUL.
        known = select(User).where(User.folded_name == folded)
        user = session.scalar(known) if folded.isprintable() else None
        fits = verify_password(password, user.password_hash if user else None)
        if user is None or not fits or user.disabled:
            record_event(session, identity, visitor, kind=EventKind.SIGN_IN_FAILED, who=name)
        else:
            _rehash(user, password)
            record_event(session, identity, visitor, kind=EventKind.SIGNED_IN, who=user.name)
            answer = open_session(session, identity, visitor, user, epoch)
            identity.throttle.forget(name=folded)
            return answer
    raise StratumError("wrong-sign-in")


def check_password(identity: Identity, visitor: Visitor, caller: Caller, password: str) -> None:
    """Ask for the password once more; raises `wrong-sign-in` or `too-many-tries`. Noted in the audit when wrong."""
    folded = fold_name(caller.name)
    identity.throttle.count(name=folded, address=visitor.address)
    with identity.transaction() as session:
        user = session.get(User, caller.user_id) if caller.user_id else None
        fits = verify_password(password, user.password_hash if user else None)
        if not fits:
            record_event(session, identity, visitor, kind=EventKind.SIGN_IN_FAILED, who=caller.name)
    if not fits:
        raise StratumError("wrong-sign-in")
    identity.throttle.forget(name=folded)


def open_session(session: Session, identity: Identity, visitor: Visitor, user: User, epoch: int) -> TokensAnswer:
    """A new session of this user, with its first tokens; sessions that ended long ago are forgotten on the way."""
    now = identity.now()
    session.execute(delete(SignInSession).where(SignInSession.expires_at < now - _KEPT_AFTER_END))
    opened = SignInSession(
        user_id=user.id,
        epoch=epoch,
        address=visitor.address,
        user_agent=visitor.user_agent,
        created_at=now,
        last_used_at=now,
        expires_at=now + identity.settings.refresh_ttl,
    )
    session.add(opened)
    session.flush()
    return _issue(session, identity, opened, user)


def refresh(identity: Identity, visitor: Visitor, token: str) -> TokensAnswer:
    """New tokens for a refresh token, which is used up.

    Raises `session-ended`; a token that was used before ends its whole session and raises `refresh-token-reused`.
    """
    epoch = identity.epoch.current()
    with identity.transaction() as session:
        used = (
            update(RefreshToken)
            .where(RefreshToken.token_hash == hash_opaque_token(token), RefreshToken.used_at.is_(None))
            .values(used_at=identity.now())
            .returning(RefreshToken.session_id)
        )
        session_id = session.execute(used).scalar_one_or_none()
        if session_id is not None:
            return _go_on(session, identity, session_id, epoch)
        code = _unusable(session, identity, visitor, token)
    raise StratumError("refresh-token-reused" if code == "reused" else "session-ended")


def _go_on(session: Session, identity: Identity, session_id: UUID, epoch: int) -> TokensAnswer:
    going = session.get(SignInSession, session_id, with_for_update=True)
    user = session.get(User, going.user_id) if going else None
    now = identity.now()
    if going is None or user is None or user.disabled or going.ended_at or going.epoch != epoch:
        raise StratumError("session-ended")
    if going.expires_at <= now:
        raise StratumError("session-ended")
    going.last_used_at = now
    going.expires_at = now + identity.settings.refresh_ttl
    return _issue(session, identity, going, user)


def _unusable(session: Session, identity: Identity, visitor: Visitor, token: str) -> str:
    """Whether the token was used before, which ends its session, or never was one."""
    found = session.get(RefreshToken, hash_opaque_token(token))
    family = session.get(SignInSession, found.session_id) if found else None
    if family is None:
        return "unknown"
    if family.ended_at is None:
        family.ended_at = identity.now()
        user = session.get_one(User, family.user_id)
        record_event(session, identity, visitor, kind=EventKind.REFRESH_TOKEN_REUSED, who=user.name)
    return "reused"


def _issue(session: Session, identity: Identity, opened: SignInSession, user: User) -> TokensAnswer:
    refresh_token = new_opaque_token()
    hashed = hash_opaque_token(refresh_token)
    session.add(RefreshToken(token_hash=hashed, session_id=opened.id, created_at=identity.now()))
    lifetime = identity.settings.access_ttl
    claims = Claims(kind=TokenKind.SESSION, epoch=opened.epoch, user_id=user.id, session_id=opened.id)
    return TokensAnswer(
        access_token=identity.mint.sign(claims, lifetime),
        refresh_token=refresh_token,
        expires_in=int(lifetime.total_seconds()),
        user=TokenUser(id=user.id, name=user.name, role=Role(user.role)),
    )


def sign_in_by_console_token(identity: Identity, visitor: Visitor, token: str) -> TokensAnswer:
    """A read-only access token that needs no database; the agent uses the console token up.

    Raises `console-token-refused`, `token-epoch-unknown` when the agent is away, or `too-many-tries`.
    """
    # Counted by address alone: a stranger's tries must not keep everybody out.
    identity.throttle.count(name=f"\0console token {visitor.address}", address=visitor.address)
    epoch = identity.epoch.current()
    try:
        good = identity.door.redeem(token)
    except OSError:
        raise StratumError("token-epoch-unknown") from None
    if not good:
        raise StratumError("console-token-refused")
    claims = Claims(kind=TokenKind.CONSOLE, epoch=epoch, user_id=None, session_id=None)
    return TokensAnswer(
        access_token=identity.mint.sign(claims, CONSOLE_TOKEN_LIFETIME),
        refresh_token=None,
        expires_in=int(CONSOLE_TOKEN_LIFETIME.total_seconds()),
        user=TokenUser(id=None, name=CONSOLE_TOKEN_NAME, role=Role.VIEWER),
    )


def list_sessions(identity: Identity, caller: Caller) -> tuple[SessionSummary, ...]:
    """The caller's sessions that still go on, the one used last first."""
    with identity.transaction() as session:
        going = (
            select(SignInSession)
            .where(SignInSession.user_id == caller.user_id, SignInSession.ended_at.is_(None))
            .where(SignInSession.expires_at > identity.now(), SignInSession.epoch == identity.epoch.current())
            .order_by(SignInSession.last_used_at.desc())
        )
        found = session.scalars(going).all()
    return tuple(
        SessionSummary(
            id=s.id,
            created_at=s.created_at,
            last_used_at=s.last_used_at,
            address=s.address,
            user_agent=s.user_agent,
            current=s.id == caller.session_id,
        )
        for s in found
    )


def end_session(identity: Identity, visitor: Visitor, caller: Caller, session_id: UUID) -> None:
    """End one of the caller's own sessions; raises `unknown-session` for any other."""
    with identity.transaction() as session:
        ended = (
            update(SignInSession)
            .where(SignInSession.id == session_id, SignInSession.user_id == caller.user_id)
            .where(SignInSession.ended_at.is_(None))
            .values(ended_at=identity.now())
            .returning(SignInSession.id)
        )
        if session.execute(ended).scalar_one_or_none() is None:
            raise StratumError("unknown-session", session=session_id)
        kind = EventKind.SIGNED_OUT if session_id == caller.session_id else EventKind.SESSION_ENDED
        record_event(session, identity, visitor, kind=kind, who=caller.name)


def end_all_sessions(identity: Identity, visitor: Visitor, caller: Caller) -> None:
    """End every session of the caller, this one too."""
    if caller.user_id is None:
        return
    with identity.transaction() as session:
        end_sessions_of(session, identity, caller.user_id)
        record_event(session, identity, visitor, kind=EventKind.SIGNED_OUT_EVERYWHERE, who=caller.name)


def end_sessions_of(session: Session, identity: Identity, user_id: UUID, *, but: UUID | None = None) -> None:
    """End the sessions of a user, but for one."""
    others = update(SignInSession).where(SignInSession.user_id == user_id, SignInSession.ended_at.is_(None))
    if but is not None:
        others = others.where(SignInSession.id != but)
    session.execute(others.values(ended_at=identity.now()))


def _rehash(user: User, password: str) -> None:
    """A sign-in is the one moment at which a hash with outdated parameters can be replaced."""
    if user.password_hash is not None and wants_rehash(user.password_hash):
        user.password_hash = hash_password(password)
