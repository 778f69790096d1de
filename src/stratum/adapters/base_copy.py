"""Base backups: `pg_basebackup` into a directory of the archive, and what its manifest says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stratum.adapters.durable import archive_errors
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.growing_files import GrowingFiles
from stratum.adapters.postgresql_tools import Installation
from stratum.adapters.process import run_tool, stream_tool, tool_environment
from stratum.adapters.queries import query
from stratum.adapters.seal import SUFFIX as AGE
from stratum.adapters.seal import UNSEALED, Seal
from stratum.adapters.synchronous import ServerCommits
from stratum.adapters.tar_watch import TarWatch
from stratum.adapters.zstd import compress_file, compressor
from stratum.core.base_backup import TablespaceFacts
from stratum.core.errors import StratumError
from stratum.core.wal import SEGMENT_BYTES, parse_lsn
from stratum.ports import Role
from stratum.replication import Copied, CopiedRange, CopyOrder

if TYPE_CHECKING:
    import psycopg

MANIFEST = "backup_manifest"
_NEEDED = (("wal_level", "minimal", "replica"), ("max_wal_senders", "0", "10"))
"""Setting, the value with which nothing can be copied, and one with which it can."""
_COMPRESSED = ("--compress=server-zstd:level=1,workers=2",)
_SECONDS = 24 * 3600.0
_CONNECT_SECONDS = 10


class PostgresqlReplication:
    """What the role that may only replicate is let do: copy the cluster, and receive its WAL."""

    def __init__(
        self,
        installation: Callable[[], Installation],
        endpoint: Callable[[Role], Endpoint],
        seal: Seal = UNSEALED,
    ) -> None:
        self._find_installation = installation
        self._seal = seal
        self._endpoint = endpoint
        self._commits = ServerCommits(endpoint)

    def _find_endpoint(self) -> Endpoint:
        return self._endpoint(Role.REPLICATION)

    @property
    def commits(self) -> ServerCommits:
        """When the server acknowledges commits."""
        return self._commits

    def check(self) -> None:
        """Raises `replication-not-permitted` and `replication-needs-restart`, each with what to set."""
        import psycopg

        endpoint = self._find_endpoint()
        try:
            with _connected(endpoint) as connection:
                found = {name: str(value) for name, value in _settings(connection)}
            for setting, unusable, wanted in _NEEDED:
                if found[setting] == unusable:
                    raise StratumError("replication-needs-restart", setting=setting, found=unusable, wanted=wanted)
            _connected(endpoint, "replication=true").close()
        except psycopg.OperationalError as error:
            said = str(error).strip().splitlines()[-1]
            raise StratumError("replication-not-permitted", role=endpoint.user, problem=said) from None

    def copy(self, order: CopyOrder) -> Copied:
        """Copy the running cluster into `order.into`: base.tar.zst, a tar for each tablespace, backup_manifest.

        The tar holds the WAL the copy needs, so that it restores by itself. The server is asked for a checkpoint at
        once. Where it cannot compress, as before 15, the tars lie there plain for as long as the copy takes. Where the
        archive is sealed, the copy comes through a pipe, and nothing of it touches the disk unsealed.
        (https://www.postgresql.org/docs/current/app-pgbasebackup.html)
        """
        if self._seal.seals and not self.tablespaces():
            return self._copy_sealed(order)
        installation = self._find_installation()
        compresses = installation.major >= 15 and installation.is_built_with("zstd")
        growing = GrowingFiles(order.into)
        with archive_errors(order.into):
            if compresses:
                self._run(order, _COMPRESSED, growing.follow)
            else:
                self._run(order, (), lambda: _size(order.into))
            for plain in sorted(order.into.glob("*.tar")):
                compress_file(plain, plain.with_name(f"{plain.name}.zst"))
                plain.unlink()
            for file in order.into.iterdir():
                file.chmod(0o640)
            return Copied(wal=parse_range((order.into / MANIFEST).read_bytes()), files=growing.facts())

    def _copy_sealed(self, order: CopyOrder) -> Copied:
        """One tar, with its manifest in it, through our own zstd and age."""
        watch, pressing, seen = TarWatch(MANIFEST), compressor(), 0
        with self._seal.sealing(order.into / f"base.tar.zst{AGE}") as out:

            def take(piece: bytes) -> None:
                nonlocal seen
                watch.feed(piece)
                out.write(pressing.compress(piece))
                seen += len(piece)
                order.on_bytes(seen)

            with self._find_endpoint().passfile() as passfile:
                argv = (*self._argv(order), "--pgdata=-")
                stream_tool(argv, timeout_seconds=_SECONDS, env=_environment(passfile), take=take)
            out.write(pressing.flush())
        copied = parse_range(bytes(watch.content))
        with self._seal.sealing(order.into / f"{MANIFEST}{AGE}") as listing:
            listing.write(bytes(watch.content))
        return Copied(wal=copied, files=(listing.facts, out.facts))

    def tablespaces(self) -> tuple[TablespaceFacts, ...]:
        """Those outside the data directory."""
        with _connected(self._find_endpoint()) as connection:
            rows = connection.execute(query("tablespaces")).fetchall()
        return tuple(TablespaceFacts(oid=int(oid), location=location) for oid, location in rows)

    def segment_bytes(self) -> int:
        """The size of the server's WAL files."""
        with _connected(self._find_endpoint()) as connection:
            row = connection.execute(query("wal_segment_bytes")).fetchone()
        return int(row[0]) if row else SEGMENT_BYTES

    def _run(self, order: CopyOrder, more: tuple[str, ...], written: Callable[[], int]) -> None:
        argv = (*self._argv(order), f"--pgdata={order.into}", *more)
        with self._find_endpoint().passfile() as passfile:
            run_tool(
                argv,
                timeout_seconds=_SECONDS,
                env=_environment(passfile),
                on_tick=lambda: order.on_bytes(written()),
            )

    def _argv(self, order: CopyOrder) -> tuple[str, ...]:
        rate = (f"--max-rate={order.rate_limit_mb}M",) if order.rate_limit_mb else ()
        return (
            self._find_installation().program("pg_basebackup"),
            "--format=tar",
            "--wal-method=fetch",
            "--checkpoint=fast",
            "--manifest-checksums=SHA256",
            f"--label=stratum {order.label}",
            "--no-password",
            *rate,
            f"--dbname={self._find_endpoint().conninfo('postgres')}",
        )


def _environment(passfile: Path) -> dict[str, str]:
    return tool_environment(PGPASSFILE=str(passfile), PGAPPNAME="stratum base backup", PGCONNECT_TIMEOUT="10")


def parse_range(manifest: bytes) -> CopiedRange:
    """Where replay begins and where the copy is consistent. Raises `backup-not-whole`.

    (https://www.postgresql.org/docs/current/backup-manifest-wal-ranges.html)
    """
    try:
        ranges = json.loads(manifest)["WAL-Ranges"]
        first, last = ranges[0], ranges[-1]
        return CopiedRange(
            start_lsn=parse_lsn(first["Start-LSN"]),
            start_timeline=int(first["Timeline"]),
            stop_lsn=parse_lsn(last["End-LSN"]),
        )
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise StratumError("backup-not-whole", problem=f"its backup_manifest cannot be read: {error}") from None


def _connected(endpoint: Endpoint, more: str = "") -> psycopg.Connection[tuple[Any, ...]]:
    import psycopg

    return psycopg.connect(
        f"{endpoint.conninfo('postgres')} {more}",
        password=endpoint.password.reveal,
        connect_timeout=_CONNECT_SECONDS,
        application_name="stratum base backup",
        autocommit=True,
    )


def _settings(connection: psycopg.Connection[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return connection.execute(query("replication_settings")).fetchall()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
