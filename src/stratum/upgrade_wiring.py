"""Chooses how PostgreSQL's major is changed: on this machine, or from the host of a Compose stack."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stratum.adapters.docker import Docker
from stratum.adapters.embedded_postgresql import EmbeddedPostgresql, EmbeddedSettings
from stratum.adapters.embedded_upgrade import MAJOR_VARIABLE, OWN_SETTINGS, EmbeddedUpgrade
from stratum.adapters.env_file import read_text, replace_variables, write_text
from stratum.config import ENV_FILE, Settings, load_settings, read_environment
from stratum.core.containers import BACKUP
from stratum.core.errors import StratumError
from stratum.core.volume_rules import refuse_unusable_image, wanted_mount
from stratum.ports import Runtime
from stratum.upgrade import HostUpgrade, LocalUpgrade

if TYPE_CHECKING:
    from stratum.adapters.compose_project import ComposeProject

DEFAULT_IMAGE = "postgres:16-bookworm"


def local_upgrade_of(settings: Settings, runtime: Runtime, embedded: EmbeddedSettings | None) -> LocalUpgrade | None:
    """None where the server is not a process of this machine's own."""
    if embedded is None or not isinstance(runtime, EmbeddedPostgresql):
        return None
    return EmbeddedUpgrade(settings=embedded, runtime=runtime, env_file=settings.directory / ENV_FILE)


def major_of(settings: Settings) -> int | None:
    """What a new embedded cluster is made with, where .env says so."""
    return int(found) if (found := settings.environment.get(MAJOR_VARIABLE, "")).isdigit() else None


def host_upgrade_of(settings: Settings) -> HostUpgrade | None:
    """None but on the host of a Compose stack whose database is its own."""
    if not settings.is_compose or settings.inside or settings.is_external:
        return None
    return _ComposeUpgrade(directory=settings.directory)


@dataclass(frozen=True, kw_only=True, slots=True)
class _ComposeUpgrade:
    """Reads .env anew at each step: the one before may have changed it."""

    directory: Path

    def image_for(self, major: int) -> str:
        image = self._settings().environment.get("POSTGRES_IMAGE") or DEFAULT_IMAGE
        found = _TAG.fullmatch(image)
        if found is None:
            problem = f"the tag of {image} names no major; say which image with --image"
            raise StratumError("upgrade-refused", major=major, problem=problem)
        return f"{found['name']}:{major}{found['suite']}"

    def image_major(self, image: str) -> int | None:
        from stratum.adapters.data_volume import look_at_image

        look = look_at_image(self._docker(), image)
        if look.major is not None:
            refuse_unusable_image(look, mount=wanted_mount(look.major))
        return look.major

    def variables(self) -> dict[str, str]:
        found = read_environment(self.directory / ENV_FILE)
        values = {name: found.get(name, "") for name in _VARIABLES}
        # A volume that .env does not name has a name all the same, which the new one is told from.
        return values | {"POSTGRES_VOLUME": self.reopened().volumes.live()}

    def set_variables(self, values: Mapping[str, str]) -> None:
        file = self.directory / ENV_FILE
        text = replace_variables(read_text(file), {name: value or None for name, value in values.items()})
        write_text(file, text)

    def reopened(self) -> ComposeProject:
        from stratum.compose_wiring import compose_runtime

        return compose_runtime(self._settings())[2]

    def create_cluster(self, *, bootstrap_role: str) -> None:
        from stratum.compose_wiring import compose_runtime

        runtime, _, project = compose_runtime(self._settings())
        if project.look()[1].empty:
            runtime.create_cluster(bootstrap_role=bootstrap_role, application_database=False)
        project.write_secrets()

    def missing_extensions(self, image: str, databases: Sequence[str]) -> tuple[str, ...]:
        used = set[str]()
        for database in databases:
            used |= set(self._ask("SELECT extname FROM pg_extension", database=database).split())
        look = ("run", "--rm", "--network=none", "--entrypoint=sh", image, "-c", _LIST_EXTENSIONS)
        there = {Path(line).name.removesuffix(".control") for line in self._docker().run(look).stdout.split()}
        return tuple(sorted(used - there))

    def own_settings(self) -> tuple[str, ...]:
        return tuple(self._ask(OWN_SETTINGS).splitlines())

    def databases(self) -> tuple[str, ...]:
        asked = "SELECT datname FROM pg_database WHERE NOT datistemplate"
        return tuple(self._ask(asked).splitlines())

    def size_and_room(self, databases: Sequence[str]) -> tuple[int, int]:
        there = set(databases) & set(self.databases())
        size = sum(int(self._ask("SELECT pg_database_size(current_database())", database=name)) for name in there)
        # Docker makes the new volume on the disk where the old one is.
        directory = self._ask("SHOW data_directory").strip()
        told = self.reopened().exec_database(("df", "--output=avail", "--block-size=1", directory))
        return size, int(told.split()[-1])

    def drill(self, values: Mapping[str, str], backup_id: str, *, under: str | None) -> Mapping[str, object]:
        trial = self._with(values)
        trial.build((BACKUP,))
        return trial.inside(("drill", backup_id), under=under, apart=True)

    def image_in_files(self, values: Mapping[str, str]) -> str:
        trial = self._with(values)
        return str(trial.specification(self._settings().database.service).get("image", ""))

    def read_roles(self) -> str:
        argv = ("pg_dumpall", "--roles-only", "--no-role-passwords", f"--username={self._superuser()}")
        wanted = ("ALTER ROLE ", "GRANT ", "COMMENT ON ROLE ")
        lines = self.reopened().exec_database(argv).splitlines()
        return "".join(f"{line}\n" for line in lines if line.startswith(wanted))

    def read_hashes(self) -> str:
        asked = (
            "SELECT format('ALTER ROLE %I PASSWORD %L;', rolname, rolpassword) FROM pg_authid "
            "WHERE rolpassword IS NOT NULL ORDER BY rolname"
        )
        # Without its terse way psql shows the statement that failed, and the hash in it.
        quiet = "SET log_statement = none;\nSET log_min_error_statement = panic;\n"
        return f"\\set VERBOSITY terse\n{quiet}" + self._ask(asked)

    def _with(self, values: Mapping[str, str]) -> ComposeProject:
        """The project as other values of .env would have it, but for the volume.

        That is none of a throwaway server's business, and the new one is not there yet.
        """
        from stratum.compose_wiring import compose_project

        settings = self._settings()
        changed = replace(settings, environment=settings.environment | dict(values))
        docker = self._docker(instead={name: value for name, value in values.items() if name != "POSTGRES_VOLUME"})
        return compose_project(changed, docker=docker, volume=self.reopened().volumes.volume, profiles=())

    def _superuser(self) -> str:
        return self._settings().environment.get("POSTGRES_SUPERUSER") or "postgres"

    def _ask(self, query: str, *, database: str = "postgres") -> str:
        """What the superuser reads, as plain lines, over the socket that only the container's own account reaches."""
        argv = ("psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1")
        named = (f"--username={self._superuser()}", f"--dbname={database}")
        return self.reopened().exec_database((*argv, *named), told=query)

    def _settings(self) -> Settings:
        return load_settings(self.directory)

    def _docker(self, *, instead: Mapping[str, str] | None = None) -> Docker:
        settings = self._settings()
        hidden = frozenset(settings.environment) | frozenset(_VARIABLES)
        return Docker(directory=self.directory, hidden=hidden, instead=instead or {})


_VARIABLES = ("POSTGRES_IMAGE", "POSTGRES_VOLUME", "POSTGRES_MOUNT")
_TAG = re.compile(r"(?P<name>.+):(?P<major>[0-9]+)(?:\.[0-9]+)*(?P<suite>-[a-z][a-z0-9.-]*)?")
"""`postgres:16.4-bookworm`: the suite stays, so that text sorts as before; a minor release is the newest there is."""
_LIST_EXTENSIONS = 'ls "/usr/share/postgresql/$PG_MAJOR/extension/"*.control'
