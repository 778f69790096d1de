"""Looks at a database in one snapshot, and gives up after a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from stratum.core.errors import StratumError

_AGAIN_S = 0.2


@contextmanager
def looking(connection: psycopg.Connection[Any], *, seconds: float | None) -> Iterator[None]:
    """Within it the connection is in one snapshot that changes nothing; it has to be closed afterwards.

    With `seconds` the server is told to stop after so many, however many statements they were spent on. Raises
    `not-counted-in-time` then. (https://www.postgresql.org/docs/current/libpq-cancel.html)
    """
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    if seconds is None:
        yield
        return
    over, late = threading.Event(), threading.Event()
    watch = threading.Thread(target=_give_up, args=(connection, seconds, over, late), daemon=True)
    watch.start()
    try:
        yield
    except psycopg.errors.QueryCanceled:
        if not late.is_set():
            raise
        raise StratumError("not-counted-in-time") from None
    finally:
        over.set()
        watch.join()


def _give_up(connection: psycopg.Connection[Any], seconds: float, over: threading.Event, late: threading.Event) -> None:
    """Again and again: what is cancelled between two statements stops neither, and a request may not get through."""
    if over.wait(seconds):
        return
    late.set()
    while not over.wait(_AGAIN_S):
        with suppress(psycopg.Error):
            connection.cancel_safe(timeout=5)
