"""Makes the first cluster of a Docker volume: complete, or not there at all.

The official image would make one by itself on an empty volume, and a start that is cut in the middle of its scripts
leaves a cluster without them that looks whole. So the image is given no password, which keeps it from doing that,
and the cluster is made here: beside its place, with its roles, and put there when it is whole.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from stratum.adapters.cluster_roles import create_roles_and_databases
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.new_cluster import run_initdb
from stratum.adapters.postgresql_installation import find_installation
from stratum.adapters.postgresql_tools import Installation
from stratum.adapters.process import run_tool, tool_environment
from stratum.core.errors import StratumError
from stratum.core.stack import Secret

_NEW, _WHOLE = ".stratum-new", ".stratum-whole"
"""A cluster while it is made, and once it is whole, until all of it is in its place."""
_SECONDS = 120.0
_PORT = 5432

_CONFIGURATION = """
# Written by Stratum; change settings with ALTER SYSTEM, which wins over this file.
listen_addresses = '*'
password_encryption = 'scram-sha-256'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
wal_level = replica
max_wal_size = 2GB
"""

_HOST_BASED_AUTHENTICATION = """
# Written by Stratum. Over the network every connection proves a password, and only the stack's own networks connect;
# on the container's socket, which only the container's own account reaches, that account is enough.
local all all peer map=stratum
host all all samenet scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
host replication stratum_replication samenet scram-sha-256
"""
_WHILE_IT_IS_MADE = "local all all scram-sha-256\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterOrder:
    """What a new cluster is to be; read from standard input, for it holds passwords."""

    superuser: str
    owner: str
    database: str | None
    """The application's database; None when a restore brings it."""
    passwords: dict[str, str] = field(repr=False)
    """By role: the superuser's, the owner's and those of Stratum's own roles."""


def make_cluster(order: ClusterOrder, mount: Path) -> None:
    """Make the cluster in the volume at `mount`, in the place where this major's image looks for it.

    A half-made one of before is thrown away, and a whole one that is half in its place is put there. Raises
    `data-directory-in-use` where there is a cluster already, and the errors of PostgreSQL's programs.
    """
    installation = find_installation(None)
    place = cluster_directory(mount, installation.major)
    if (place / "PG_VERSION").exists():
        raise StratumError("data-directory-in-use", directory=place)
    new, whole = mount / _NEW, mount / _WHOLE
    if not whole.exists():
        if new.exists():
            shutil.rmtree(new)
        with tempfile.TemporaryDirectory(prefix="stratum-") as workspace:
            _initialise(installation, new, order, Path(workspace))
        new.rename(whole)
    put_in_place(whole, place)


def cluster_directory(mount: Path, major: int) -> Path:
    """Where the official image of a major keeps its data below the volume's mount point.

    (https://github.com/docker-library/docs/blob/master/postgres/content.md, PGDATA)
    """
    return mount / str(major) / "docker" if major >= 18 else mount


def _initialise(installation: Installation, new: Path, order: ClusterOrder, workspace: Path) -> None:
    passwords = {name: Secret(value) for name, value in order.passwords.items()}
    run_initdb(
        installation,
        new,
        superuser=order.superuser,
        password=passwords[order.superuser],
        workspace=workspace,
        run_as=None,
        configuration=_CONFIGURATION,
        host_based_authentication=_WHILE_IT_IS_MADE,
    )
    sockets = workspace / "sockets"
    sockets.mkdir(mode=0o700)
    pg_ctl = (installation.program("pg_ctl"), f"--pgdata={new}", "--wait", f"--log={workspace / 'log'}")
    serving = f"-c listen_addresses='' -c unix_socket_directories='{sockets}' -p {_PORT}"
    run_tool(
        (*pg_ctl, f"--options={serving}", "start"), timeout_seconds=_SECONDS, env=tool_environment(), detached=True
    )
    try:
        endpoint = Endpoint(host=str(sockets), port=_PORT, user=order.superuser, password=passwords[order.superuser])
        create_roles_and_databases(endpoint, owner=order.owner, database=order.database, passwords=passwords)
    finally:
        run_tool((*pg_ctl, "--mode=fast", "stop"), timeout_seconds=_SECONDS, env=tool_environment())
    (new / "pg_hba.conf").write_text(_HOST_BASED_AUTHENTICATION, encoding="utf-8")
    with (new / "pg_ident.conf").open("a", encoding="utf-8") as stream:
        stream.writelines(f'stratum postgres "{role}"\n' for role in (order.superuser, order.owner))


def put_in_place(new: Path, place: Path) -> None:
    """Move a whole data directory from beside its place; there is no half of it.

    PG_VERSION comes last: without it neither the image nor Stratum takes the directory for a cluster.
    """
    if place != new.parent:
        place.parent.mkdir(mode=0o700, exist_ok=True)
        new.rename(place)
        return
    place.chmod(0o700)
    for entry in sorted(new.iterdir(), key=lambda path: path.name == "PG_VERSION"):
        entry.replace(place / entry.name)
    new.rmdir()
