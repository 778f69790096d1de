"""stop ends what writes, then the database, and last what receives its WAL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from stratum.core.identity import Likeness
from stratum.engine import bring_up
from stratum.engine.bring_up import take_down
from stratum.engine.tripwire import Sighting
from stratum.ports import RunState, Runtime, ServerState, Services
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over


class _Noting:
    """Notes what is stopped, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def observe(self, *, ask: bool = False) -> Any:  # noqa: ANN401 - a server's state, or the services'
        del ask
        return ServerState(state=RunState.RUNNING, detail="it runs")

    def stop_writers(self) -> None:
        self.done.append("what writes")

    def stop(self) -> None:
        self.done.append("the rest")


class _NotingRuntime(_Noting):
    def __init__(self, noted: list[str]) -> None:
        self.done = noted

    def stop(self) -> None:
        self.done.append("the database")


def test_the_end_of_the_wal_finds_somebody_who_receives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    services = _Noting()
    runtime = _NotingRuntime(services.done)
    stranger = Sighting(likeness=Likeness.ABSENT, recorded=None, observed=None)
    monkeypatch.setattr(bring_up, "observe_sighting", lambda _: stranger)
    ports = ports_over(RecordingJournal(World()))
    ports = replace(ports, services=cast("Services", services), runtime=cast("Runtime", runtime))

    take_down(ports)

    assert services.done == ["what writes", "the database", "the rest"]
