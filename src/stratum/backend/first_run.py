"""The first administrator: made with a one-time token that only whoever reads the log knows; no default password."""

from __future__ import annotations

import secrets

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from stratum.backend.events import EventKind, Visitor, record_event
from stratum.backend.identity import Identity
from stratum.backend.models import FirstRunToken, User
from stratum.backend.names import fold_name
from stratum.backend.passwords import check_rules, hash_password
from stratum.backend.roles import Role
from stratum.backend.sessions import TokensAnswer, open_session
from stratum.backend.tokens import hash_opaque_token, new_opaque_token
from stratum.backend.user_lock import lock_users
from stratum.core.errors import StratumError


def is_needed(identity: Identity) -> bool:
    """Whether there is no administrator who could make other users."""
    with identity.transaction() as session:
        return not _has_administrator(session)


def make_first_run_token(identity: Identity) -> str | None:
    """A new token in place of any older one; None when an administrator exists. Only its hash is kept."""
    with identity.transaction() as session:
        lock_users(session)
        session.execute(delete(FirstRunToken))
        if _has_administrator(session):
            return None
        token = new_opaque_token()
        session.add(FirstRunToken(token_hash=hash_opaque_token(token), created_at=identity.now()))
        return token


def make_first_administrator(
    identity: Identity, visitor: Visitor, *, token: str, name: str, password: str
) -> TokensAnswer:
    """Use the token up and sign the new administrator in.

    Raises `first-run-token-refused`, `first-run-over`, `password-too-weak`, `user-exists` or `too-many-tries`.
    """
    # Counted by address alone: a stranger's tries must not keep everybody out.
    identity.throttle.count(name=f"\0first run {visitor.address}", address=visitor.address)
    epoch = identity.epoch.current()
    with identity.transaction() as session:
        lock_users(session)
        if _has_administrator(session):
            raise StratumError("first-run-over")
        kept = session.scalar(select(FirstRunToken.token_hash)) or ""
        if not secrets.compare_digest(kept, hash_opaque_token(token)):
            raise StratumError("first-run-token-refused")
        check_rules(password, name=name)
        if session.scalar(select(User.id).where(User.folded_name == fold_name(name))) is not None:
            raise StratumError("user-exists", user=name)
        user = User(
            name=name, folded_name=fold_name(name), role=Role.ADMINISTRATOR, password_hash=hash_password(password)
        )
        session.add(user)
        session.execute(delete(FirstRunToken))
        session.flush()
        record_event(session, identity, visitor, kind=EventKind.FIRST_ADMINISTRATOR, who=name)
        answer = open_session(session, identity, visitor, user, epoch)
    identity.throttle.forget(name=f"\0first run {visitor.address}")
    return answer


def _has_administrator(session: Session) -> bool:
    wanted = select(User.id).where(User.role == Role.ADMINISTRATOR, User.disabled.is_(False)).limit(1)
    return session.scalar(wanted) is not None
