"""The stack's own files: laid down once, and looked at by the checklist."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values

from stratum.adapters import durable
from stratum.adapters import stack_templates as templates
from stratum.adapters.certificate import CERTIFICATE_PATHS, observe_certificate
from stratum.adapters.env_file import replace_variable
from stratum.adapters.process import run_tool
from stratum.adapters.stack_fingerprint import fingerprint
from stratum.core.errors import StratumError
from stratum.core.stack import StackFilesState

_SECRETS = ("POSTGRES_PASSWORD", "POSTGRES_SUPERUSER_PASSWORD", "BACKUP_PASSWORD", "REPLICATION_PASSWORD")
OWN_SERVER_SECRETS = ("BACKUP_PASSWORD", "REPLICATION_PASSWORD", "MAINTENANCE_PASSWORD")
_CONSOLE_SECRETS = ("CONSOLE_PASSWORD", "JWT_SECRET")
_WELL_KNOWN = {
    "CHANGE_ME_STRONG",
    "CHANGER_CE_SECRET_LONG_ET_RANDOM",
    "postgres",
    "password",
    "changeme",
    "stratum",
}
_SHORTEST = 12
_FIRST_PORT = 5433


def lay_down(directory: Path, *, name: str, database_directory: str, archive: str, console: bool) -> tuple[Path, ...]:
    """Write a new embedded stack's files, with generated secrets in a 0600 .env; returns what was written.

    Raises `stack-exists` before anything is written; a .gitignore or Makefile that exists is left as it is,
    except that .gitignore gets the lines it lacks.
    """
    env = templates.ENV.format(port=_free_port(), secrets=_generated(_SECRETS))
    if console:
        env += templates.CONSOLE_ENV.format(secrets=_generated(_CONSOLE_SECRETS))
    toml = render_settings(
        name=name,
        databases=["stratum_db", "stratum_console"] if console else ["stratum_db"],
        place=f"directory = {_quoted(database_directory)}",
        archive=archive,
        console=console,
    )
    return write_stack(directory, toml=toml, env=env, ignored=templates.GITIGNORE, makefile=templates.MAKEFILE)


def lay_down_compose(directory: Path, *, name: str, variables: Mapping[str, str], console: bool) -> tuple[Path, ...]:
    """Write a new Compose stack's stratum.toml, .env, Makefile and .gitignore; see `lay_down`.

    `variables` are set in .env beside generated secrets. A .env that was copied from .env.example stays, and gets
    what it lacks or leaves empty.
    """
    if (directory / "stratum.toml").exists():
        raise StratumError("stack-exists", directory=directory, file="stratum.toml")
    directory.mkdir(parents=True, exist_ok=True)
    env = directory / ".env"
    wanted = {**variables, **{secret: secrets.token_urlsafe(32) for secret in (*_SECRETS, *_CONSOLE_SECRETS)}}
    if env.exists():
        written = (env,) if complete_env(env, wanted) else ()
    else:
        text = "\n".join(f"{key}={value}" for key, value in wanted.items())
        durable.write_file(env, templates.COMPOSE_ENV.format(variables=text), mode=0o600)
        written = (env,)
    toml = render_settings(
        name=name,
        databases=["stratum_db", "stratum_console"] if console else ["stratum_db"],
        place='service = "postgres"           # the Compose service that runs PostgreSQL',
        archive=None,
        console=console,
    )
    return (
        *written,
        *_write_around(directory, toml=toml, ignored=templates.COMPOSE_GITIGNORE, makefile=templates.COMPOSE_MAKEFILE),
    )


def render_settings(*, name: str, databases: Sequence[str], place: str, archive: str | None, console: bool) -> str:
    """A new stratum.toml. `place` is what [database] says beside the names; without `archive` it is Compose's."""
    return templates.STRATUM_TOML.format(
        timezone=observe_timezone(),
        name=name,
        runtime=templates.COMPOSE if archive is None else templates.EMBEDDED,
        databases=json.dumps(list(databases), ensure_ascii=False),
        place=place,
        archive=templates.ARCHIVE_OF_COMPOSE if archive is None else templates.ARCHIVE.format(archive=_quoted(archive)),
        commands=templates.CONSOLE_COMMANDS if console and archive is None else templates.NO_COMMANDS,
        console="true" if console else "false",
    )


def write_stack(directory: Path, *, toml: str, env: str, ignored: str, makefile: str) -> tuple[Path, ...]:
    """Put the files in place; raises `stack-exists` before anything is written."""
    for file in ("stratum.toml", ".env"):
        if (directory / file).exists():
            raise StratumError("stack-exists", directory=directory, file=file)
    directory.mkdir(parents=True, exist_ok=True)
    durable.write_file(directory / ".env", env, mode=0o600)
    return (directory / ".env", *_write_around(directory, toml=toml, ignored=ignored, makefile=makefile))


def _write_around(directory: Path, *, toml: str, ignored: str, makefile: str) -> tuple[Path, ...]:
    """All that holds no secret."""
    durable.write_file(directory / "stratum.toml", toml, mode=0o644)
    add_lines(directory / ".gitignore", ignored.splitlines())
    written = [directory / "stratum.toml", directory / ".gitignore"]
    if not (directory / "Makefile").exists():
        durable.write_file(directory / "Makefile", makefile, mode=0o644)
        written.append(directory / "Makefile")
    return (*written, *_lay_down_monitoring(directory / "monitoring"))


def complete_env(file: Path, variables: Mapping[str, str]) -> bool:
    """Give a .env that is there the variables it lacks or leaves empty; no value that is set is changed."""
    found = dotenv_values(file, interpolate=False, encoding="utf-8")
    missing = {name: value for name, value in variables.items() if not found.get(name)}
    for name, value in missing.items():
        replace_variable(file, name, value)
    file.chmod(0o600)
    return bool(missing)


def _lay_down_monitoring(folder: Path) -> tuple[Path, ...]:
    """Rules and a dashboard for whoever has Prometheus and Grafana; what is there already stays."""
    source = Path(__file__).parent.parent / "monitoring"
    folder.mkdir(exist_ok=True)
    missing = [file for file in sorted(source.iterdir()) if not (folder / file.name).exists()]
    for file in missing:
        durable.write_file(folder / file.name, file.read_text(encoding="utf-8"), mode=0o644)
    return tuple(folder / file.name for file in missing)


@dataclass(frozen=True, kw_only=True, slots=True)
class StackFilesOnDisk:
    """The files of one stack, as the checklist sees them."""

    directory: Path
    environment: Mapping[str, str] = field(repr=False)
    """Holds passwords."""
    wanted: tuple[str, ...] = _SECRETS
    """Secrets that .env has to hold."""

    def observe(self) -> StackFilesState:
        env = self.directory / ".env"
        ends_at, problem = self._certificate()
        weak = [name for name in self.wanted if is_weak(self.environment.get(name, ""))]
        weak += [name for name in _CONSOLE_SECRETS if name in self.environment and is_weak(self.environment[name])]
        return StackFilesState(
            env_mode=env.stat().st_mode & 0o777 if env.exists() else None,
            env_ignored_by_git=self._ignored(),
            weak_secrets=tuple(weak),
            certificate_ends_at=ends_at,
            certificate_problem=problem,
        )

    def fingerprint(self) -> str:
        return fingerprint(self.directory, self.environment)

    def protect_env(self) -> None:
        (self.directory / ".env").chmod(0o600)

    def ignore_env(self) -> None:
        add_lines(self.directory / ".gitignore", [".env"])

    def _certificate(self) -> tuple[datetime | None, str]:
        """When the certificate nginx uses ends, and why it cannot serve; neither where there is none."""
        named = self.environment.get("NGINX_CERT_PATH", "")
        if named:
            return observe_certificate(self.directory, named, self.environment.get("NGINX_KEY_PATH", ""))
        certificate, key = CERTIFICATE_PATHS.values()
        there = (self.directory / certificate).exists()
        return observe_certificate(self.directory, certificate, key) if there else (None, "")

    def _ignored(self) -> bool | None:
        """What git itself says; a checkout without git on the machine is judged by .gitignore's own line."""
        if not any((folder / ".git").exists() for folder in (self.directory, *self.directory.parents)):
            return None
        if shutil.which("git") is None:
            ignore = self.directory / ".gitignore"
            return ignore.exists() and ".env" in ignore.read_text(encoding="utf-8").splitlines()
        argv = ("git", "-C", str(self.directory), "check-ignore", "--quiet", ".env")
        return run_tool(argv, timeout_seconds=30.0, accept=(0, 1), env=dict(os.environ)).exit_code == 0


def _generated(names: tuple[str, ...]) -> str:
    return "\n".join(f"{name}={secrets.token_urlsafe(32)}" for name in names)


def _quoted(text: str) -> str:
    """A TOML string, written as JSON writes one (https://toml.io/en/v1.0.0#string)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def observe_timezone() -> str:
    """The machine's time zone by name; UTC where it cannot be told."""
    try:
        named = str(Path("/etc/localtime").readlink()).partition("/zoneinfo/")[2]
        ZoneInfo(named)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return "UTC"
    return "UTC" if named in {"UTC", "Etc/UTC"} else named


def is_weak(value: str) -> bool:
    """Whether a secret is empty, short or one that examples use."""
    return len(value) < _SHORTEST or value in _WELL_KNOWN


def add_lines(file: Path, lines: Sequence[str]) -> None:
    """Give a file the lines it lacks; it is made where it is missing."""
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    there = {line.strip("/") for line in before.splitlines()}
    missing = [line for line in lines if line.strip("/") not in there]
    if missing:
        joint = "" if not before or before.endswith("\n") else "\n"
        durable.write_file(file, before + joint + "\n".join(missing) + "\n", mode=0o644)


def _free_port() -> int:
    """The first port from 5433 on that nothing listens on: 5432 is left to a server of the machine's own."""
    for port in range(_FIRST_PORT, _FIRST_PORT + 1000):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StratumError("port-taken", port=_FIRST_PORT)
