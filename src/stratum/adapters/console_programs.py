"""The console's three programs, and the agent alone: what each is started with, and nothing that it does not need."""

from __future__ import annotations

import hashlib
import hmac
import stat
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from stratum.adapters.cluster_roles import CONSOLE_ROLE
from stratum.adapters.database_url import ServerAddress
from stratum.adapters.private_directory import write_privately
from stratum.adapters.process import RunAs
from stratum.adapters.service_record import ServiceSpec
from stratum.core.stack import Secret

AGENT, BACKEND, FRONTEND = "agent", "backend", "frontend"
_HOST = "127.0.0.1"
_TAKING_BACK_SECONDS = 75.0
"""A job that runs is taken back before the agent ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleSettings:
    """What the console's programs are told of a stack."""

    stack_directory: Path
    directory: Path
    """The database's directory, with run/ and logs/ in it."""
    database: str
    password: Secret
    jwt_secret: Secret
    options: dict[str, str]
    """JWT_ACCESS_TTL and the like of .env, handed on to the backend as they are."""
    previous: Secret | None = None
    """The key before `jwt_secret`, while what it signed still counts."""

    def secret_for(self, what: str) -> Secret:
        """A secret of its own for each use: who learns one of them does not know the others."""
        return _derived(self.jwt_secret, what)


def build_services(
    settings: ConsoleSettings, ports: Mapping[str, int], *, database: ServerAddress, run_as: RunAs | None
) -> tuple[ServiceSpec, ...]:
    """The three programs on these ports. Writes the agent's secret to a 0600 file, which the backend may read."""
    account = run_as if run_as is not None and code_can_be_read() else None
    owner = account.uid if account else None
    secret_file = _write_secret(settings.directory, settings.secret_for(AGENT), owner=owner)
    agent = f"http://{_HOST}:{ports[AGENT]}"
    backend = f"http://{_HOST}:{ports[BACKEND]}"
    to_agent = _agent_environment(settings.stack_directory, secret_file, ports[AGENT])
    to_backend = settings.options | {
        "HOST": _HOST,
        "PORT": str(ports[BACKEND]),
        "AGENT_URL": agent,
        "AGENT_SECRET_FILE": str(secret_file),
        "CONSOLE_DATABASE_URL": _database_url(settings, database),
        "JWT_SECRET": settings.jwt_secret.reveal,
    }
    to_frontend = {
        "HOST": _HOST,
        "PORT": str(ports[FRONTEND]),
        "API_URL": f"{backend}/api/v1",
        "FRONTEND_SECRET": settings.secret_for(FRONTEND).reveal,
    }
    if settings.previous is not None:
        to_backend["JWT_SECRET_PREVIOUS"] = settings.previous.reveal
        to_frontend["FRONTEND_SECRET_PREVIOUS"] = _derived(settings.previous, FRONTEND).reveal
    return (
        _agent(ports[AGENT], to_agent),
        _spec(BACKEND, ports[BACKEND], "/api/v1/health/ready", to_backend, account=account),
        _spec(FRONTEND, ports[FRONTEND], "/health", to_frontend, account=account),
    )


def build_lone_agent(stack_directory: Path, directory: Path, *, port: int, secret: Secret) -> ServiceSpec:
    """The agent without a console; `secret` is what its own is derived from, which nobody is told."""
    environment = _agent_environment(stack_directory, _write_secret(directory, _derived(secret, AGENT)), port)
    return _agent(port, environment)


def _agent(port: int, environment: dict[str, str]) -> ServiceSpec:
    return replace(_spec(AGENT, port, "/health", environment, grace_seconds=_TAKING_BACK_SECONDS), stops_last=True)


def _write_secret(directory: Path, secret: Secret, *, owner: int | None = None) -> Path:
    file = directory / "run" / "agent-secret"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_privately(file, secret.reveal + "\n", owner=owner)
    return file


def _agent_environment(stack_directory: Path, secret_file: Path, port: int) -> dict[str, str]:
    return {
        "AGENT_HOST": _HOST,
        "AGENT_PORT": str(port),
        "AGENT_SECRET_FILE": str(secret_file),
        "STACK_DIRECTORY": str(stack_directory),
    }


def _derived(root: Secret, what: str) -> Secret:
    return Secret(hmac.new(root.reveal.encode(), f"stratum {what}".encode(), hashlib.sha256).hexdigest())


def code_can_be_read() -> bool:
    """Whether any account may run this Python and read this package: a home directory may be closed to it."""
    code = Path(__file__).resolve()
    libraries = (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    places = (Path(sys.executable), Path(sys.executable).resolve(), code, code.parents[1], *libraries)
    return all(_is_open(place) for place in places)


def _is_open(place: Path) -> bool:
    """Read by all, and entered where it is a directory, with every directory above it."""
    if not place.exists():
        return False
    needed = stat.S_IROTH | (stat.S_IXOTH if place.is_dir() else 0)
    return place.stat().st_mode & needed == needed and all(p.stat().st_mode & stat.S_IXOTH for p in place.parents)


def _spec(
    name: str,
    port: int,
    health: str,
    environment: dict[str, str],
    *,
    account: RunAs | None = None,
    grace_seconds: float = 10.0,
) -> ServiceSpec:
    address = f"http://{_HOST}:{port}"
    return ServiceSpec(
        name=name,
        # Without -P a file in the directory it is started from could stand in for one of ours.
        argv=(sys.executable, "-P", "-m", f"stratum.{name}"),
        environment=environment,
        port=port,
        address=address,
        health=address + health,
        uid=account.uid if account else None,
        gid=account.gid if account else None,
        grace_seconds=grace_seconds,
    )


def _database_url(settings: ConsoleSettings, server: ServerAddress) -> str:
    password, database = quote(settings.password.reveal, safe=""), quote(settings.database, safe="")
    return f"postgresql://{CONSOLE_ROLE}:{password}@{server.bracketed}:{server.port}/{database}"
