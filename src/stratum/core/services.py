"""The local processes beside the database: the agent, the backend and the frontend, as a supervisor sees them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FORMAT = 1


class ServicePhase(StrEnum):
    """How one service stands."""

    RUNNING = "running"
    WAITING = "waiting"
    """It ended by itself, and is started again after a pause that grows."""
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceState:
    """One service, looked at just now."""

    name: str
    phase: ServicePhase
    pid: int | None = None
    port: int
    wished_port: int
    """The port of .env; another one is taken where another program listens on it."""
    address: str
    """Where it listens, on this machine only."""
    restarts: int = 0
    """How often it ended by itself since the supervisor was started."""
    since: datetime | None = None
    """When its process was started, or ended."""
    exit_code: int | None = None
    """How it ended last; negative for a signal."""
    healthy: bool | None = None
    """Whether it answers; None where nobody asked."""

    @property
    def serves(self) -> bool:
        return self.phase is ServicePhase.RUNNING and self.healthy is not False


@dataclass(frozen=True, kw_only=True, slots=True)
class ServicesAnswer:
    """What `stratum ps --json` prints."""

    format: int = FORMAT
    database: str
    """`running`, `stopped`, `absent` or `damaged`."""
    database_detail: str
    services: tuple[ServiceState, ...]


def console_address(services: tuple[ServiceState, ...]) -> str | None:
    """Where a person opens the console; None while its frontend does not run."""
    found = (s.address for s in services if s.name == "frontend" and s.phase is ServicePhase.RUNNING)
    return next(found, None)
