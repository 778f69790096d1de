"""A private PostgreSQL for the raw measurements: its own directory and socket, gone when the block ends."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

PRODUCTION: Mapping[str, str] = {"wal_level": "replica", "max_wal_size": "2GB"}
"""As the embedded runtime configures a cluster: durable, with room for a load between two checkpoints."""

SCRATCH: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "16GB",
    "min_wal_size": "1GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "shared_buffers": "512MB",
    "maintenance_work_mem": "512MB",
}
"""A server that will be thrown away: a crash costs a second try, never data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A running private server; `socket` is its directory and the only way in."""

    bindir: Path
    data: Path
    socket: Path
    owner: str

    def env(self, **extra: str) -> dict[str, str]:
        """The environment client tools need to reach this server as its superuser."""
        return {
            "PATH": f"{self.bindir}:{os.defpath}",
            "PGHOST": str(self.socket),
            "PGUSER": "postgres",
            "LC_ALL": "C.UTF-8",
            **extra,
        }

    def tool(self, name: str) -> str:
        return str(self.bindir / name)

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self.socket), user="postgres", dbname=database, autocommit=True)

    def recreate(self, database: str) -> None:
        """Drop `database` if it exists and create it empty."""
        name = sql.Identifier(database)
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
            connection.execute("CHECKPOINT")


@contextmanager
def private_server(
    place: Path, *, bindir: Path, settings: Mapping[str, str], checksums: bool = True
) -> Iterator[Server]:
    """Make and start a server below `place`; stop it and delete its directory when the block ends."""
    owner = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    place.mkdir(mode=0o700, parents=True)
    if os.geteuid() == 0:
        shutil.chown(place, owner)
    server = Server(bindir=bindir, data=place / "data", socket=place, owner=owner)
    _as_owner(server, _initdb_argv(server, checksums=checksums))
    _configure(server, settings)
    _as_owner(server, (server.tool("pg_ctl"), "-D", str(server.data), "-l", str(place / "log"), "-w", "start"))
    try:
        yield server
    finally:
        _as_owner(server, (server.tool("pg_ctl"), "-D", str(server.data), "-m", "immediate", "-w", "stop"))
        shutil.rmtree(place)


def _initdb_argv(server: Server, *, checksums: bool) -> tuple[str, ...]:
    choice = ("--data-checksums",) if checksums else ()
    return (
        server.tool("initdb"), "-D", str(server.data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
        "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync", *choice,
    )  # fmt: skip


def _configure(server: Server, settings: Mapping[str, str]) -> None:
    own = {
        "listen_addresses": "",
        "unix_socket_directories": str(server.socket),
        # The socket's directory is the fence: trust holds only for who may enter it.
        "unix_socket_permissions": "0700",
    }
    with (server.data / "postgresql.auto.conf").open("a") as conf:
        conf.writelines(f"{name} = '{value}'\n" for name, value in {**own, **settings}.items())


def _as_owner(server: Server, argv: tuple[str, ...]) -> None:
    user = server.owner if os.geteuid() == 0 else None
    # Output goes nowhere: a server started here would otherwise hold the pipe open.
    subprocess.run(argv, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
