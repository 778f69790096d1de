"""A PostgreSQL that somebody else runs: a service of the Compose project, or a server of the user's own."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stratum.adapters.application_command import run_application_command
from stratum.adapters.cluster_roles import prepare_console
from stratum.adapters.database_url import ServerAddress
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.postgresql_installation import find_installation, observe_run_as
from stratum.adapters.postgresql_tools import Installation, PostgresqlTools
from stratum.adapters.scratch_server import ScratchServers
from stratum.adapters.server_start import answers
from stratum.core.errors import StratumError
from stratum.core.stack import Secret
from stratum.ports import Role, RunState, Server, ServerState


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationSettings:
    """What the application's commands are run with."""

    directory: Path
    """The stack's."""
    url: Secret
    """DATABASE_URL as the user wrote it, with what other libraries want behind its `?`."""
    password: Secret


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedSettings:
    """What has to be known of a server that is reached over the network."""

    address: ServerAddress
    directory: Path
    """Holds scratch/ for throwaway servers; nothing else."""
    users: dict[Role, str]
    passwords: dict[str, Secret]
    """By role name."""
    console: tuple[str, Secret] | None = None
    """The console's database and its role's password, where there is a console."""
    image: str | None = None
    """The database's image, which this process's own is built from; None for a server of the user's own."""
    external: bool = False
    """Whether the server is the user's own, outside the stack."""
    starting: str
    """What starts the server, for whoever finds it stopped."""
    application: ApplicationSettings | None = None
    """Where the application's commands run; None where that is in containers of their own."""


class ServedPostgresql:
    """Works on a server over TCP, with the PostgreSQL programs at hand. It can neither start nor replace it."""

    def __init__(self, settings: ServedSettings) -> None:
        self._settings = settings
        self._run_as = observe_run_as()
        self._found: Installation | None = None

    @property
    def _installation(self) -> Installation:
        if self._found is None:
            self._found = find_installation(self._run_as)
        return self._found

    def installation(self) -> Installation:
        """The programs at hand."""
        return self._installation

    def tools_version(self) -> str:
        return self._installation.version()

    def image(self) -> tuple[str | None, str | None]:
        """This image is built from the database's, so its C library is the same."""
        return (self._settings.image, platform.libc_ver()[1]) if self._settings.image else (None, None)

    def observe(self) -> ServerState:
        """Whether the server accepts connections; what stands there when it does not cannot be seen from here."""
        where = self._settings.address
        if not answers(self._endpoint(Role.MAINTENANCE)):
            said = f"PostgreSQL does not answer on {where.host}:{where.port}; {self._settings.starting}"
            return ServerState(state=RunState.STOPPED, detail=said)
        whose = "; its disk, its start and its stop are yours to look after" if self._settings.external else ""
        return ServerState(
            state=RunState.RUNNING, detail=f"PostgreSQL answers on {where.host}:{where.port}{whose}", port=where.port
        )

    def server(self, role: Role) -> Server:
        """The running server, connected to as `role`. Raises `not-running` and `server-newer-than-tools`."""
        return self._bound(self.endpoint(role))

    def endpoint(self, role: Role) -> Endpoint:
        """Where the running server listens, for `role`. Raises `not-running`."""
        state = self.observe()
        if state.state is not RunState.RUNNING:
            raise StratumError("not-running", detail=state.detail)
        return self._endpoint(role)

    def offline_tools(self) -> PostgresqlTools:
        """The tools for work on files alone; they are bound to no server."""
        nowhere = Endpoint(host="127.0.0.1", port=5432, user="nobody", password=Secret(""))
        return PostgresqlTools(self._installation, nowhere)

    def start(self) -> ServerState:
        """The server as it runs, and room beside it. Raises `not-started-from-here` when it does not run."""
        state = self.observe()
        if state.state is not RunState.RUNNING:
            raise StratumError("not-started-from-here", detail=state.detail)
        self._make_room()
        return state

    def stop(self) -> None:
        """Raises `not-from-here`: whoever runs the server stops it."""
        raise _not_from_here("stop the server")

    def create_cluster(self, *, bootstrap_role: str | None, application_database: bool) -> None:
        del bootstrap_role, application_database
        raise _not_from_here("make a new cluster")

    def set_cluster_aside(self, label: str) -> bool:
        del label
        raise _not_from_here("set the data directory aside")

    def put_cluster_back(self, label: str) -> None:
        del label
        raise _not_from_here("put a data directory back")

    def remove_cluster(self) -> None:
        """Raises `not-from-here`: the data is not this process's to delete."""
        raise _not_from_here("delete the data directory")

    def kept_clusters(self) -> tuple[str, ...]:
        return ()

    def remove_kept_cluster(self, label: str) -> None:
        del label
        raise _not_from_here("delete a kept data directory")

    @contextmanager
    def scratch(self, *, purpose: str, bootstrap_role: str) -> Iterator[Server]:
        """A throwaway server of the programs at hand; see `ScratchServers.open`."""
        with self._scratch_servers().open(purpose=purpose, bootstrap_role=bootstrap_role) as endpoint:
            yield self._bound(endpoint)

    def sweep_scratch(self) -> int:
        return self._scratch_servers().sweep()

    def free_bytes(self) -> int:
        """Free bytes where throwaway servers live; in the reference stack that is the disk of Docker's volumes."""
        path = self._settings.directory
        while not path.exists():
            path = path.parent
        return shutil.disk_usage(path).free

    def prepare_console(self) -> bool:
        """Make the console's role and database where they are missing; says whether the database was made."""
        if self._settings.console is None:
            return False
        database, password = self._settings.console
        return prepare_console(self.endpoint(Role.MAINTENANCE), database=database, password=password)

    def application_environment(self) -> dict[str, str]:
        """What the application's commands need to reach the database; holds a password, so never print it."""
        return {"DATABASE_URL": self._application().url.reveal}

    def run_command(self, argv: Sequence[str], *, told: Mapping[str, str] | None = None) -> None:
        """Run one of the application's commands in the stack's directory, with DATABASE_URL set."""
        application, environment = self._application(), self.application_environment() | dict(told or {})
        run_application_command(argv, directory=application.directory, told=environment, secret=application.password)

    def _application(self) -> ApplicationSettings:
        if self._settings.application is None:
            raise _not_from_here("run the application's commands")
        return self._settings.application

    def server_log(self, lines: int) -> list[str]:
        del lines
        raise _not_from_here("read the server's log")

    def _make_room(self) -> None:
        """Directories for throwaway servers and for what the console's programs leave, where there are none yet."""
        top = self._settings.directory
        for folder in (top, *(top / name for name in ("logs", "run", "scratch"))):
            if not folder.exists():
                folder.mkdir(mode=0o700, parents=True)
                if self._run_as is not None:
                    os.chown(folder, self._run_as.uid, self._run_as.gid)

    def _endpoint(self, role: Role) -> Endpoint:
        user, where = self._settings.users[role], self._settings.address
        if user not in self._settings.passwords:
            raise StratumError("missing-secret", file=".env", name=f"{role.name}_PASSWORD")
        return Endpoint(host=where.host, port=where.port, user=user, password=self._settings.passwords[user])

    def _bound(self, endpoint: Endpoint) -> Server:
        from stratum.adapters.psycopg_database import PsycopgDatabase

        return Server(database=PsycopgDatabase(endpoint), tools=PostgresqlTools(self._installation, endpoint))

    def _scratch_servers(self) -> ScratchServers:
        folder = self._settings.directory / "scratch"
        return ScratchServers(installation=self._installation, directory=folder, run_as=self._run_as)


def _not_from_here(what: str) -> StratumError:
    return StratumError("not-from-here", what=what)
