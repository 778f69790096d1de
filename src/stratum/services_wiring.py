"""Chooses the services of a stack on this machine: the console's three programs, or the agent alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stratum.adapters.clock import SystemClock
from stratum.adapters.console_programs import (
    AGENT,
    BACKEND,
    FRONTEND,
    ConsoleSettings,
    build_lone_agent,
    build_services,
)
from stratum.adapters.database_url import ServerAddress
from stratum.adapters.local_services import LocalServices
from stratum.adapters.postgresql_installation import observe_run_as
from stratum.config import Settings
from stratum.core.lifetimes import previous_key
from stratum.core.stack import Secret
from stratum.ports import Runtime
from stratum.served_wiring import own_server_url

if TYPE_CHECKING:
    from stratum.adapters.service_record import ServiceSpec

_HANDED_ON = ("JWT_ACCESS_TTL", "JWT_REFRESH_TTL_MS", "AUTORUN_MIGRATIONS", "SEED_ON_START")
_PORTS = {AGENT: ("AGENT_PORT", 4002), BACKEND: ("BACKEND_PORT", 4001), FRONTEND: ("FRONTEND_PORT", 3000)}


def local_services(settings: Settings, runtime: Runtime, *, with_agent: bool = False) -> LocalServices:
    """The console's programs, or none where it is off; `with_agent` then has the agent all the same.

    Raises `missing-secret` and `invalid-setting`.
    """
    directory = settings.database_directory
    if settings.console.enabled:
        wishes = {name: settings.port(variable, otherwise=port) for name, (variable, port) in _PORTS.items()}
        return LocalServices(directory, wishes=wishes, build=lambda ports: _console(settings, runtime, ports))
    if not with_agent:
        return LocalServices(directory, wishes={}, build=lambda _: ())
    variable, otherwise = _PORTS[AGENT]

    def build(ports: Mapping[str, int]) -> tuple[ServiceSpec, ...]:
        secret = settings.secret("BACKUP_PASSWORD")
        return (build_lone_agent(settings.directory, directory, port=ports[AGENT], secret=secret),)

    return LocalServices(directory, wishes={AGENT: settings.port(variable, otherwise=otherwise)}, build=build)


def _console(settings: Settings, runtime: Runtime, ports: Mapping[str, int]) -> tuple[ServiceSpec, ...]:
    before = previous_key(settings.environment, SystemClock().now())
    console = ConsoleSettings(
        stack_directory=settings.directory,
        directory=settings.database_directory,
        database=settings.console.database,
        password=settings.secret("CONSOLE_PASSWORD"),
        jwt_secret=settings.secret("JWT_SECRET"),
        options={name: settings.environment[name] for name in _HANDED_ON if settings.environment.get(name)},
        previous=Secret(before) if before else None,
    )
    return build_services(console, ports, database=_database_address(settings, runtime), run_as=observe_run_as())


def _database_address(settings: Settings, runtime: Runtime) -> ServerAddress:
    """Where the console's programs find the database."""
    if settings.is_external:
        return own_server_url(settings).address
    return ServerAddress(host="127.0.0.1", port=runtime.observe().port or settings.port())
