"""The stack as a Compose project: its containers are made, started, stopped and asked through `docker compose`."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from stratum.adapters.compose_answers import (
    compose_files,
    last_lines,
    parse_container,
    parse_objects,
    parse_verb_answer,
    unprotected_volumes,
    words_told,
)
from stratum.adapters.compose_files import stage_package
from stratum.adapters.compose_images import ComposeImages
from stratum.adapters.compose_reach import ComposeReach
from stratum.adapters.compose_start import ComposeStart
from stratum.adapters.compose_volumes import ComposeVolumes
from stratum.adapters.data_volume import DataVolume
from stratum.adapters.docker import Docker
from stratum.adapters.file_set_container import writing_override
from stratum.adapters.git import GitCheckout
from stratum.adapters.leash import Leash, told_inside
from stratum.adapters.process import Completed, become, run_attached
from stratum.adapters.roles_script import render_new_passwords
from stratum.adapters.side_by_side import ComposeSideBySide
from stratum.adapters.stack_secrets import StackSecrets
from stratum.core.containers import (
    BACKUP,
    GUARD,
    INSIDE_ARCHIVE,
    INSIDE_DIRECTORY,
    POSTGRES,
    ContainerState,
    DockerVersions,
    ImageLook,
    VolumeLook,
)
from stratum.core.errors import StratumError
from stratum.core.rehearsal import Rehearsal, RehearsalOrder

_UP_SECONDS, _BUILD_SECONDS, _STOP_SECONDS, _INSIDE_SECONDS = 300.0, 3600.0, 300.0, 24 * 3600.0
_COMMAND = "fr.stratum.role=command"
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
"""What Compose 2.26 puts before a line to clear it, also where no terminal reads it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectSettings:
    """What has to be known to drive a stack's containers."""

    directory: Path
    name: str
    """The project's name, whatever the directory is called."""
    environment: Mapping[str, str] = field(repr=False)
    """Of .env."""
    archive: Path
    """As this machine sees it."""
    now: Callable[[], Mapping[str, str]] | None = field(default=None, repr=False)
    """Reads .env anew."""
    service: str = POSTGRES
    """The service that runs PostgreSQL."""
    superuser: str = "postgres"
    external: bool = False
    """Whether the database is a server of the user's own, outside the project."""
    profiles: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    """The variable of .env that holds each role's password, by role."""


class ComposeProject:
    """Drives one project with its own name and files, whatever the shell that calls has set."""

    def __init__(self, settings: ProjectSettings, *, docker: Docker, volume: DataVolume, secrets: StackSecrets) -> None:
        self._settings = settings
        self._docker = docker
        self._volume = volume
        self._secrets = secrets

    @property
    def external(self) -> bool:
        return self._settings.external

    @property
    def mount(self) -> str:
        now = self._settings.now() if self._settings.now else self._settings.environment
        return now.get("POSTGRES_MOUNT") or "/var/lib/postgresql/data"

    @property
    def volumes(self) -> ComposeVolumes:
        return ComposeVolumes(
            docker=self._docker,
            volume=self._volume,
            directory=self._settings.directory,
            archive=self._settings.archive,
            account=self._secrets.owner,
            backup_image=f"{self._settings.name}-{BACKUP}",
            mount=self.mount,
            environment=self._settings.environment,
            ask_backup=self.ask_backup,
        )

    def check(self) -> DockerVersions:
        """What answers. Raises `docker-missing`, `docker-unreachable` and `docker-too-old`."""
        return self._docker.check()

    def look(self) -> tuple[ImageLook, VolumeLook]:
        """What the database's image and volume say of themselves, without starting a server."""
        return self._volume.look(project=self._settings.name)

    def keep_volume(self) -> None:
        """Make the data volume where it is missing, and see that it is held."""
        self._volume.create()
        self._volume.hold()

    def containers(self) -> tuple[ContainerState, ...]:
        """All of the stack, also those that ended."""
        listed = self._compose("ps", "--all", "--format", "json").stdout
        found = (parse_container(one, database=self._settings.service) for one in parse_objects(listed))
        return tuple(sorted(found, key=lambda state: state.service))

    @property
    def images(self) -> ComposeImages:
        return ComposeImages(
            docker=self._docker,
            project=self._settings.name,
            base=self._volume.base,
            services=self._services,
            containers=lambda: {state.service: state.container for state in self.containers()},
        )

    @property
    def reach(self) -> ComposeReach:
        return ComposeReach(docker=self._docker, config=self._config, containers=self.containers, log=self.log)

    def rehearse(self, order: RehearsalOrder, *, under: str | None = None) -> Rehearsal:
        from stratum.adapters.compose_rehearsal import ComposeRehearsal

        self.refuse_away()
        return ComposeRehearsal(
            docker=self._docker,
            project=self._settings.name,
            environment=self._settings.environment,
            address=self._secrets.address,
            argv=self._argv,
            more=self._more(),
            config=self._config(),
        ).run(order, under=under, archive=self._settings.archive)

    def ask_backup(self, argv: Sequence[str], *, told: str | None = None) -> Completed:
        """What a program in the service `backup` says, told something on its standard input."""
        return self._compose("exec", "-T", BACKUP, *argv, told=told, seconds=3600.0, accept=range(256))

    def rendered(self, env_file: Path) -> str:
        """The project's files with the values of another .env in them."""
        return self._compose("--env-file", str(env_file), "config").stdout

    def other_volumes(self, file_sets: Collection[str] = ()) -> tuple[str, ...]:
        """Volumes that services write to, beside the data's, those of file sets and the one for throwaway servers."""
        return unprotected_volumes(self._config(), data=self._volume.name, file_sets=file_sets)

    def _services(self) -> dict[str, Any]:
        """The project's services as Compose reads them, of every profile that is on."""
        return dict(self._config()["services"])

    def specification(self, service: str) -> dict[str, Any]:
        """What the project's files say of a service, with the values of .env in it."""
        return dict(self._services().get(service, {}))

    def _config(self) -> dict[str, Any]:
        return dict(json.loads(self._compose("config", "--format", "json").stdout))

    def application_services(self) -> tuple[str, ...]:
        """All services but the database, the guard and the backup service."""
        return tuple(name for name in self._services() if name not in {self._settings.service, GUARD, BACKUP})

    @property
    def side_by_side(self) -> ComposeSideBySide:
        return ComposeSideBySide(
            docker=self._docker,
            project=self._settings.name,
            compose=self._compose,
            config=self._config,
            running=lambda: frozenset(one.service for one in self.containers() if one.state == "running"),
        )

    @property
    def source(self) -> GitCheckout:
        return GitCheckout(self._settings.directory)

    def stage(self) -> None:
        stage_package(self._settings.directory)

    def changed_passwords(self) -> tuple[str, ...]:
        """Roles whose password in .env is not the one in force; all where what is in force is not known any more."""
        before, now = self._secrets.written() or {}, self._settings.environment
        return tuple(role for role, name in self._settings.roles.items() if before.get(name) != now.get(name))

    def apply_passwords(self, roles: Sequence[str] | None) -> None:
        """Set these in the running server, hashed here, all or none; a role that is not there yet is passed over."""
        wanted = self._settings.roles if roles is None else roles
        self.set_passwords({role: self._settings.environment[self._settings.roles[role]] for role in wanted})

    def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """As `apply_passwords`, with values that are told."""
        self.run_sql(render_new_passwords(passwords))

    def write_secrets(self) -> None:
        """Hand the containers what .env says now; they see it when they are started next."""
        self._secrets.write()

    def build(self, services: Sequence[str] = (), *, pull: bool = False) -> None:
        """Build the stack's images. Raises `build-failed` with the end of what the build said."""
        try:
            self._compose("build", "--quiet", *(("--pull",) if pull else ()), *services, seconds=_BUILD_SECONDS)
        except StratumError as error:
            if error.code != "tool-failed":
                raise
            raise StratumError("build-failed", problem=last_lines(error.details["stderr"])) from None

    def start(
        self, services: Sequence[str] = (), *, recreate: bool = False, alone: bool = False, unpublished: bool = False
    ) -> None:
        """Create and start services, and wait until they are healthy; those that run as wished stay as they are.

        `unpublished` leaves every port of the application closed; started again without it they are made anew.
        Raises `guard-refused` with the guard's own words, or `container-not-serving` with those of the one that
        does not become healthy.
        """
        self._secrets.write(missing_only=True)
        names = tuple(map(self._named, services))
        ComposeStart(
            docker=self._docker,
            compose=self._compose,
            config=self._config,
            containers=self.containers,
            log=self.log,
            application=self.application_services,
        ).up(names, recreate=recreate, alone=alone, unpublished=unpublished)

    def stop(self, services: Sequence[str] = ()) -> None:
        """Stop containers the clean way; they and all volumes stay.

        All of them in this order: what writes, the database, and last the service that receives its WAL, so that the
        end of that arrives. Compose's own order would stop that one first, for it depends on the database.
        """
        for names in (services,) if services else self._stop_order():
            self._compose("stop", *map(self._named, names), seconds=_STOP_SECONDS)

    def _stop_order(self) -> tuple[tuple[str, ...], ...]:
        database = () if self.external else (POSTGRES,)
        return (*(names for names in (self.application_services(), database) if names), ())

    def down(self) -> None:
        """Stop and remove containers and networks. Never a volume."""
        self.stop()
        self._compose("down", "--remove-orphans", seconds=_STOP_SECONDS)

    def log(self, service: str, lines: int) -> list[str]:
        answer = self._compose("logs", "--no-color", "--no-log-prefix", f"--tail={lines}", self._named(service))
        return [_CONTROL.sub("", line) for line in answer.stdout.splitlines()]

    def _named(self, service: str) -> str:
        """A service as the project's files call it; the database's may have any name."""
        return self._settings.service if service == POSTGRES else service

    def exec_database(self, argv: Sequence[str], *, told: str | None = None, seconds: float = 300.0) -> str:
        """Run a program in the database's container, as its own account."""
        service = self._settings.service
        return self._compose("exec", "-T", "--user", "postgres", service, *argv, told=told, seconds=seconds).stdout

    def run_sql(self, script: str, *, database: str = "postgres") -> None:
        """Run statements as the superuser, over the socket that only the container's own account reaches."""
        argv = ("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--username={self._settings.superuser}")
        self.exec_database((*argv, f"--dbname={database}"), told=script)

    def run_in_service(self, service: str, argv: Sequence[str], *, told: Mapping[str, str] | None = None) -> None:
        """Run a command in a container of its own, made from a service's image with that service's settings.

        `told` is put into its environment besides, and can be seen by whoever sees this machine's processes.
        It does not outlive the call: a program that is the first of its container may not heed what Compose passes on.
        """
        self._secrets.write(missing_only=True)
        more = (f"--env={word}" for word in words_told(told or {}, self._config(), service))
        made = ("run", "--rm", "--no-deps", "-T", f"--label={_COMMAND}", *more, service)
        try:
            self._compose(*made, *argv, seconds=_INSIDE_SECONDS)
        except BaseException:
            self.end_commands()
            raise

    def end_commands(self) -> int:
        """Remove the containers of `run_in_service` whose caller was killed; how many there were."""
        of_ours = (
            "--filter",
            f"label={_COMMAND}",
            "--filter",
            f"label=com.docker.compose.project={self._settings.name}",
        )
        left = self._docker.run(("ps", "--all", "--quiet", *of_ours)).stdout.split()
        if left:
            self._docker.run(("rm", "--force", "--volumes", *left), accept=(0, 1))
        return len(left)

    def inside(
        self, argv: Sequence[str], *, under: str | None = None, seconds: float = _INSIDE_SECONDS, apart: bool = False
    ) -> dict[str, Any]:
        """The JSON answer of a verb inside `backup`, or `apart` in a container of its own. Raises its refusal."""
        leash = Leash(self._settings.archive)
        told = told_inside(under, leash.name)
        made = ("run", "--rm", "--no-deps", "-T", f"--label={_COMMAND}", *told, BACKUP)
        command = (*(made if apart else ("exec", "-T", *told, BACKUP, "stratum")), *argv, "--json")
        try:
            answer = self._compose(*command, seconds=seconds, accept=range(256), part=leash.let_go)
        finally:
            leash.let_go()
        return parse_verb_answer(answer)

    def pass_on(self, argv: Sequence[str]) -> int:
        """Run the same command inside `backup`, with our terminal or streams; its exit code."""
        self.refuse_away()
        return self._attached(argv, ("exec",), ("stratum",))

    def pass_on_writing(self, argv: Sequence[str], *, file_set: str) -> int:
        """As `pass_on`, in a container of its own that may write to a file set. Raises `files-away`."""
        with writing_override(self._config(), file_set) as file:
            return self._attached(argv, ("--file", str(file), "run", "--rm", "--no-deps", f"--label={_COMMAND}"), ())

    def _attached(self, argv: Sequence[str], first: Sequence[str], program: Sequence[str]) -> int:
        leash, is_terminal = Leash(self._settings.archive), sys.stdin.isatty() and sys.stdout.isatty()
        more = (*(() if is_terminal else ("-T",)), *told_inside(None, leash.name), BACKUP, *program, *argv)
        return run_attached(
            self._argv(*first, *more), env=self._docker.environment | self._more(), cwd=self._settings.directory,
            terminal=is_terminal, part=leash.let_go,
        )  # fmt: skip

    def shell(self, service: str, argv: Sequence[str], *, user: str | None = None) -> NoReturn:
        """Go on as a program in a service's container, with this terminal."""
        terminal = () if sys.stdin.isatty() and sys.stdout.isatty() else ("-T",)
        as_user = ("--user", user) if user else ()
        os.chdir(self._settings.directory)
        become(self._argv("exec", *terminal, *as_user, service, *argv), env=self._docker.environment | self._more())

    def take_inside(self, file: Path, *, archive: Path) -> str:
        """A file of this machine as the container `backup` sees it; one outside the archive is copied there first.

        It arrives as root's, so it is given to the service: many a dump may be read by its owner only. It lies in the
        room for throwaway servers until the next one comes. Raises `invalid-argument` where there is no such file.
        """
        if not file.is_file():
            raise StratumError("invalid-argument", argument="--file", problem=f"there is no file {file}")
        if file.resolve().is_relative_to(archive.resolve()):
            return f"{INSIDE_ARCHIVE}/{file.resolve().relative_to(archive.resolve())}"
        self.refuse_away()
        target = f"{INSIDE_DIRECTORY}/incoming.dump"
        self._compose("cp", str(file.absolute()), f"{BACKUP}:{target}", seconds=_INSIDE_SECONDS)
        give = ("--privileged", "--user=0:0", BACKUP, "chown", f"--reference={INSIDE_DIRECTORY}", target)
        self._compose("exec", "-T", *give)
        return target

    def refuse_away(self) -> None:
        """Raises `backup-service-away` when the service that works on data does not run."""
        found = [state for state in self.containers() if state.service == BACKUP]
        if not found or found[0].state != "running":
            raise StratumError("backup-service-away", problem=found[0].state if found else "it was never started")

    def _compose(
        self,
        *arguments: str,
        seconds: float = 60.0,
        told: str | None = None,
        accept: Sequence[int] = (0,),
        part: Callable[[], None] | None = None,
    ) -> Completed:
        argv = self._argv(*arguments)[1:]
        return self._docker.run(argv, seconds=seconds, told=told, accept=accept, more=self._more(), part=part)

    def _argv(self, *arguments: str) -> tuple[str, ...]:
        settings = self._settings
        files = tuple(
            word
            for file in compose_files(settings.directory, external=settings.external)
            for word in ("--file", str(file))
        )
        profiles = tuple(word for profile in settings.profiles for word in ("--profile", profile))
        return ("docker", "compose", "--project-name", settings.name, "--project-directory", str(settings.directory),
                "--ansi=never", "--progress=quiet", *files, *profiles, *arguments)  # fmt: skip

    def _more(self) -> dict[str, str]:
        return {"STRATUM_SETTINGS": self._secrets.digest(self._settings.directory / "stratum.toml")}
