"""Everything sign-ins and users need, put together once: the database, the keys, the epoch, the throttle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from stratum.backend.agent_sign_in import AgentDoor, EpochWatch
from stratum.backend.database import open_engine, transaction
from stratum.backend.models import SignInSession, User
from stratum.backend.roles import Caller, Role
from stratum.backend.seen_callers import SeenCallers
from stratum.backend.settings import BackendSettings
from stratum.backend.throttle import Throttle
from stratum.backend.tokens import Claims, TokenKind, TokenMint
from stratum.core.errors import StratumError

CONSOLE_TOKEN_NAME = "console token"  # noqa: S105  the name of such a session, not a token


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What the routes of sign-ins and users work with."""

    settings: BackendSettings
    engine: Engine
    mint: TokenMint
    epoch: EpochWatch
    door: AgentDoor
    throttle: Throttle
    now: Callable[[], datetime]
    prepared: threading.Event = field(default_factory=threading.Event)
    """Set once the schema is known to be this release's: before that nothing is read from the database."""
    seen: SeenCallers = field(default_factory=SeenCallers)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction on the console's database; raises `console-database-down` before it was prepared."""
        if not self.prepared.is_set():
            raise StratumError("console-database-down")
        with transaction(self.engine) as session:
            yield session

    def recall_caller(self, token: str) -> Caller | None:
        """Who this token spoke for a moment ago, if nothing has changed since; asks nobody."""
        return self.seen.recall(token, epoch=self.epoch.known, now=self.now())

    def observe_caller(self, token: str) -> Caller:
        """Who an access token speaks for, by now."""
        generation = self.seen.generation
        caller = self._look_up(token)
        if not caller.read_only:
            epoch = self.epoch.current()
            self.seen.remember(token, caller, epoch=epoch, now=self.now(), generation=generation)
        return caller

    def _look_up(self, token: str) -> Caller:
        claims = self.mint.read(token)
        if claims.epoch != self.epoch.current():
            raise StratumError("session-ended")
        if claims.kind is TokenKind.CONSOLE:
            return Caller(user_id=None, name=CONSOLE_TOKEN_NAME, role=Role.VIEWER, session_id=None, read_only=True)
        return self._observe_user(claims)

    def _observe_user(self, claims: Claims) -> Caller:
        wanted = (
            select(User.id, User.name, User.role)
            .join(SignInSession, SignInSession.user_id == User.id)
            .where(SignInSession.id == claims.session_id, User.id == claims.user_id)
            .where(SignInSession.ended_at.is_(None), SignInSession.expires_at > self.now())
            .where(SignInSession.epoch == claims.epoch, User.disabled.is_(False))
        )
        with self.transaction() as session:
            found = session.execute(wanted).one_or_none()
        if found is None:
            raise StratumError("session-ended")
        return Caller(
            user_id=found.id, name=found.name, role=Role(found.role), session_id=claims.session_id, read_only=False
        )


def open_identity(
    settings: BackendSettings, door: AgentDoor, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Identity:
    """Put it together without connecting to anything."""
    return Identity(
        settings=settings,
        engine=open_engine(settings.database_url),
        mint=TokenMint(secret=settings.jwt_secret, previous=settings.jwt_secret_previous, now=now),
        epoch=EpochWatch(door.epoch),
        door=door,
        throttle=Throttle(),
        now=now,
    )
