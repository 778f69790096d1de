"""The line about the console's services: red for one that does not answer, unknown for one that only just began."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from stratum.core.checklist import LineState
from stratum.core.errors import StratumError
from stratum.core.services import ServicePhase, ServiceState
from stratum.engine.check import look_at_services
from stratum.ports import Ports, Services
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over
from tests.fixtures.manifests import NOW


@dataclass(frozen=True, slots=True)
class _Found:
    states: tuple[ServiceState, ...]

    def observe(self, *, ask: bool) -> tuple[ServiceState, ...]:
        del ask
        return self.states


def _state(name: str, *, since: datetime, healthy: bool, phase: ServicePhase = ServicePhase.RUNNING) -> ServiceState:
    return ServiceState(name=name, phase=phase, port=1, wished_port=1, address="", since=since, healthy=healthy)


def _ports(*states: ServiceState) -> Ports:
    return replace(ports_over(RecordingJournal(World())), services=cast("Services", _Found(states)))


_LONG_AGO = NOW - timedelta(minutes=5)
_AGENT = _state("agent", since=_LONG_AGO, healthy=True)


def test_a_service_that_has_only_just_begun_is_not_called_red_yet() -> None:
    with pytest.raises(StratumError, match="backend"):
        look_at_services(_ports(_AGENT, _state("backend", since=NOW, healthy=False)))


@pytest.mark.parametrize(
    "down",
    [
        _state("backend", since=_LONG_AGO, healthy=False),
        _state("backend", since=NOW, healthy=False, phase=ServicePhase.WAITING),
    ],
    ids=["silent", "ended"],
)
def test_a_service_that_is_silent_for_long_or_has_ended_is_red(down: ServiceState) -> None:
    just_begun = _state("frontend", since=NOW, healthy=False)

    assert look_at_services(_ports(_AGENT, down)).state is LineState.RED
    assert look_at_services(_ports(_AGENT, down, just_begun)).state is LineState.RED


def test_services_that_answer_hold() -> None:
    assert look_at_services(_ports(_AGENT)).state is LineState.HOLDS
