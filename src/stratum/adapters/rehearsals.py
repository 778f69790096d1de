"""Rehearsals on this machine, or in the service `backup`: clones, programs closed off beside them, and the records."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.application_command import without_secret
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.postgresql_tools import Installation, PostgresqlTools
from stratum.adapters.process import RunAs, run_tool
from stratum.adapters.quarantine import NOT_CLOSED_OFF
from stratum.adapters.records import parse, to_json
from stratum.adapters.scratch_server import ScratchServers, statement_log
from stratum.core.errors import StratumError
from stratum.core.rehearsal import CommandRun, DatabaseLook, Rehearsal
from stratum.core.schema import statements
from stratum.core.stack import Secret
from stratum.rehearsal import Clone, Watch
from stratum.server import Server

FOLDER = "rehearsals"
_SECONDS = 24 * 3600.0
_ELSEWHERE = (Path("/run/postgresql"), Path("/var/run/postgresql"), Path("/run/docker"))
"""Where sockets of real servers are found by a program that does not heed what it is told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClonedServer:
    """A throwaway server that the data of a backup is loaded into."""

    endpoint: Endpoint
    installation: Installation

    @property
    def server(self) -> Server:
        from stratum.adapters.psycopg_database import PsycopgDatabase

        tools = PostgresqlTools(self.installation, self.endpoint)
        return Server(database=PsycopgDatabase(self.endpoint), tools=tools)

    @property
    def socket(self) -> Path:
        return Path(self.endpoint.host) / f".s.PGSQL.{self.endpoint.port}"

    def look(self, databases: Sequence[str], *, digest: bool) -> tuple[DatabaseLook, ...]:
        """Every row is read once; nothing is changed."""
        from stratum.adapters.clone_look import observe_clone_tables

        found, server = [], self.server
        there = server.database.database_oids()
        for name in (name for name in databases if name in there):
            size, tables = observe_clone_tables(self.endpoint, name, digest=digest)
            definitions = statements(server.tools.schema_of_database(name))
            found.append(DatabaseLook(name=name, bytes=size, tables=tables, definitions=definitions))
        return tuple(found)

    @contextmanager
    def watching(self, looks: Sequence[DatabaseLook]) -> Iterator[Watch]:
        from stratum.adapters.clone_watch import watching

        tables = {(look.name, one.oid): f"{look.name}.{one.qualified}" for look in looks for one in look.tables}
        with watching(
            self.endpoint, statement_log(self.endpoint), tables=tables, major=self.installation.major
        ) as watch:
            yield watch


@dataclass(frozen=True, kw_only=True, slots=True)
class RehearsalPlace:
    """What has to be known to rehearse."""

    scratch: Path
    """Where throwaway servers live."""
    archive: Path
    directory: Path
    """The stack's, in which its commands run."""
    hidden: tuple[Path, ...]
    """Directories with sockets of the real server."""
    more: Mapping[str, str]
    """`[rehearsal] env`."""


class LocalRehearsals:
    """Clones are made with the PostgreSQL programs at hand; the commands run on this machine."""

    def __init__(
        self,
        place: RehearsalPlace,
        *,
        installation: Callable[[], Installation],
        run_as: RunAs | None,
        environment: Callable[[], dict[str, str]],
        port: Callable[[], int],
        secrets: Sequence[Secret],
    ) -> None:
        self._place = place
        self._installation = installation
        self._run_as = run_as
        self._environment = environment
        self._port = port
        self._secrets = secrets

    @contextmanager
    def clone(self, *, bootstrap_role: str, load: Callable[[Server], None]) -> Iterator[Clone]:
        """See `ScratchServers.open`."""
        installation = self._installation()
        servers = ScratchServers(installation=installation, directory=self._place.scratch, run_as=self._run_as)
        fill = lambda endpoint: load(ClonedServer(endpoint=endpoint, installation=installation).server)  # noqa: E731 - names the call below
        with servers.open(purpose="rehearsal", bootstrap_role=bootstrap_role, rehearse=fill) as endpoint:
            yield ClonedServer(endpoint=endpoint, installation=installation)

    def run_closed_off(self, clone: Clone, name: str, argv: Sequence[str]) -> CommandRun:
        """The command finds the clone where production's server would be, and nothing else."""
        hidden = [str(path) for path in (*self._place.hidden, *_ELSEWHERE)]
        closed = (sys.executable, "-P", "-m", "stratum.adapters.quarantine", str(clone.socket), str(self._port()))
        began = time.monotonic()
        done = run_tool(
            (*closed, *hidden, "--", *argv),
            timeout_seconds=_SECONDS,
            env=os.environ | self._environment() | dict(self._place.more) | {"STRATUM_REHEARSAL": "true"},
            cwd=self._place.directory,
            accept=range(256),
        )
        if done.exit_code == NOT_CLOSED_OFF:
            raise StratumError("rehearsal-not-closed-off", problem=done.stderr.strip())
        said = done.stderr
        for secret in self._secrets:
            said = without_secret(said, secret)
        return CommandRun(
            name=name,
            ok=done.exit_code == 0,
            seconds=round(time.monotonic() - began, 3),
            said="" if done.exit_code == 0 else said,
        )

    def record(self, rehearsal: Rehearsal) -> None:
        """Write it beside the archive's proofs; names of tables are in it, and no values."""
        with durable.archive_errors(self._place.archive):
            folder = self._place.archive / FOLDER
            folder.mkdir(mode=0o750, exist_ok=True)
            durable.write_file(folder / f"{rehearsal.id}.json", to_json(rehearsal) + "\n")

    def recorded(self) -> tuple[Rehearsal, ...]:
        files = sorted((self._place.archive / FOLDER).glob("*.json"))
        return tuple(parse(Rehearsal, file.read_text(encoding="utf-8"), file=file.name) for file in files)
