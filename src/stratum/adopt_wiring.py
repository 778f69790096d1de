"""Puts a database that is there already under Stratum's care: writes files beside it, and touches nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from stratum.adapters.adopted_commands import set_commands
from stratum.adapters.adopted_files import AdoptedPlace, adopt_into, refuse_adopted, write_override
from stratum.adapters.archive import DirectoryArchive
from stratum.adapters.compose_answers import FILE_NAMES, OVERRIDES
from stratum.adapters.compose_files import (
    BACKUP_DOCKERFILE,
    holds_other_image,
    lay_down_backup_image,
    lay_down_compose_files,
    stage_package,
)
from stratum.adapters.compose_look import observe_project
from stratum.adapters.database_url import DatabaseUrl, parse_database_url
from stratum.adapters.postgresql_installation import default_directory
from stratum.adapters.server_look import observe_server
from stratum.adapters.stack_files import OWN_SERVER_SECRETS, render_settings
from stratum.config import DEFAULT_BACKUP_DIR, ENV_FILE, find_stack, load_settings, read_environment
from stratum.core.adopted_tools import FoundCommands
from stratum.core.adoption import ComposeLook, Risk, ServerLook, find_obstacle, project_risks, server_risks
from stratum.core.errors import StratumError
from stratum.served_wiring import GATEWAY, OF_THIS_MACHINE, render_roles

_CONSOLE_SECRETS = ("CONSOLE_PASSWORD", "JWT_SECRET")
_CONSOLE_DATABASE = "stratum_console"
_OWN_SERVER = 'url = "$DATABASE_URL"          # a server of your own; its address is in .env'
_PRINT = "stratum adopt --print-roles > roles.sql"
_BY_ADDRESS = "stratum adopt --url postgresql://USER:PASSWORD@HOST:PORT/NAME takes care of it by its address, as it is"
_PROVE = ("stratum up", "stratum backup", "stratum drill")


@dataclass(frozen=True, kw_only=True, slots=True)
class Adoption:
    """What is asked for."""

    directory: Path
    """Absolute; where the stack's files go."""
    name: str
    archive: str | None = None
    """The archive's directory; None for the runtime's own default."""
    console: bool = False
    compose: bool = False
    """Whether Stratum's own programs run in containers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopted:
    """What came of it."""

    database: str
    written: tuple[Path, ...]
    risks: tuple[Risk, ...]
    next: tuple[str, ...]
    not_written: str = ""
    commands: FoundCommands = field(default_factory=FoundCommands)


def adopt_server(wanted: Adoption, *, url: str | None) -> Adopted:
    """Write the files of a stack for a server of the user's own; it is looked at, and nothing there is changed.

    The address may stand in .env as DATABASE_URL already. Raises `stack-exists`, `file-exists`, `invalid-argument`,
    `archive-needs-root` and the archive's errors; nothing is written then.
    """
    refuse_adopted(wanted.directory)
    if wanted.compose and (there := next((n for n in FILE_NAMES if (wanted.directory / n).exists()), None)):
        raise StratumError("file-exists", file=wanted.directory / there)
    address, parts = _parse_url(wanted, url)
    look = observe_server(_from_here(parts))
    lay_down = _lay_down_compose if wanted.compose else _lay_down_embedded
    written = lay_down(wanted, address, parts, look)
    run = f"have whoever administers the server run it: psql --file=roles.sql --dbname={parts.database} …"
    build = ("stratum build",) if wanted.compose else ()
    return Adopted(
        database=f"{parts.address.host}:{parts.address.port}",
        written=written,
        risks=server_risks(look),
        next=(_PRINT, run, *build, *_PROVE),
    )


def adopt_project(wanted: Adoption, *, service: str | None) -> Adopted:
    """Write what puts a Compose project under Stratum's care; its own files, containers and data stay as they are.

    Nothing is written where Stratum's services cannot be added safely: `not_written` says why. Raises `stack-exists`,
    `no-compose-file`, `docker-missing`, `tool-failed` for files that Compose refuses, `invalid-argument`, and the
    archive's errors.
    """
    refuse_adopted(wanted.directory)
    look, services, commands = observe_project(wanted.directory, service=service)
    where = f"service {look.service} of the Compose project {look.project}"
    risks = (*project_risks(look), *_disk_risks(wanted, look))
    obstacle = find_obstacle(look, services) or _obstacle_of_files(wanted.directory)
    if obstacle:
        said = f"nothing was written: {obstacle}"
        return Adopted(
            database=where, written=(), risks=risks, next=(_BY_ADDRESS,), not_written=said, commands=commands
        )
    written = _lay_down_beside(wanted, look, commands)
    run = f"{_PRINT.partition(' >')[0]} | docker compose exec -T {look.service} psql -U {look.user} -d {look.database}"
    move = ("stratum adopt --move",) if look.nameless or look.directory else ()
    return Adopted(
        database=where, written=written, risks=risks, next=(run, "stratum build", *_PROVE, *move), commands=commands
    )


def holds_project(directory: Path) -> bool:
    """Whether a directory holds a Compose file."""
    return any((directory / name).is_file() for name in FILE_NAMES)


def _obstacle_of_files(directory: Path) -> str:
    there = [name for name in OVERRIDES if (directory / name).exists()]
    if there:
        return f"the project has a {there[0]} of its own"
    if holds_other_image(directory):
        return f"docker/{BACKUP_DOCKERFILE} is there, and is not Stratum's"
    return ""


def _disk_risks(wanted: Adoption, look: ComposeLook) -> tuple[Risk, ...]:
    """Whether the archive would break with the disk that the data is on, as far as this machine can tell."""
    from stratum.adapters.docker import Docker
    from stratum.adapters.failure_domain import observe_failure_domain

    archive = wanted.directory / Path(wanted.archive or DEFAULT_BACKUP_DIR).expanduser()
    # Compose reads files without an engine; where none answers, nobody knows where it keeps its volumes.
    root = Docker(directory=wanted.directory).run(("info", "--format", "{{.DockerRootDir}}"), accept=range(256))
    data = look.directory or (root.stdout.strip() if root.exit_code == 0 else "")
    if not data or observe_failure_domain(archive, Path(data)) != "same-disk":
        return ()
    return (Risk(name="archive-same-disk", details={"archive": str(archive)}),)


def _hold_directory(wanted: Adoption, look: ComposeLook) -> ComposeLook:
    """A volume that is the host's directory itself: Docker deletes no file in there, whatever becomes of the volume."""
    from stratum.adapters.data_volume import make_volume_over
    from stratum.adapters.docker import Docker

    if not look.directory:
        return look
    docker = Docker(directory=wanted.directory)
    name = f"{look.project}_pg_directory"
    make_volume_over(docker, name, directory=Path(look.directory), stack=wanted.name)
    return replace(look, volume=name, volume_key="")


def _lay_down_beside(wanted: Adoption, look: ComposeLook, commands: FoundCommands) -> tuple[Path, ...]:
    """The stack's files, the services that are added, and the secrets they are given."""
    from stratum.compose_init import CONTAINER_ACCOUNT, give_archive, make_archive_directory
    from stratum.compose_wiring import compose_runtime

    path = wanted.directory / Path(wanted.archive or DEFAULT_BACKUP_DIR).expanduser()
    owner = (os.getuid(), os.getgid()) if os.geteuid() else (CONTAINER_ACCOUNT, CONTAINER_ACCOUNT)
    store = _take_up_archive(wanted, path, data=path)
    make_archive_directory(path)
    look = _hold_directory(wanted, look)
    variables = container_variables(wanted, path, owner=owner, image=look.image)
    names = (look.database, *look.others)
    toml = render_settings(
        name=wanted.name, databases=names, place=f'service = "{look.service}"', archive=None, console=False
    )
    toml = set_commands(toml, commands)
    written = adopt_into(
        wanted.directory, toml=toml, variables={**variables, **_of_project(look)}, generated=OWN_SERVER_SECRETS[:2]
    )
    written += lay_down_backup_image(wanted.directory)
    stage_package(wanted.directory)
    store.initialise(wanted.name)
    give_archive(path, owner=owner)
    place = AdoptedPlace(service=look.service, network=look.networks[0], volume_key=look.volume_key, mount=look.mount)
    override = write_override(wanted.directory, place)
    # Compose refuses a project whose secrets' files are missing: with them `docker compose up` by hand goes on working.
    compose_runtime(load_settings(wanted.directory))[2].write_secrets()
    return (*written, override)


def _of_project(look: ComposeLook) -> Mapping[str, str]:
    """What .env has to say of a database that the project's own files made. Its user is the image's superuser."""
    return {
        "STACK_NAME": look.project,
        "POSTGRES_VOLUME": look.volume,
        "POSTGRES_MOUNT": look.mount,
        "POSTGRES_USER": look.user,
        "POSTGRES_DB": look.database,
        "POSTGRES_PASSWORD": look.password,
        "POSTGRES_SUPERUSER": look.user,
        "POSTGRES_SUPERUSER_PASSWORD": look.password,
    }


def print_roles(directory: Path) -> str:
    """The script that gives the server its roles, with this stack's passwords as hashes."""
    return render_roles(load_settings(find_stack(directory)))


def _lay_down_embedded(wanted: Adoption, url: str, parts: DatabaseUrl, look: ServerLook) -> tuple[Path, ...]:
    del look
    beside = default_directory(wanted.directory, wanted.name, "own")
    home = ".stratum" if beside.parent == wanted.directory else str(beside)
    archive = wanted.archive or "archive"
    store = _take_up_archive(wanted, wanted.directory / Path(archive).expanduser(), data=beside)
    ports = {"FRONTEND_PORT": "3000", "BACKEND_PORT": "4001", "AGENT_PORT": "4002"} if wanted.console else {}
    written = adopt_into(
        wanted.directory,
        toml=_render(wanted, parts, place=f'{_OWN_SERVER}\ndirectory = "{home}"', archive=archive),
        variables={"DATABASE_URL": url, **ports},
        generated=_generated(wanted),
    )
    store.initialise(wanted.name)
    return written


def _lay_down_compose(wanted: Adoption, url: str, parts: DatabaseUrl, look: ServerLook) -> tuple[Path, ...]:
    """The reference stack's files; docker/external-database.yaml among them takes its database away."""
    from stratum.compose_init import CONTAINER_ACCOUNT, give_archive, make_archive_directory

    path = wanted.directory / Path(wanted.archive or DEFAULT_BACKUP_DIR).expanduser()
    owner = (os.getuid(), os.getgid()) if os.geteuid() else (CONTAINER_ACCOUNT, CONTAINER_ACCOUNT)
    store = _take_up_archive(wanted, path, data=path)
    make_archive_directory(path)
    variables = container_variables(wanted, path, owner=owner, image=f"postgres:{look.major or 16}-bookworm")
    written = adopt_into(
        wanted.directory,
        toml=_render(wanted, parts, place=_OWN_SERVER, archive=None),
        variables={"DATABASE_URL": url, **variables},
        generated=_generated(wanted),
    )
    written += lay_down_compose_files(wanted.directory)
    stage_package(wanted.directory)
    store.initialise(wanted.name)
    give_archive(path, owner=owner)
    return written


def container_variables(wanted: Adoption, archive: Path, *, owner: tuple[int, int], image: str) -> Mapping[str, str]:
    """What .env of a Compose stack has to say whatever the database is."""
    return {
        "STACK_NAME": wanted.name,
        "STRATUM_UID": str(owner[0]),
        "STRATUM_GID": str(owner[1]),
        "POSTGRES_IMAGE": image,
        "BACKUP_DIR": str(archive),
    }


def _take_up_archive(wanted: Adoption, path: Path, *, data: Path) -> DirectoryArchive:
    """The archive's directory; one of the same stack that exists is taken up as it is. Raises `wrong-archive`."""
    store = DirectoryArchive(path, stack=wanted.name, data_directory=lambda: data, declared_domain=None)
    if (path / "archive.json").exists():
        store.lineage()
    return store


def _render(wanted: Adoption, parts: DatabaseUrl, *, place: str, archive: str | None) -> str:
    databases = (parts.database, *((_CONSOLE_DATABASE,) if wanted.console else ()))
    return render_settings(name=wanted.name, databases=databases, place=place, archive=archive, console=wanted.console)


def _generated(wanted: Adoption) -> tuple[str, ...]:
    return (*OWN_SERVER_SECRETS, *(_CONSOLE_SECRETS if wanted.console else ()))


def _parse_url(wanted: Adoption, url: str | None) -> tuple[str, DatabaseUrl]:
    """The address as given and in its parts; one in .env is not overwritten."""
    env = wanted.directory / ENV_FILE
    there = read_environment(env).get("DATABASE_URL", "")
    if url and there and url != there:
        raise _refused(f"{env} sets DATABASE_URL to another address, and adopt changes no value that is set")
    address = url or there
    if not address:
        raise _refused(
            f"{wanted.directory} holds no Compose file, and its .env sets no DATABASE_URL: go there, or name a server"
        )
    parts = parse_database_url(address, file=env, setting="DATABASE_URL")
    if wanted.compose and parts.address.host in OF_THIS_MACHINE:
        raise _refused(f"{parts.address.host} is each container itself: write {GATEWAY} for this machine")
    return address, parts


def _from_here(parts: DatabaseUrl) -> DatabaseUrl:
    """As this machine reaches the server: the name its containers have for it is unknown here."""
    if parts.address.host != GATEWAY:
        return parts
    return replace(parts, address=replace(parts.address, host="127.0.0.1"))


def _refused(problem: str) -> StratumError:
    return StratumError("invalid-argument", argument="--url", problem=problem)
