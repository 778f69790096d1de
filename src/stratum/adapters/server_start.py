"""Waits until a server that was just started accepts connections, and reads its log when it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from stratum.adapters.endpoint import Endpoint
from stratum.core.errors import StratumError

_DEADLINE_SECONDS = 60.0
_POLL_SECONDS = 0.02


def wait_until_ready(endpoint: Endpoint, *, has_ended: Callable[[], bool], log: Path) -> None:
    """Return once the server accepts connections. Raises `server-start-failed` with the end of its log."""
    import psycopg

    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not answers(endpoint):
        if has_ended() or time.monotonic() > deadline:
            raise StratumError("server-start-failed", log=last_lines(log))
        time.sleep(_POLL_SECONDS)
    with psycopg.connect(endpoint.conninfo("postgres"), password=endpoint.password.reveal):
        """A ping asks for no password; a server that pings and refuses the connection is not ready either."""


def answers(endpoint: Endpoint) -> bool:
    """Whether a server accepts connections, asked without logging in.

    (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PQPING)
    """
    from psycopg.pq import PGconn, Ping

    return PGconn.ping(endpoint.conninfo("postgres").encode()) == Ping.OK


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log in one line, fit to stand in an error."""
    if not log.exists():
        return "it left no log"
    return " | ".join(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-count:])
