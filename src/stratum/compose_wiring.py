"""Chooses the adapters of a Compose stack on its host; `wiring` asks for them there only."""

from __future__ import annotations

import os
from pathlib import Path

from stratum.adapters.application_command import secrets_in
from stratum.adapters.cluster_roles import BACKUP_ROLE, CONSOLE_ROLE, REPLICATION_ROLE
from stratum.adapters.compose_project import ComposeProject, ProjectSettings
from stratum.adapters.compose_runtime import ClusterSettings, ComposeRuntime
from stratum.adapters.compose_services import ComposeServices
from stratum.adapters.data_volume import DataVolume
from stratum.adapters.database_url import ServerAddress
from stratum.adapters.docker import Docker
from stratum.adapters.stack_secrets import StackSecrets
from stratum.config import ENV_FILE, Settings, read_environment
from stratum.core.containers import BACKEND, BACKUP, FRONTEND
from stratum.served_wiring import own_server_url

DEFAULT_IMAGE = "postgres:16-bookworm"
_SUPERUSER = "postgres"
_NAMES = frozenset({"STACK_NAME", "POSTGRES_IMAGE", "POSTGRES_MOUNT", "POSTGRES_VOLUME", "POSTGRES_PORT", "BACKUP_DIR"})
"""Variables of .env that decide where the data is: a shell that has set one must not divert Compose."""


def compose_runtime(
    settings: Settings, profiles: tuple[str, ...] = ()
) -> tuple[ComposeRuntime, ComposeServices, ComposeProject]:
    """The project, with the runtime and the services it stands for. Raises `missing-secret`."""
    docker = Docker(directory=settings.directory, hidden=_NAMES | settings.environment.keys())
    volume = _volume(settings, docker)
    project = compose_project(settings, docker=docker, volume=volume, profiles=profiles)
    runtime = ComposeRuntime(_cluster(settings), project=project, docker=docker, volume=volume)
    planned = (BACKUP, BACKEND, FRONTEND) if settings.console.enabled else (BACKUP,)
    return runtime, ComposeServices(project, planned=planned), project


def compose_project(
    settings: Settings, *, docker: Docker, volume: DataVolume, profiles: tuple[str, ...]
) -> ComposeProject:
    """The project of a stack, with these profiles on."""
    superuser = settings.environment.get("POSTGRES_SUPERUSER") or _SUPERUSER
    return ComposeProject(
        ProjectSettings(
            directory=settings.directory,
            name=project_name(settings),
            environment=settings.environment,
            archive=settings.archive_path,
            now=lambda: read_environment(settings.directory / ENV_FILE),
            service=settings.database.service,
            superuser=superuser,
            external=settings.is_external,
            profiles=profiles,
            roles=_roles(settings, superuser),
        ),
        docker=docker,
        volume=volume,
        secrets=_secrets(settings),
    )


def project_name(settings: Settings) -> str:
    """The project's name: STACK_NAME of .env, which compose.yaml takes too."""
    return settings.environment.get("STACK_NAME") or "stratum"


def _roles(settings: Settings, superuser: str) -> dict[str, str]:
    """The variable that holds each role's password; the superuser's comes last, for it sets the others."""
    if settings.is_external:
        return {}  # there the printed script sets them
    console = {CONSOLE_ROLE: "CONSOLE_PASSWORD"} if settings.console.enabled else {}
    return {
        settings.value("POSTGRES_USER"): "POSTGRES_PASSWORD",
        BACKUP_ROLE: "BACKUP_PASSWORD",
        REPLICATION_ROLE: "REPLICATION_PASSWORD",
        **console,
        superuser: "POSTGRES_SUPERUSER_PASSWORD",
    }


def _volume(settings: Settings, docker: Docker) -> DataVolume:
    return DataVolume(
        docker=docker,
        stack=settings.stack.name,
        named=lambda: read_environment(settings.directory / ENV_FILE).get("POSTGRES_VOLUME") or "stratum_pg_data",
        imaged=lambda: read_environment(settings.directory / ENV_FILE).get("POSTGRES_IMAGE") or DEFAULT_IMAGE,
        image=settings.environment.get("POSTGRES_IMAGE") or DEFAULT_IMAGE,
        directory=data_directory(settings),
    )


def data_directory(settings: Settings) -> Path | None:
    """The directory that holds the files of the data volume, where it is not Docker's own."""
    named = settings.environment.get("POSTGRES_DIRECTORY")
    return settings.directory / Path(named).expanduser() if named else None


def _cluster(settings: Settings) -> ClusterSettings:
    if settings.is_external:
        return _no_cluster(settings)
    superuser = settings.environment.get("POSTGRES_SUPERUSER") or _SUPERUSER
    passwords = {role: settings.secret(name) for role, name in _roles(settings, superuser).items()}
    return ClusterSettings(
        superuser=superuser,
        owner=settings.value("POSTGRES_USER"),
        database=settings.value("POSTGRES_DB"),
        passwords=passwords,
        backup_image=f"{project_name(settings)}-backup",
        env_file=settings.directory / ENV_FILE,
        commands_service=settings.commands.service,
        secrets=secrets_in(settings.environment),
    )


def _no_cluster(settings: Settings) -> ClusterSettings:
    """Of a server of the user's own: nothing is made there."""
    return ClusterSettings(
        superuser="",
        owner="",
        database="",
        passwords={},
        backup_image=f"{project_name(settings)}-backup",
        env_file=settings.directory / ENV_FILE,
        commands_service=settings.commands.service,
        secrets=secrets_in(settings.environment),
    )


def _secrets(settings: Settings) -> StackSecrets:
    address = ServerAddress(host=settings.database.service, port=5432)
    if settings.is_external:
        address = own_server_url(settings).address
    return StackSecrets(
        directory=settings.directory,
        environment=settings.environment,
        address=address,
        console_database=settings.console.database if settings.console.enabled else None,
        owner=container_account(settings),
    )


def container_account(settings: Settings) -> tuple[int, int]:
    """Number and group of the account the containers run as; ours, where .env does not say."""
    found = settings.environment
    return int(found.get("STRATUM_UID") or os.getuid()), int(found.get("STRATUM_GID") or os.getgid())
