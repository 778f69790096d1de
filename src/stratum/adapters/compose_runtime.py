"""The database of a Compose project as the host's verbs see it: its volume and its container, not its tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stratum.adapters.application_command import without_secrets
from stratum.adapters.compose_project import ComposeProject
from stratum.adapters.data_volume import DataVolume
from stratum.adapters.docker import Docker
from stratum.adapters.env_file import replace_variable
from stratum.adapters.records import to_dict
from stratum.adapters.volume_cluster import ClusterOrder
from stratum.core.containers import BACKUP, POSTGRES
from stratum.core.errors import StratumError
from stratum.core.stack import Secret
from stratum.ports import PgTools, Role, RunState, Server, ServerState

_MAKE_SECONDS = 600.0
_AFTER = "_after_"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSettings:
    """What a new cluster of the stack is made with."""

    superuser: str
    owner: str
    database: str
    passwords: dict[str, Secret] = field(repr=False)
    backup_image: str
    env_file: Path
    commands_service: str
    secrets: tuple[Secret, ...] = ()
    """What no word of the application's commands may show."""


class ComposeRuntime:
    """Makes, starts, stops and sets aside the cluster. To look into it, a verb is run inside `backup`."""

    def __init__(
        self, settings: ClusterSettings, *, project: ComposeProject, docker: Docker, volume: DataVolume
    ) -> None:
        self._settings = settings
        self._project = project
        self._docker = docker
        self._volume = volume

    def image(self) -> tuple[str | None, str | None]:
        found, _ = self._project.look()
        return found.name, found.libc_version or None

    def observe(self) -> ServerState:
        """From the container while it runs; from a look into the volume when it does not.

        Of a server of the user's own the host knows what the service `backup` sees.
        """
        if self._project.external:
            return self._observe_own_server()
        for state in self._project.containers():
            if state.service == POSTGRES and state.state == "running":
                said = f"{state.container} is running" + (f" ({state.health})" if state.health else "")
                running = RunState.RUNNING if state.serves else RunState.STOPPED
                return ServerState(state=running, detail=said, port=state.port)
        return self._observe_volume()

    def _observe_own_server(self) -> ServerState:
        try:
            found = self._project.inside(("status",))
        except StratumError as error:
            if error.code != "backup-service-away":
                raise
            said = "your own server; how it stands is not known while the service backup does not run"
            return ServerState(state=RunState.STOPPED, detail=said)
        return ServerState(state=RunState(found["database"]), detail=found["database_detail"], port=found["port"])

    def _observe_volume(self) -> ServerState:
        if not self._volume.exists():
            return ServerState(state=RunState.ABSENT, detail=f"there is no volume {self._volume.name}")
        _, volume = self._project.look()
        if volume.empty:
            return ServerState(state=RunState.ABSENT, detail=f"the volume {volume.name} is empty")
        if volume.major is None:
            return ServerState(state=RunState.DAMAGED, detail=f"the volume {volume.name} holds no PG_VERSION")
        said = f"PostgreSQL {volume.major} in the volume {volume.name} is stopped"
        return ServerState(state=RunState.STOPPED, detail=said, major=volume.major)

    def create_cluster(self, *, bootstrap_role: str | None, application_database: bool) -> None:
        """Make a new cluster in an empty volume, in a container that ends with it."""
        self._refuse_own_server("make a new cluster on a server of your own")
        self._project.keep_volume()
        settings = self._settings
        superuser = bootstrap_role or settings.superuser
        passwords = {name: secret.reveal for name, secret in settings.passwords.items()}
        passwords[superuser] = settings.passwords[settings.superuser].reveal
        order = ClusterOrder(
            superuser=superuser,
            owner=settings.owner,
            database=settings.database if application_database else None,
            passwords=passwords,
        )
        mount = self._project.mount
        argv = ("run", "--rm", "--interactive", "--network=none", "--read-only", "--tmpfs=/tmp:mode=1777",
                "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=postgres",
                "--volume", f"{self._volume.name}:{mount}", "--entrypoint=stratum-container", settings.backup_image,
                "make-cluster", mount)  # fmt: skip
        self._docker.run(argv, seconds=_MAKE_SECONDS, told=json.dumps(to_dict(order)))

    def start(self) -> ServerState:
        """Start the database alone, and wait until it is healthy. Raises `container-not-serving`."""
        self._refuse_own_server("start a server of your own")
        self._project.start((POSTGRES,))
        return self.observe()

    def stop(self) -> None:
        self._refuse_own_server("stop a server of your own")
        self._project.stop((POSTGRES,))

    def set_cluster_aside(self, label: str) -> bool:
        """Leave the volume as it is under its own name, and go on with a new one, which .env names from now on.

        Docker cannot rename a volume. Says whether there was anything in the old one.
        """
        self._refuse_own_server("set the data of a server of your own aside")
        state = self.observe()
        self._project.down()
        if state.state is RunState.ABSENT:
            return False
        replace_variable(self._settings.env_file, "POSTGRES_VOLUME", self._beside(label))
        return True

    def put_cluster_back(self, label: str) -> None:
        """Undo `set_cluster_aside`: .env names the old volume again."""
        if self._volume.name.endswith(f"{_AFTER}{label}"):
            replace_variable(self._settings.env_file, "POSTGRES_VOLUME", self._before(label))

    def _refuse_own_server(self, what: str) -> None:
        if self._project.external:
            raise StratumError("not-from-here", what=what)

    def _beside(self, label: str) -> str:
        return f"{self._volume.name}{_AFTER}{label}"

    def _before(self, label: str) -> str:
        return self._volume.name.removesuffix(f"{_AFTER}{label}")

    def remove_cluster(self) -> None:
        """Delete the volume and its holder, for good; the containers go first."""
        self._refuse_own_server("delete the data of a server of your own")
        self._project.down()
        self._volume.remove()

    def kept_clusters(self) -> tuple[str, ...]:
        return ()

    def remove_kept_cluster(self, label: str) -> None:
        del label
        raise _inside("delete a kept volume")

    def server(self, role: Role) -> Server:
        del role
        raise _inside("connect to the database")

    def offline_tools(self) -> PgTools:
        raise _inside("run PostgreSQL's tools")

    @contextmanager
    def scratch(self, *, purpose: str, bootstrap_role: str) -> Iterator[Server]:
        del purpose, bootstrap_role
        raise _inside("start a throwaway server")
        yield  # type: ignore[unreachable]  # it is what makes this a generator

    def sweep_scratch(self) -> int:
        """What a killed command of the application runs in; the agent sweeps what its own throwaway servers left."""
        return self._project.end_commands()

    def free_bytes(self) -> int:
        raise _inside("measure the disk of Docker's volumes")

    def prepare_console(self) -> bool:
        raise _inside("make the console's database")

    def application_environment(self) -> dict[str, str]:
        return {}

    def run_command(self, argv: Sequence[str], *, told: Mapping[str, str] | None = None) -> None:
        """Run one of the application's commands in a container of its service's image.

        Raises `tool-failed`, without a secret of .env: what it says goes into the journal.
        """
        try:
            self._project.run_in_service(self._settings.commands_service, argv, told=told)
        except StratumError as error:
            if error.code != "tool-failed":
                raise
            raise without_secrets(error, self._settings.secrets) from None

    def server_log(self, lines: int) -> list[str]:
        return self._project.log(POSTGRES, lines)

    def tools_version(self) -> str:
        raise _inside("ask PostgreSQL's tools for their version")


def _inside(what: str) -> StratumError:
    return StratumError("not-from-here", what=f"{what} (the service {BACKUP} does)")
