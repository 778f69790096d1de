"""The stack's own files: laid down once, and looked at by the checklist."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stratum.adapters import durable
from stratum.adapters.certificate import observe_certificate_end
from stratum.adapters.process import run_tool
from stratum.core.errors import StratumError
from stratum.ports import StackFilesState

_SECRETS = ("POSTGRES_PASSWORD", "POSTGRES_SUPERUSER_PASSWORD", "BACKUP_PASSWORD", "REPLICATION_PASSWORD")
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

_STRATUM_TOML = """# Everything Stratum knows about this stack; an unknown key is refused.
# All settings: docs/reference/settings.md

[stack]
name = "{name}"                # what you type to confirm
runtime = "embedded"           # local processes, no Docker

[database]
databases = {databases}     # guarded databases; the first is the application's
directory = {directory}

[archive]
path = {archive}             # put it on another disk: on the same one it dies with the data
# failure_domain = "other-disk"  # declare what the kernel cannot see: same-disk, other-disk or other-host

[backup]
schedule = "0 1 * * *"         # when the agent takes a backup and then prunes; empty: never
timezone = "{timezone}"
digest = "full"                # full, sampled or counts
collapse_limit = 0.5           # a dump that lost more than this share of the rows is not called a backup

[retention]
keep_days = 14
keep_last = 3
daily = 0
weekly = 0
monthly = 0

[drill]
schedule = "0 3 * * *"         # when the agent restores the newest backup beside and compares it
smoke_sql = []                 # e.g. ["SELECT count(*) > 0 FROM accounts"]

[restore]
undo_window = "72h"            # how long what a restore replaced is kept

[commands]
migrate = []                   # e.g. ["alembic", "upgrade", "head"]; DATABASE_URL is set for it
seed = []

[notify]
urls = []                      # where alarms go, e.g. ["mailto://$USER:$PASS@example.org"], $NAMEs from .env
heartbeat_url = ""             # asked for after each backup, so that silence raises the alarm elsewhere

[console]
enabled = {console}         # whether `stratum up` starts the agent, the backend and the frontend
database = "stratum_console"   # their own database: users, sessions and their audit

[check]
accept = []                    # checklist lines whose risk you accept by name
"""

_ENV = """# Secrets of this stack, generated. Never commit this file.
POSTGRES_USER=stratum
POSTGRES_DB=stratum_db
POSTGRES_PORT={port}
{secrets}
"""

_CONSOLE_ENV = """# The console. Its ports are wishes: a free one is taken where another program listens, and said.
FRONTEND_PORT=3000
BACKEND_PORT=4001
AGENT_PORT=4002
{secrets}
JWT_ACCESS_TTL=15m
JWT_REFRESH_TTL_MS=90d
AUTORUN_MIGRATIONS=true
SEED_ON_START=false
"""

_GITIGNORE = """.env
.stratum/
archive/
"""

_MAKEFILE = """# Each target is one call of the command line.
STRATUM ?= stratum

up stop down status check backup drill prune migrate seed logs:
\t$(STRATUM) $@

.PHONY: up stop down status check backup drill prune migrate seed logs
"""


def lay_down(directory: Path, *, name: str, database_directory: str, archive: str, console: bool) -> tuple[Path, ...]:
    """Write a new stack's files, with generated secrets in a 0600 .env; returns what was written.

    Raises `stack-exists` before anything is written; a .gitignore or Makefile that exists is left as it is,
    except that .gitignore gets the lines it lacks.
    """
    for file in ("stratum.toml", ".env"):
        if (directory / file).exists():
            raise StratumError("stack-exists", directory=directory, file=file)
    directory.mkdir(parents=True, exist_ok=True)
    toml = _STRATUM_TOML.format(
        timezone=observe_timezone(),
        name=name,
        databases='["stratum_db", "stratum_console"]' if console else '["stratum_db"]',
        directory=_quoted(database_directory),
        archive=_quoted(archive),
        console="true" if console else "false",
    )
    env = _ENV.format(port=_free_port(), secrets=_generated(_SECRETS))
    if console:
        env += _CONSOLE_ENV.format(secrets=_generated(_CONSOLE_SECRETS))
    durable.write_file(directory / ".env", env, mode=0o600)
    durable.write_file(directory / "stratum.toml", toml)
    _add_lines(directory / ".gitignore", _GITIGNORE.splitlines())
    written = [directory / name for name in ("stratum.toml", ".env", ".gitignore")]
    if not (directory / "Makefile").exists():
        durable.write_file(directory / "Makefile", _MAKEFILE)
        written.append(directory / "Makefile")
    return (*written, *_lay_down_monitoring(directory / "monitoring"))


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

    def observe(self) -> StackFilesState:
        env = self.directory / ".env"
        ends_at, problem = self._certificate()
        weak = [name for name in _SECRETS if _is_weak(self.environment.get(name, ""))]
        weak += [name for name in _CONSOLE_SECRETS if name in self.environment and _is_weak(self.environment[name])]
        return StackFilesState(
            env_mode=env.stat().st_mode & 0o777 if env.exists() else None,
            env_ignored_by_git=self._ignored(),
            weak_secrets=tuple(weak),
            certificate_ends_at=ends_at,
            certificate_problem=problem,
        )

    def protect_env(self) -> None:
        (self.directory / ".env").chmod(0o600)

    def ignore_env(self) -> None:
        _add_lines(self.directory / ".gitignore", [".env"])

    def _certificate(self) -> tuple[datetime | None, str]:
        """When the certificate of .env ends, and why that could not be seen; neither where none is named."""
        named = self.environment.get("NGINX_CERT_PATH", "")
        if not named:
            return None, ""
        try:
            return observe_certificate_end(self.directory / named), ""
        except OSError as error:
            return None, f"{named}: {error.strerror}"
        except ValueError:
            return None, f"{named} holds no certificate"

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


def _is_weak(value: str) -> bool:
    return len(value) < _SHORTEST or value in _WELL_KNOWN


def _add_lines(file: Path, lines: list[str]) -> None:
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    missing = [line for line in lines if line not in before.splitlines()]
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
