"""Reads a Compose project that is there already, as Compose itself reads it; starts and changes nothing."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from stratum.adapters.adopted_settings import from_file, told_settings
from stratum.adapters.compose_answers import compose_files
from stratum.adapters.docker import Docker
from stratum.adapters.running_look import RunningProject
from stratum.adapters.source_look import observe_sources
from stratum.adapters.stack_files import is_weak
from stratum.core.adopted_tools import FoundCommands, plan_commands
from stratum.core.adoption import ComposeLook
from stratum.core.errors import StratumError
from stratum.core.volume_rules import wanted_mount

_IS_SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|API_KEY|PRIVATE_KEY", re.IGNORECASE)
_DATABASES = ("postgres", "postgis", "pgvector", "timescaledb")
_PORT = 5432


def observe_project(directory: Path, *, service: str | None) -> tuple[ComposeLook, tuple[str, ...], FoundCommands]:
    """The project with its database, the names of all its services, and how its application migrates.

    `service` names the database's where there are several. Raises `no-compose-file`, `docker-missing`, `tool-failed`
    for files that Compose refuses, and `invalid-argument`.
    """
    files, docker = compose_files(directory), Docker(directory=directory)
    chosen = [word for file in files for word in ("--file", str(file))]
    argv = ("compose", "--project-directory", str(directory), *chosen, "config", "--format", "json")
    config = json.loads(docker.run(argv).stdout)
    services = config["services"]
    name = database_service(services, service)
    look = parse_project(config, name, texts=[file.read_text(encoding="utf-8") for file in files], files=files)
    look = RunningProject(docker=docker, directory=directory, files=files).look(look)
    return _with_volume(look, docker), tuple(services), plan_commands(observe_sources(config, database=name))


def database_service(services: Mapping[str, Any], named: str | None) -> str:
    """The service that runs PostgreSQL. Raises `invalid-argument` where not exactly one does, and none is named."""
    found = [name for name, spec in services.items() if _is_postgresql(spec)]
    if named is not None:
        if named not in services:
            raise _refused(f"the project has no service {named}")
        return named
    if len(found) != 1:
        raise _refused(f"name the one that runs PostgreSQL; it may be one of: {', '.join(found or services)}")
    return found[0]


def _is_postgresql(spec: Mapping[str, Any]) -> bool:
    repository: str = spec.get("image", "").split("@")[0].rpartition("/")[2].partition(":")[0]
    return repository.startswith(_DATABASES)


def parse_project(config: Mapping[str, Any], name: str, *, texts: list[str], files: tuple[Path, ...]) -> ComposeLook:
    """What `docker compose config` says of the database's service and of what connects to it."""
    spec = config["services"][name]
    environment = _environment(spec)
    user = from_file("POSTGRES_USER", environment, spec, config) or "postgres"
    database = from_file("POSTGRES_DB", environment, spec, config) or user
    settings = told_settings(spec)
    image = spec.get("image", "")
    secrets = set(_secrets(config))
    found = ComposeLook(
        project=config["name"],
        service=name,
        image=image,
        user=user,
        password=from_file("POSTGRES_PASSWORD", environment, spec, config),
        database=database,
        others=tuple(other for other in _connected(config, name) if other != database),
        mount="",
        settings=settings,
        data_directory=settings.get("data_directory") or environment.get("PGDATA", ""),
        trusts=environment.get("POSTGRES_HOST_AUTH_METHOD", "") == "trust",
        networks=tuple(spec.get("networks") or {"default": None}),
        published=tuple(_published(spec)),
        literal_secrets=tuple(sorted({n for n, value in secrets if value and any(value in text for text in texts)})),
        default_secrets=tuple(sorted({n for n, value in secrets if "://" not in value and is_weak(value)})),
        application_users=tuple(sorted(_connecting_as(config, name, user))),
        checksums="checksums" in environment.get("POSTGRES_INITDB_ARGS", ""),
        files=tuple(file.name for file in files),
    )
    return _with_mount(found, spec, config)


def _with_mount(look: ComposeLook, spec: Mapping[str, Any], config: Mapping[str, Any]) -> ComposeLook:
    mounts = [mount for mount in spec.get("volumes") or () if mount["target"].startswith("/var/lib/postgresql")]
    mounts.sort(key=lambda mount: mount["target"].rstrip("/") != wanted_mount(look.major or 0))
    if not mounts:
        return look
    mount = mounts[0]
    if mount["type"] == "bind":
        return replace(look, mount=mount["target"], directory=mount["source"])
    volume = (config.get("volumes") or {}).get(mount.get("source", ""))
    if volume is None:
        return replace(look, mount=mount["target"])
    return replace(
        look,
        mount=mount["target"],
        volume=volume.get("name", ""),
        volume_key=mount["source"],
        volume_external=bool(volume.get("external")),
    )


def _with_volume(look: ComposeLook, docker: Docker) -> ComposeLook:
    """Whether the volume is there; where the engine cannot be asked, it is taken not to be."""
    if not look.volume:
        return look
    answer = docker.run(("volume", "inspect", look.volume), accept=range(256))
    return replace(look, volume_exists=answer.exit_code == 0)


def _environment(spec: Mapping[str, Any]) -> dict[str, str]:
    """As the container gets it: Compose prints `$$` for each `$` of a value."""
    found = spec.get("environment") or {}
    return {name: str(value).replace("$$", "$") for name, value in found.items() if value is not None}


def _secrets(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Variables of all services that hold a secret, or an address with one."""
    for spec in config["services"].values():
        for name, value in _environment(spec).items():
            if (_IS_SECRET.search(name) and not name.endswith("_FILE")) or re.search(r"://[^/:@\s]+:[^@\s]+@", value):
                yield name, value


def _connecting_as(config: Mapping[str, Any], database: str, user: str) -> Iterator[str]:
    for name, spec in config["services"].items():
        if name != database and any(f"://{user}:" in value for value in _environment(spec).values()):
            yield name


def _connected(config: Mapping[str, Any], database: str) -> Iterator[str]:
    """Databases of this server that other services' addresses name."""
    address = re.compile(rf"postgres(?:ql)?[a-z0-9+]*://[^@\s]*@{re.escape(database)}(?::\d+)?/([^?\s]+)")
    seen = {found: None for _, value in _values(config, database) for found in address.findall(value)}
    yield from (unquote(name) for name in seen)


def _values(config: Mapping[str, Any], database: str) -> Iterator[tuple[str, str]]:
    for name, spec in config["services"].items():
        if name != database:
            yield from _environment(spec).items()


def _published(spec: Mapping[str, Any]) -> Iterator[str]:
    for port in spec.get("ports") or ():
        host = port.get("host_ip") or "0.0.0.0"  # noqa: S104 - what Docker does where no address is named
        if port.get("target") == _PORT and not ipaddress.ip_address(host).is_loopback:
            yield f"{host}:{port.get('published', '?')}"


def _refused(problem: str) -> StratumError:
    return StratumError("invalid-argument", argument="--service", problem=problem)
