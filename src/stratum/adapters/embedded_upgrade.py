"""A change of PostgreSQL's major on this machine: a data directory of the new one beside the old, then in its place."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stratum.adapters.embedded_postgresql import EmbeddedPostgresql, EmbeddedSettings
from stratum.adapters.env_file import replace_variable
from stratum.adapters.postgresql_installation import OLDEST_MAJOR, find_installation, observe_run_as
from stratum.adapters.postmaster import free_port
from stratum.core.errors import StratumError
from stratum.ports import Role, Server

MAJOR_VARIABLE = "POSTGRES_MAJOR"
_SHARED = ("share/postgresql/extension", "share/extension", "../../../share/postgresql/{major}/extension")
"""Where builds keep their extensions, from the directory above their programs; the last is Debian's."""


# https://www.postgresql.org/docs/current/view-pg-file-settings.html
OWN_SETTINGS = """SELECT name || ' = ' || quote_literal(setting) FROM pg_file_settings
WHERE sourcefile LIKE '%/postgresql.auto.conf'
  AND name NOT IN ('max_slot_wal_keep_size', 'synchronous_standby_names')
ORDER BY seqno"""


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddedUpgrade:
    """Works below the directory where `data/` and `kept/` are; what is made beside lies in `upgrade/` there."""

    settings: EmbeddedSettings
    runtime: EmbeddedPostgresql
    env_file: Path

    def major(self) -> int | None:
        return self.runtime.observe().major

    def missing_extensions(self, major: int, databases: Sequence[str]) -> tuple[str, ...]:
        """Compared by the control files, which is how the server itself knows them."""
        place = self._extensions(major)
        there = {file.name.removesuffix(".control") for file in place.glob("*.control")}
        return tuple(sorted(self._in_use(databases) - there))

    def own_settings(self) -> tuple[str, ...]:
        import psycopg

        old = self.runtime.endpoint(Role.MAINTENANCE)
        with psycopg.connect(old.conninfo("postgres"), password=old.password.reveal) as connection:
            return tuple(str(line) for (line,) in connection.execute(OWN_SETTINGS))

    @contextmanager
    def scratch(self, major: int, *, bootstrap_role: str) -> Iterator[Server]:
        """A throwaway server of the new major, in the place of all others: a killed one is swept like them."""
        new = EmbeddedPostgresql(dataclasses.replace(self.settings, programs=self._programs(major)))
        with new.scratch(purpose="upgrade", bootstrap_role=bootstrap_role) as server:
            yield server

    def serve_alone(self) -> None:
        self.runtime.start_alone()

    def forget_alone(self) -> None:
        self.runtime.stop()

    def make_beside(self, major: int, *, bootstrap_role: str) -> Server:
        self.discard_beside()
        beside = self._beside(major)
        beside.create_cluster(bootstrap_role=bootstrap_role, application_database=False)
        beside.start_alone()
        return beside.server(Role.MAINTENANCE)

    def copy_passwords(self, major: int, roles: Sequence[str]) -> None:
        """A hash that the old server took is one that the new one takes.

        (https://www.postgresql.org/docs/current/sql-createrole.html, PASSWORD)
        """
        import psycopg
        from psycopg import sql

        old, new = self.runtime.endpoint(Role.MAINTENANCE), self._beside(major).endpoint(Role.MAINTENANCE)
        with psycopg.connect(old.conninfo("postgres"), password=old.password.reveal) as connection:
            query = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = ANY(%s) AND rolpassword IS NOT NULL"
            found = connection.execute(query, (list(roles),)).fetchall()
        with psycopg.connect(new.conninfo("postgres"), password=new.password.reveal) as connection:
            # Neither an error nor a statement that is slow may leave a hash in the server's log.
            connection.execute("SET log_statement = none")
            connection.execute("SET log_min_error_statement = panic")
            connection.execute("SET log_min_duration_statement = -1")
            for role, hashed in found:
                statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(hashed))
                connection.execute(statement)

    def analyze_beside(self, major: int, databases: Sequence[str]) -> None:
        import psycopg

        new = self._beside(major).endpoint(Role.MAINTENANCE)
        for database in databases:
            with psycopg.connect(new.conninfo(database), password=new.password.reveal, autocommit=True) as connection:
                connection.execute("ANALYZE")

    def discard_beside(self) -> None:
        if self._home.exists():
            EmbeddedPostgresql(dataclasses.replace(self.settings, directory=self._home)).remove_cluster()
            shutil.rmtree(self._home)

    def put_in_place(self, major: int, *, kept: str) -> None:
        new = self._home / "data"
        if new.exists():
            self._beside(major).stop()
            self.runtime.set_cluster_aside(kept)
            new.rename(self._data)
        replace_variable(self.env_file, MAJOR_VARIABLE, str(major))

    def put_back(self, major: int, *, kept: str) -> None:
        """What was made beside is put beside again: the step that made it throws it away."""
        if (self.settings.directory / "kept" / kept).exists():
            self.runtime.stop()
            if self._data.exists():
                self._home.mkdir(mode=0o700, exist_ok=True)
                self._data.rename(self._home / "data")
            self.runtime.put_cluster_back(kept)
        replace_variable(self.env_file, MAJOR_VARIABLE, str(major))

    def go_back(self, major: int, *, kept: str, aside: str) -> None:
        if (self.settings.directory / "kept" / kept).exists():
            self.runtime.set_cluster_aside(aside)
            self.runtime.put_cluster_back(kept)
        replace_variable(self.env_file, MAJOR_VARIABLE, str(major))

    @property
    def _data(self) -> Path:
        return self.settings.directory / "data"

    @property
    def _home(self) -> Path:
        return self.settings.directory / "upgrade"

    def _beside(self, major: int) -> EmbeddedPostgresql:
        """On a port that no application knows."""
        return EmbeddedPostgresql(
            dataclasses.replace(self.settings, directory=self._home, programs=self._programs(major), port=free_port())
        )

    def _programs(self, major: int) -> Path:
        """Raises `upgrade-no-programs`."""
        found = find_installation(observe_run_as(), first=self.settings.places, major=major)
        if found.major != major:
            raise StratumError("upgrade-no-programs", major=major, oldest=OLDEST_MAJOR)
        return found.bin_dir

    def _extensions(self, major: int) -> Path:
        above = self._programs(major).parent
        places = [above / place.format(major=major) for place in _SHARED]
        return next((place for place in places if (place / "plpgsql.control").exists()), places[0])

    def _in_use(self, databases: Sequence[str]) -> set[str]:
        import psycopg

        old, found = self.runtime.endpoint(Role.MAINTENANCE), set[str]()
        for database in databases:
            with psycopg.connect(old.conninfo(database), password=old.password.reveal) as connection:
                found |= {str(name) for (name,) in connection.execute("SELECT extname FROM pg_extension")}
        return found
