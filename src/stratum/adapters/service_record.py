"""What a supervisor is told, and what it says: its services, and services.json, which shows how they stand."""

from __future__ import annotations

import hashlib
import signal
from dataclasses import dataclass, field
from pathlib import Path

from stratum.adapters.private_directory import is_locked, read_privately, write_privately
from stratum.adapters.records import parse, to_json
from stratum.core.errors import StratumError
from stratum.core.services import ServiceState

NO_MORE_WAITING = signal.SIGHUP
"""Tells a supervisor to start at once what waits to be started again."""
ONLY_THE_LAST = signal.SIGUSR1
"""Tells a supervisor to end what writes to the database, and to start none of it until it is hurried."""
TOLD_BY = "STRATUM_SERVICES"
"""The variable of the supervisor's environment that holds its `Orders`: they contain passwords."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSpec:
    """One service: what to start, as whom, and how to tell that it serves."""

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)
    """What it gets beside the variables every program needs; holds secrets."""
    port: int
    address: str
    health: str
    """Answers 200 when the service serves."""
    uid: int | None = None
    gid: int | None = None
    grace_seconds: float = 10.0
    """How long it may take to end."""
    stops_last: bool = False
    """Whether it goes on until the database has stopped: it receives the end of its WAL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Orders:
    """All that a supervisor is told."""

    services: tuple[ServiceSpec, ...]
    wishes: dict[str, int]
    """The port each service was meant to have."""
    inherited: dict[str, str] = field(repr=False)
    """Variables of the shell that every service gets."""

    @property
    def digest(self) -> str:
        """The same for the same orders, whatever shell they are given from."""
        told = "\n".join(to_json(spec) for spec in self.services)
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Supervision:
    """services.json: a supervisor and its services."""

    format: int = 1
    supervisor: int
    """Its process id."""
    digest: str
    wishes: dict[str, int]
    health: dict[str, str]
    services: tuple[ServiceState, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisionFiles:
    """Where one stack's supervisor leaves its traces."""

    directory: Path
    """The database's directory, which holds run/ and logs/."""

    @property
    def lock(self) -> Path:
        return self.directory / "run" / "services.lock"

    @property
    def record(self) -> Path:
        return self.directory / "run" / "services.json"

    def log(self, service: str) -> Path:
        return self.directory / "logs" / f"{service}.log"

    def is_supervised(self) -> bool:
        """Whether a supervisor lives: it holds the lock for as long, and the kernel lets go of it when it dies."""
        return is_locked(self.lock)

    def write(self, found: Supervision) -> None:
        write_privately(self.record, to_json(found) + "\n")

    def read(self) -> Supervision | None:
        """What was written last; None when nothing was, or nobody can read it."""
        text = read_privately(self.record)
        if text is None:
            return None
        try:
            return parse(Supervision, text, file=self.record.name)
        except StratumError:
            return None
