"""An accident happens although the clients hold locks on what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import psycopg
import pytest

from stratum.demo import disasters
from stratum.demo.disasters import DISASTERS, Scene


class _Server:
    """Answers with a deadlock a few times, then takes the statement."""

    def __init__(self, deadlocks: int) -> None:
        self.deadlocks, self.statements = deadlocks, list[bytes]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def execute(self, statement: bytes) -> None:
        if self.deadlocks:
            self.deadlocks -= 1
            raise psycopg.errors.DeadlockDetected
        self.statements.append(statement)


def test_a_deadlock_with_the_clients_does_not_spare_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    server = _Server(deadlocks=3)
    monkeypatch.setattr(psycopg, "connect", lambda *_, **__: server)
    (dropped,) = (disaster for disaster in DISASTERS if disaster.name == "table-dropped")

    dropped.strike(Scene(dsn="", data_directory=Path(), take_backup=Path))

    assert server.statements == [b"DROP TABLE public.transfers CASCADE"]


def test_an_accident_that_never_gets_through_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg, "connect", lambda *_, **__: _Server(deadlocks=disasters._TRIES))

    with pytest.raises(psycopg.errors.DeadlockDetected):
        DISASTERS[1].strike(Scene(dsn="", data_directory=Path(), take_backup=Path))
