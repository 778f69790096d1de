"""Demo data for the console: two accounts nobody can sign in to, and a few events, so that no page is empty."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from stratum.backend.events import EventKind, Visitor, record_event
from stratum.backend.identity import Identity
from stratum.backend.models import Event, User
from stratum.backend.names import fold_name
from stratum.backend.roles import Role
from stratum.backend.user_lock import lock_users

_VISITOR = Visitor(address="demo", user_agent="")
_ACCOUNTS = (("Demo viewer", Role.VIEWER), ("Demo operator", Role.OPERATOR))


def load_demo_data(identity: Identity) -> bool:
    """Load it once; False when it was loaded before, even if somebody has removed the accounts since.

    The accounts are disabled and have no password; an administrator can give them one. Nothing that exists changes.
    """
    with identity.transaction() as session:
        lock_users(session)
        if session.scalar(select(Event.id).where(Event.kind == EventKind.DEMO_DATA_LOADED).limit(1)) is not None:
            return False
        for name, role in _ACCOUNTS:
            if session.scalar(select(User.id).where(User.folded_name == fold_name(name))) is None:
                account = User(name=name, folded_name=fold_name(name), role=role, password_hash=None, disabled=True)
                session.add(account)
        earlier = identity.now() - timedelta(hours=1)
        session.add(
            Event(at=earlier, kind=EventKind.SIGN_IN_FAILED, who="Demo viewer", address="demo", details={"demo": "yes"})
        )
        record_event(session, identity, _VISITOR, kind=EventKind.DEMO_DATA_LOADED, who="stratum")
        return True
