"""The console's database: connections that say within about a second that it is down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

_CONNECT_TIMEOUT_S = 1
_STATEMENT_TIMEOUT_MS = 10_000
_CONNECTIONS = 8


def open_engine(url: str) -> Engine:
    """A small pool that connects on first use, and notices before each use that a connection has died."""
    return create_engine(
        url,
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS,
        pool_timeout=2 * _CONNECT_TIMEOUT_S,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "tcp_user_timeout": 3000,
            "application_name": "stratum-backend",
            "options": f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c timezone=UTC",
        },
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on any error. Records stay readable afterwards."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


def ping(engine: Engine) -> None:
    """Raises SQLAlchemy's OperationalError or TimeoutError when the database does not answer."""
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
