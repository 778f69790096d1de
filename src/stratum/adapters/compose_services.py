"""Stratum's own containers as the services of a stack: what `ps` shows, and what `up` and `stop` move."""

from __future__ import annotations

from stratum.adapters.compose_project import ComposeProject
from stratum.core.containers import GUARD, POSTGRES, ContainerState
from stratum.core.services import ServicePhase, ServiceState


class ComposeServices:
    """All services of the project beside the database and the one-shot guard."""

    def __init__(self, project: ComposeProject, *, planned: tuple[str, ...]) -> None:
        self._project = project
        self._planned = planned

    def planned(self) -> tuple[str, ...]:
        return self._planned

    def observe(self, *, ask: bool) -> tuple[ServiceState, ...]:
        """Docker's own health checks answer for `ask`."""
        del ask
        found = {state.service: state for state in self._project.containers()}
        names = (*self._planned, *sorted(found.keys() - {*self._planned, POSTGRES, GUARD}))
        return tuple(_state(name, found.get(name)) for name in names)

    def start(self) -> None:
        self._project.start()

    def stop(self) -> None:
        self._project.stop(self._planned)

    def stop_writers(self) -> None:
        self._project.stop(self._project.application_services())

    def renew(self, name: str) -> None:
        self._project.start((name,), recreate=True)

    def log(self, name: str, lines: int) -> list[str]:
        return self._project.log(name, lines)


def _state(name: str, found: ContainerState | None) -> ServiceState:
    if found is None:
        return ServiceState(name=name, phase=ServicePhase.STOPPED, port=0, wished_port=0, address="")
    phases = {"running": ServicePhase.RUNNING, "restarting": ServicePhase.WAITING}
    phase = phases.get(found.state, ServicePhase.STOPPED)
    address = f"http://127.0.0.1:{found.port}" if found.port else f"its own network only ({found.container})"
    return ServiceState(
        name=name,
        phase=phase,
        port=found.port or 0,
        wished_port=found.port or 0,
        address=address,
        exit_code=found.exit_code if phase is not ServicePhase.RUNNING else None,
        healthy=found.serves if phase is ServicePhase.RUNNING and found.health != "starting" else None,
    )
