"""Makes the files of a new cluster: initdb, and the configuration every cluster of a stack begins with."""

from __future__ import annotations

import os
from pathlib import Path

from stratum.adapters.postgresql_tools import Installation
from stratum.adapters.process import RunAs, run_tool, tool_environment
from stratum.core.stack import Secret

_SECONDS = 300.0

_CONFIGURATION = """
# Written by Stratum; change settings with ALTER SYSTEM, which wins over this file.
listen_addresses = '127.0.0.1'
unix_socket_directories = '../run'
password_encryption = 'scram-sha-256'
logging_collector = on
log_directory = '../logs'
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_age = 1d
log_rotation_size = 0
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
wal_level = replica
max_wal_size = 2GB
"""

_HOST_BASED_AUTHENTICATION = """
# Written by Stratum: every connection proves a password, and only this machine connects.
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
local replication stratum_replication scram-sha-256
host replication stratum_replication 127.0.0.1/32 scram-sha-256
"""


def run_initdb(
    installation: Installation,
    data: Path,
    *,
    superuser: str,
    password: Secret,
    workspace: Path,
    run_as: RunAs | None,
    configuration: str = _CONFIGURATION,
    host_based_authentication: str = _HOST_BASED_AUTHENTICATION,
) -> None:
    """Make a cluster at `data`, with checksums, scram passwords and a collation no system update can change.

    The password reaches initdb in a 0600 file below `workspace`, which only the server's account may enter; the
    file is gone afterwards. (https://www.postgresql.org/docs/current/app-initdb.html)
    """
    passfile = workspace / "initial-password"
    passfile.unlink(missing_ok=True)
    # Never through a link: the server's account owns the directory, and we may be root.
    with os.fdopen(os.open(passfile, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(password.reveal)
        if run_as is not None:
            os.fchown(stream.fileno(), run_as.uid, run_as.gid)
    try:
        argv = _initdb_argv(installation, data, superuser, passfile)
        run_tool(argv, timeout_seconds=_SECONDS, env=tool_environment(), run_as=run_as)
    finally:
        passfile.unlink()
    with (data / "postgresql.conf").open("a", encoding="utf-8") as stream:
        stream.write(configuration)
    (data / "pg_hba.conf").write_text(host_based_authentication, encoding="utf-8")


def _initdb_argv(installation: Installation, data: Path, superuser: str, passfile: Path) -> tuple[str, ...]:
    builtin = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    return (
        installation.program("initdb"),
        f"--pgdata={data}",
        f"--username={superuser}",
        f"--pwfile={passfile}",
        "--auth=scram-sha-256",
        "--data-checksums",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
        *(builtin if installation.major >= 17 else ()),
    )
