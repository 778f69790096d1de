"""The embedded runtime: a real PostgreSQL as a local process, with no Docker."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from stratum.adapters.application_command import run_application_command
from stratum.adapters.cluster_roles import CONSOLE_ROLE, REPLICATION_ROLE, create_roles_and_databases, prepare_console
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.new_cluster import run_initdb
from stratum.adapters.postgresql_installation import find_installation, observe_run_as
from stratum.adapters.postgresql_tools import Installation, PostgresqlTools
from stratum.adapters.postmaster import (
    end_orphans,
    end_servers_in,
    free_port,
    port_is_free,
    read_postmaster,
    wait_until_reaped,
)
from stratum.adapters.process import run_tool, tool_environment
from stratum.adapters.scratch_server import ScratchServers
from stratum.adapters.tablespaces import remove_with_tablespaces
from stratum.core.errors import StratumError
from stratum.core.stack import Secret
from stratum.ports import Role, RunState, Server, ServerState

SUPERUSER = "postgres"
_START_SECONDS, _STOP_SECONDS = 300.0, 300.0
_SOCKET_PATH_LIMIT = 90

# Paths are relative to the data directory, where the server works, so that a stack can be moved or copied.


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddedSettings:
    """What the embedded runtime has to know of the stack."""

    directory: Path
    """Holds data/, scratch/, logs/, run/ and kept/; owned by the account the server runs as."""
    stack_directory: Path
    port: int
    owner: str
    database: str
    passwords: dict[str, Secret]
    """By role name: postgres, the owner, stratum_backup and stratum_replication."""
    console: tuple[str, Secret] | None = None
    """The console's database and its role's password, where there is a console."""
    programs: Path | None = None
    """The directory of the PostgreSQL programs to use; None looks for one."""
    places: tuple[Path, ...] = ()
    """Directories of programs to look in before all others."""
    major: int | None = None
    """What a new cluster is made with, where there are programs of several majors; an old one is served by its own."""


class EmbeddedPostgresql:
    """Runs one cluster in a directory, on loopback and a private socket, with generated passwords."""

    def __init__(self, settings: EmbeddedSettings) -> None:
        self._settings = settings
        self._directory = settings.directory
        self._data = settings.directory / "data"
        self._new, self._removing = settings.directory / "data.new", settings.directory / "data.removing"
        self._run_as = observe_run_as()
        self._found: dict[int | None, Installation] = {}

    @property
    def _installation(self) -> Installation:
        # Another process may have put a cluster of another major in this one's place.
        major = self._major_there() or self._settings.major
        if major not in self._found:
            settings = self._settings
            self._found[major] = find_installation(
                self._run_as, programs=settings.programs, first=settings.places, major=major
            )
        return self._found[major]

    def _major_there(self) -> int | None:
        """The major that wrote the data directory; None where there is none, or its PG_VERSION cannot be read."""
        try:
            return int((self._data / "PG_VERSION").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def installation(self) -> Installation:
        """The programs this server runs with."""
        return self._installation

    def passwords(self) -> dict[str, Secret]:
        """Those of .env, by role: the server's own and, where there is one, the console's."""
        console = {CONSOLE_ROLE: self._settings.console[1]} if self._settings.console else {}
        return self._settings.passwords | console

    def tools_version(self) -> str:
        return self._installation.version()

    def image(self) -> tuple[str | None, str | None]:
        return None, None

    def observe(self) -> ServerState:
        if not _has_entries(self._data):
            return ServerState(state=RunState.ABSENT, detail=f"there is no data directory at {self._data}")
        major = self._major_there()
        if major is None:
            return ServerState(state=RunState.DAMAGED, detail=f"{self._data} has no readable PG_VERSION")
        if not (self._data / "global" / "pg_control").is_file():
            return ServerState(state=RunState.DAMAGED, detail=f"{self._data} has no pg_control", major=major)
        running = read_postmaster(self._data)
        if running is None:
            return ServerState(state=RunState.STOPPED, detail=f"PostgreSQL {major} is stopped", major=major)
        detail = f"PostgreSQL {major} is running on 127.0.0.1:{running.port} (process {running.pid})"
        return ServerState(state=RunState.RUNNING, detail=detail, major=major, port=running.port)

    def server(self, role: Role) -> Server:
        """The running server, connected to as `role`. Raises `not-running` and `server-newer-than-tools`."""
        return _bound(self._installation, self.endpoint(role))

    def endpoint(self, role: Role) -> Endpoint:
        """Where the running server listens, for `role`. Raises `not-running` and `server-newer-than-tools`."""
        state = self.observe()
        if state.state is not RunState.RUNNING or state.port is None:
            raise StratumError("not-running", detail=state.detail)
        self._refuse_newer(state.major)
        user = self._user(role)
        return Endpoint(host=self._host(), port=state.port, user=user, password=self._settings.passwords[user])

    def offline_tools(self) -> PostgresqlTools:
        """The tools for work on files alone; they are bound to no server."""
        nowhere = Endpoint(host="127.0.0.1", port=self._settings.port, user=SUPERUSER, password=Secret(""))
        return PostgresqlTools(self._installation, nowhere)

    def create_cluster(self, *, bootstrap_role: str | None, application_database: bool) -> None:
        """Make a new cluster with its roles; it appears under its name only when it is complete."""
        self._end_orphan()
        new = self._new
        for folder in (self._directory, *(self._directory / name for name in ("logs", "run", "scratch"))):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._give(folder)
        self._directory.chmod(0o700)
        self._end_and_delete(new)
        superuser = bootstrap_role or SUPERUSER
        run_initdb(
            self._installation,
            new,
            superuser=superuser,
            password=self._settings.passwords[SUPERUSER],
            workspace=self._directory / "run",
            run_as=self._run_as,
        )
        with self._started(new, port=free_port()) as port:
            endpoint = Endpoint(
                host=self._host(), port=port, user=superuser, password=self._settings.passwords[SUPERUSER]
            )
            create_roles_and_databases(
                endpoint,
                owner=self._settings.owner,
                database=self._settings.database if application_database else None,
                passwords=self._settings.passwords,
            )
        if self._data.is_dir():
            self._data.rmdir()
        new.rename(self._data)

    def start(self) -> ServerState:
        """Start the server and wait until it answers. Takes another port when the configured one is taken.

        Raises `server-newer-than-tools` before anything is started, and `server-start-failed`.
        """
        state = self.observe()
        if state.state is RunState.RUNNING:
            return state
        self._refuse_newer(state.major)
        self._end_orphan()
        wanted = self._settings.port
        port = wanted if port_is_free(wanted) else free_port()
        wait_until_reaped(self._data / "postmaster.pid", self._directory / "run" / f".s.PGSQL.{port}.lock")
        self._pg_ctl_start(self._data, port)
        started = self.observe()
        taken = "" if port == wanted else f"; port {wanted} is taken by another program, so not on it"
        return dataclasses.replace(started, detail=f"{started.detail}{taken}")

    def start_alone(self) -> None:
        """Start the server for this account only: on another port of the private socket, and on no address."""
        if self.observe().state is not RunState.RUNNING:
            self._end_orphan()
            self._pg_ctl_start(self._data, free_port(), more=" -c listen_addresses=''")

    def stop(self) -> None:
        """Stop the server the clean way: a checkpoint, and every session ended. Stopping a stopped one is no error."""
        if self.observe().state is RunState.RUNNING:
            self._pg_ctl_stop(self._data)

    def set_cluster_aside(self, label: str) -> bool:
        """Move what is left of the data directory to kept/; says whether there was anything."""
        self.stop()
        self._end_orphan()
        # A server whose files were damaged beneath it goes on serving, and would go on from the kept directory.
        end_servers_in(self._data)
        if not _has_entries(self._data):
            return False
        kept = self._directory / "kept"
        kept.mkdir(mode=0o700, exist_ok=True)
        self._give(kept)
        self._data.rename(kept / label)
        return True

    def put_cluster_back(self, label: str) -> None:
        """Undo `set_cluster_aside`. Doing it twice is no error."""
        kept = self._directory / "kept" / label
        if kept.exists() and not self._data.exists():
            kept.rename(self._data)

    def remove_cluster(self) -> None:
        """Delete the data directory, for good. It is renamed first: cut anywhere, it is there whole or it is gone."""
        self.stop()
        self._end_orphan()
        end_servers_in(self._data)
        if self._data.exists():
            self._end_and_delete(self._removing)
            self._data.rename(self._removing)
        self._end_and_delete(self._removing)

    def kept_clusters(self) -> tuple[str, ...]:
        kept = self._directory / "kept"
        return tuple(sorted(path.name for path in kept.iterdir())) if kept.is_dir() else ()

    def remove_kept_cluster(self, label: str) -> None:
        kept = self._directory / "kept" / label
        if kept.exists():
            remove_with_tablespaces(kept, self._directory)

    @contextmanager
    def scratch(self, *, purpose: str, bootstrap_role: str) -> Iterator[Server]:
        """A throwaway server; see `ScratchServers.open`."""
        with self._scratch_servers().open(purpose=purpose, bootstrap_role=bootstrap_role) as endpoint:
            yield _bound(self._installation, endpoint)

    def sweep_scratch(self) -> int:
        """Remove what a killed process left: throwaway servers, a half-made cluster, a half-deleted one."""
        leftovers = [path for path in (self._new, self._removing) if path.exists()]
        for leftover in leftovers:
            self._end_and_delete(leftover)
        (self._directory / "run" / "initial-password").unlink(missing_ok=True)
        return len(leftovers) + self._scratch_servers().sweep()

    def free_bytes(self) -> int:
        path = self._directory
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
        port = self.observe().port or self._settings.port
        password = quote(self._settings.passwords[self._settings.owner].reveal, safe="")
        owner, database = quote(self._settings.owner, safe=""), quote(self._settings.database, safe="")
        url = f"postgresql://{owner}:{password}@127.0.0.1:{port}/{database}"
        return {"DATABASE_URL": url, "POSTGRES_PORT": str(port)}

    def run_command(self, argv: Sequence[str], *, told: Mapping[str, str] | None = None) -> None:
        """Run one of the application's commands in the stack's directory, with DATABASE_URL set."""
        run_application_command(
            argv,
            directory=self._settings.stack_directory,
            told=self.application_environment() | dict(told or {}),
            secret=self._settings.passwords[self._settings.owner],
        )

    def server_log(self, lines: int) -> list[str]:
        folder = self._directory / "logs"
        logs = [path for name in ("start.log", "postgresql-*.log") for path in folder.glob(name)]
        logs.sort(key=lambda path: path.stat().st_mtime)
        text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in logs)
        return text.splitlines()[-lines:]

    def _user(self, role: Role) -> str:
        return {
            Role.MAINTENANCE: SUPERUSER,
            Role.OWNER: self._settings.owner,
            Role.BACKUP: "stratum_backup",
            Role.REPLICATION: REPLICATION_ROLE,
        }[role]

    def _host(self) -> str:
        sockets = self._directory / "run"
        return str(sockets) if len(str(sockets)) <= _SOCKET_PATH_LIMIT else "127.0.0.1"

    def _scratch_servers(self) -> ScratchServers:
        return ScratchServers(
            installation=self._installation, directory=self._directory / "scratch", run_as=self._run_as
        )

    @contextmanager
    def _started(self, data: Path, *, port: int) -> Iterator[int]:
        self._pg_ctl_start(data, port)
        try:
            yield port
        finally:
            self._pg_ctl_stop(data)

    def _pg_ctl_start(self, data: Path, port: int, *, more: str = "") -> None:
        log = self._directory / "logs" / "start.log"
        argv = (
            self._installation.program("pg_ctl"),
            f"--pgdata={data}",
            "--wait",
            f"--timeout={_START_SECONDS:.0f}",
            f"--log={log}",
            # A cluster that was made by hand listens elsewhere, and has to be met to be recognised.
            f"--options=-p {port} -c unix_socket_directories=../run{more}",
            "start",
        )
        try:
            run_tool(
                argv,
                timeout_seconds=_START_SECONDS + 10,
                env=tool_environment(),
                run_as=self._run_as,
                detached=True,
            )
        except StratumError as error:
            if error.code != "tool-failed":
                raise
            # Its first lines go to pg_ctl's log, and the reason to the one its collector writes.
            raise StratumError("server-start-failed", log=" | ".join(self.server_log(5))) from None

    def _pg_ctl_stop(self, data: Path) -> None:
        argv = (
            self._installation.program("pg_ctl"),
            f"--pgdata={data}",
            "--mode=fast",
            "--wait",
            f"--timeout={_STOP_SECONDS:.0f}",
            "stop",
        )
        run_tool(argv, timeout_seconds=_STOP_SECONDS + 10, env=tool_environment(), run_as=self._run_as)

    def _refuse_newer(self, major: int | None) -> None:
        """A data directory that a newer PostgreSQL wrote is not damaged: it wants that PostgreSQL back."""
        tools = self._installation.major
        if major is not None and major > tools:
            raise StratumError("server-newer-than-tools", server_major=major, tools_major=tools)

    def _end_and_delete(self, data: Path) -> None:
        end_servers_in(data)
        if data.exists():
            remove_with_tablespaces(data, self._directory)

    def _end_orphan(self) -> None:
        end_orphans(self._data, self._new, self._removing)

    def _give(self, path: Path) -> None:
        if self._run_as is not None:
            os.chown(path, self._run_as.uid, self._run_as.gid)


def _bound(installation: Installation, endpoint: Endpoint) -> Server:
    from stratum.adapters.psycopg_database import PsycopgDatabase

    return Server(database=PsycopgDatabase(endpoint), tools=PostgresqlTools(installation, endpoint))


def _has_entries(folder: Path) -> bool:
    """Whether a directory is there and holds anything; one that is being deleted at this moment may be gone."""
    try:
        return any(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False
