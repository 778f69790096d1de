"""Asks the container of a project's database, where there is one: where its data is, and what its server holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from stratum.adapters.docker import Docker
from stratum.core.adoption import ComposeLook
from stratum.core.volume_rules import wanted_mount

_ASK = r"""SELECT json_build_object(
 'databases', (SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database
               WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres'),
 'settings', (SELECT json_object_agg(name, setting) FROM pg_settings WHERE name IN
              ('fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums', 'data_directory', 'wal_level')),
 'trusted', (SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust' AND type <> 'local'
             AND coalesce(address, '') NOT IN ('127.0.0.1', '::1')))"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningProject:
    """The project's containers, as far as there are any."""

    docker: Docker
    directory: Path
    files: tuple[Path, ...]

    def look(self, found: ComposeLook) -> ComposeLook:
        """`found` with what the container says. Nothing is started, and the server is only read from."""
        container = self._container(found)
        if not container:
            return found
        return self._with_server(self._with_mount(found, container), container)

    def _container(self, found: ComposeLook) -> str:
        wanted = (
            "--filter", f"label=com.docker.compose.project={found.project}",
            "--filter", f"label=com.docker.compose.service={found.service}",
            "--filter", "label=com.docker.compose.oneoff=False",
        )  # fmt: skip
        ids = self.docker.run(("ps", "--all", "--quiet", *wanted), accept=range(256)).stdout.split()
        return ids[0] if len(ids) == 1 else ""

    def _with_mount(self, found: ComposeLook, container: str) -> ComposeLook:
        """A volume that the files do not name has the name that Docker gave it."""
        if found.volume or found.directory:
            return found
        said = self.docker.run(("inspect", "--format", "{{json .Mounts}}", container)).stdout
        wanted = wanted_mount(found.major or 0)
        for mount in json.loads(said):
            if mount["Type"] == "volume" and mount["Destination"].rstrip("/") == wanted:
                return replace(found, volume=mount["Name"], mount=wanted, nameless=True)
        return found

    def _with_server(self, found: ComposeLook, container: str) -> ComposeLook:
        argv = ("exec", "--user", "postgres", container, "psql", "-XAtq", "-U", found.user, "-d", found.database,
                "-c", _ASK)  # fmt: skip
        answer = self.docker.run(argv, accept=range(256))
        if answer.exit_code != 0:
            return found
        said = json.loads(answer.stdout)
        settings: dict[str, str] = said["settings"]
        others = [*found.others, *said["databases"]]
        return replace(
            found,
            others=tuple(name for name in dict.fromkeys(others) if name != found.database),
            settings=found.settings | {name: value for name, value in settings.items() if name != "data_checksums"},
            checksums=settings.get("data_checksums", "off") == "on",
            data_directory=settings.get("data_directory", found.data_directory),
            trusts=found.trusts or said["trusted"] > 0,
        )
