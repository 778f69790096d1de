"""Recovers a whole cluster to a moment from a base backup and WAL, quarantined until somebody agrees to use it.

What is built here goes live when a person agrees, so its configuration is left as it was: the quarantine of the
recovering server stands on its command line, which wins over every file.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stratum.adapters.base_unpack import Unpacking, refuse_younger_tablespaces, run_unpacking
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.postgresql_tools import Installation, PostgresqlTools
from stratum.adapters.process import RunAs, end_group, run_tool, start, tool_environment
from stratum.adapters.recovery_ways import find_paths
from stratum.adapters.seal import IDENTITY_VARIABLE, Seal
from stratum.adapters.server_start import answers, last_lines
from stratum.adapters.shelved_wal import DamagedError, fetch
from stratum.adapters.wal_store import DirectoryWalStore
from stratum.core.backup import DigestMode
from stratum.core.base_backup import BaseManifest
from stratum.core.errors import StratumError
from stratum.core.proof import Check, Verdict
from stratum.core.recovery_path import RecoveryPath
from stratum.core.stack import Secret
from stratum.core.volume_recovery import Moment, RecoveredCluster, RecoveryOrder
from stratum.core.wal import parse_lsn

_SECONDS = 24 * 3600.0
_POLL_SECONDS = 0.1
_PORT = 5432
_QUARANTINE = {
    "listen_addresses": "",
    "archive_mode": "off",
    "primary_conninfo": "",
    "synchronous_standby_names": "",
    "max_logical_replication_workers": "0",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "ssl": "off",
    # What production takes of memory may be more than there is beside it, and more than a container may have.
    "shared_buffers": "128MB",
    "huge_pages": "off",
    # Without it a server that had fewer connections at the base backup than at the moment would stop half-way.
    "hot_standby": "off",
}
_STOPPED_BEFORE = re.compile(r"recovery stopping (before|after) (?:commit|abort) of transaction (\d+), time (.+)")
_LAST_COMMIT = re.compile(r"last completed transaction was at log time (.+)")
_TOO_FAR = "recovery ended before configured recovery target was reached"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """What one recovery works with."""

    installation: Installation
    run_as: RunAs | None
    path: RecoveryPath
    base_path: Path
    wal: Path
    new: Path
    workspace: Path
    seal: Seal
    environment: dict[str, str]
    """What the server's programs are told beside ours: where the key lies."""

    @property
    def base(self) -> BaseManifest:
        return self.path.base

    @property
    def sockets(self) -> Path:
        return self.workspace / "sockets"

    @property
    def shelf(self) -> Path:
        return self.workspace / "wal"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(host=str(self.sockets), port=_PORT, user=self.base.bootstrap_role, password=Secret(""))

    @property
    def log(self) -> Path:
        return self.workspace / "log"


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """What a recovery on this machine has to know of the others' files."""

    tablespaces: Path
    """Where those of the new cluster go; made when there are any."""
    living: Path
    """The data directory that is in use, where there is one."""
    kept: tuple[Path, ...] = ()
    """Those that may be asked for again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterRecovery:
    """Builds clusters out of one archive, with one PostgreSQL."""

    store: DirectoryWalStore
    installation: Installation
    run_as: RunAs | None
    """The account servers run as where we are root; the archive is not opened to it."""

    @contextmanager
    def serving(
        self, order: RecoveryOrder, new: Path, *, room: Path | None = None, places: Places | None = None
    ) -> Iterator[Recovered]:
        """The cluster as of a moment, built in the empty place `new`, on a socket of its own until the block ends.

        It is stopped the clean way then, and stays. `room` holds what recovery needs meanwhile. The archive is only
        read. Without `places` a cluster with tablespaces is refused. Raises `no-backup-yet`, `target-out-of-reach`,
        `wal-damaged` and `recovery-failed`.
        """
        if room is not None:
            room.mkdir(parents=True, exist_ok=True)
        # Below /tmp where it can be: a socket's path may not be longer than 107 bytes.
        with (
            tempfile.TemporaryDirectory(prefix="stratum-", dir=room) as folder,
            self.store.seal.identity_at(Path(folder)) as key,
        ):
            for path in find_paths(self.store, order):
                work = self._work(path, new, Path(folder), key)
                for made in (new, work.workspace, work.sockets, work.shelf):
                    made.mkdir(mode=0o700, exist_ok=True)
                    _give(made, self.run_as)
                if places is not None:
                    refuse_younger_tablespaces(path.base, places.living, places.kept)
                verified = run_unpacking(_unpacking(work, places))
                _shelve(order, work)
                try:
                    with _recovered(order, work) as beyond:
                        yield Recovered(endpoint=work.endpoint, cluster=_look(order, work, verified, beyond=beyond))
                        return
                except _NeverReachedError:
                    _clear(new)
                    if places is not None and places.tablespaces.exists():
                        shutil.rmtree(places.tablespaces)

    def _work(self, path: RecoveryPath, new: Path, workspace: Path, key: Path | None) -> _Work:
        return _Work(
            installation=self.installation,
            run_as=self.run_as,
            path=path,
            base_path=self.store.base_path(path.base.id),
            wal=self.store.wal_path(path.system_identifier),
            new=new,
            workspace=workspace,
            seal=self.store.seal,
            environment={IDENTITY_VARIABLE: str(key.absolute())} if key else {},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovered:
    """A recovered cluster while its server runs."""

    endpoint: Endpoint
    cluster: RecoveredCluster


def _unpacking(work: _Work, places: Places | None) -> Unpacking:
    return Unpacking(
        base=work.base,
        stored=work.base_path,
        seal=work.seal,
        installation=work.installation,
        run_as=work.run_as,
        new=work.new,
        tablespaces=places.tablespaces if places else None,
        workspace=work.workspace,
    )


def _shelve(order: RecoveryOrder, work: _Work) -> None:
    """Hand the server's account the WAL it will ask for, where it may not read the archive itself.

    Raises `wal-damaged` for a file that is needed for certain; one behind the moment is left out.
    """
    if work.run_as is None:
        return
    at = order.moment.at
    for number, stored in enumerate(work.path.segments):
        name = stored.segment.file_name(work.base.segment_bytes)
        behind = at is not None and number > 1 and work.path.segments[number - 2].closed_at > at
        try:
            found = not behind and fetch(work.wal, name, work.shelf / name, work.seal)
        except DamagedError as error:
            raise StratumError("wal-damaged", file=error, problem="its content changed since it was written") from None
        if found:
            _give(work.shelf / name, work.run_as)
    for history in work.wal.glob("*.history"):
        shutil.copyfile(history, work.shelf / history.name)
        _give(work.shelf / history.name, work.run_as)


@contextmanager
def _recovered(order: RecoveryOrder, work: _Work) -> Iterator[bool]:
    """The server after replay. A moment after the last commit is the last one there is: says whether it was so."""
    _write(work.workspace / "hba", "local all all trust\n", work.run_as)
    target = {} if work.path.latest else _target(order.moment)
    try:
        with _serving(work, target):
            yield work.path.latest and order.moment.at is not None
            return
    except _NeverReachedError:
        # After a time nothing was committed, unless that is what is missing; WAL may end right at a position.
        if order.moment.lsn is None and (order.moment.at is None or work.path.gap is not None):
            raise
        with _serving(work, {}):
            if order.moment.lsn is not None and _end_of_wal(work) < parse_lsn(order.moment.lsn):
                raise
            yield True


class _NeverReachedError(Exception):
    """WAL ended before the moment."""


def _end_of_wal(work: _Work) -> int:
    """Where recovery ended and the new timeline begins, as its history says."""
    history = max((work.new / "pg_wal").glob("*.history"))
    (*_, last) = (line for line in history.read_text(encoding="utf-8").splitlines() if line[:1].isdigit())
    return parse_lsn(last.split()[1])


def _clear(place: Path) -> None:
    for path in place.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def _serving(work: _Work, target: Mapping[str, str]) -> Iterator[None]:
    """The server on its own socket, from the end of recovery to a clean stop."""
    _write(work.new / "recovery.signal", "", work.run_as)
    work.log.write_bytes(b"")
    with work.log.open("ab") as stream:
        argv, env = _server_argv(work, target), tool_environment(**work.environment)
        server = start(argv, env=env, run_as=work.run_as, cwd=work.new, stdout=stream, stderr=stream)
        try:
            deadline = time.monotonic() + _SECONDS
            while not answers(work.endpoint):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise _why_it_ended(work)
                time.sleep(_POLL_SECONDS)
            yield
            argv = (work.installation.program("pg_ctl"), f"--pgdata={work.new}", "--mode=fast", "--wait",
                    f"--timeout={_SECONDS:.0f}", "stop")  # fmt: skip
            run_tool(argv, timeout_seconds=_SECONDS, env=env, run_as=work.run_as)
        finally:
            end_group(server)


def _why_it_ended(work: _Work) -> Exception:
    log = work.log.read_text(encoding="utf-8", errors="replace")
    if _TOO_FAR in log:
        return _NeverReachedError()
    damaged = re.search(r"stratum: the archive's (\S+) is damaged", log)
    if damaged:
        return StratumError("wal-damaged", file=damaged.group(1), problem="its content changed since it was written")
    return StratumError("recovery-failed", problem=last_lines(work.log))


def _server_argv(work: _Work, target: Mapping[str, str]) -> tuple[str, ...]:
    here = f"{sys.executable} -P -m stratum.adapters.shelved_wal {shlex.quote(str(work.wal))} %f %p"
    settings = _QUARANTINE | {
        "unix_socket_directories": str(work.sockets),
        "hba_file": str(work.workspace / "hba"),
        "restore_command": here if work.run_as is None else f"cp {shlex.quote(str(work.shelf))}/%f %p",
        "recovery_target_timeline": str(work.path.timeline),
        "recovery_target_action": "promote",
        **target,
    }
    words = (f"{name}={value}" for name, value in settings.items())
    return (work.installation.program("postgres"), "-D", str(work.new), "-p", str(_PORT),
            *(word for setting in words for word in ("-c", setting)))  # fmt: skip


def _target(moment: Moment) -> dict[str, str]:
    if moment.at is not None:
        return {"recovery_target_time": moment.at.isoformat()}
    if moment.lsn is not None:
        return {"recovery_target_lsn": moment.lsn}
    if moment.name is not None:
        return {"recovery_target_name": moment.name}
    if moment.before_xid is not None:
        return {"recovery_target_xid": str(moment.before_xid), "recovery_target_inclusive": "off"}
    return {}


def _look(order: RecoveryOrder, work: _Work, verified: Check, *, beyond: bool) -> RecoveredCluster:
    from stratum.adapters.psycopg_database import PsycopgDatabase

    database, tools = PsycopgDatabase(work.endpoint), PostgresqlTools(work.installation, work.endpoint)
    there = database.database_oids()
    names = tuple(name for name in order.databases if name in there)
    facts = tuple(database.observe_facts(name, order.digest) for name in names) if order.digest else ()
    strange = [name for name in names if not _has_amcheck(work, name)]
    read = [tools.amcheck(name) for name in names]
    _forget_amcheck(work, strange)
    if order.digest is None and any(check.verdict is not Verdict.PROVEN for check in read):
        facts = tuple(database.observe_facts(name, DigestMode.COUNTS) for name in names)
    checks = [verified, *read]
    if order.smoke_sql and names and names[0] == order.databases[0]:
        checks += database.run_smoke(names[0], order.smoke_sql)
    reached, sides = _sides(work, beyond=beyond)
    return RecoveredCluster(
        base_id=work.base.id,
        identity=database.observe_identity(names),
        databases=facts,
        checks=(*checks, *sides),
        reached=reached,
    )


def _give(path: Path, run_as: RunAs | None) -> None:
    if run_as is not None:
        os.chown(path, run_as.uid, run_as.gid)


def _write(path: Path, text: str, run_as: RunAs | None) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    _give(path, run_as)


def _has_amcheck(work: _Work, database: str) -> bool:
    import psycopg

    with psycopg.connect(work.endpoint.conninfo(database)) as connection:
        found = connection.execute("SELECT FROM pg_catalog.pg_extension WHERE extname = 'amcheck'").fetchone()
    return found is not None


def _forget_amcheck(work: _Work, strange: Sequence[str]) -> None:
    """What was looked at goes live: it keeps no extension that it did not have. Nor does it wait for a standby."""
    import psycopg

    for name in strange:
        with psycopg.connect(work.endpoint.conninfo(name), autocommit=True) as connection:
            connection.execute("DROP EXTENSION IF EXISTS amcheck")
    with psycopg.connect(work.endpoint.conninfo("postgres"), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM RESET synchronous_standby_names")


def _sides(work: _Work, *, beyond: bool) -> tuple[str, tuple[Check, ...]]:
    """Where recovery stopped, by the server's own log: the last commit is in, and the first one after it is not."""
    log = work.log.read_text(encoding="utf-8", errors="replace")
    last = _LAST_COMMIT.search(log)
    said = f"the last commit in it is of {last.group(1).strip()}" if last else "no commit came after the base backup"
    if beyond:
        return f"{said}, and nothing is known to have been committed after it until then", ()
    stopped = _STOPPED_BEFORE.search(log)
    if stopped is None or stopped.group(1) != "before":
        return said, ()
    xid, at = stopped.group(2), stopped.group(3).strip()
    out = not _is_committed(work, int(xid))
    check = Check(
        name="after the moment",
        verdict=Verdict.PROVEN if out else Verdict.FAILED,
        reason=f"transaction {xid}, committed at {at}, is {'not in it' if out else 'in it'}",
    )
    return f"{said}; the next one, of {at}, is not", (check,)


def _is_committed(work: _Work, xid: int) -> bool:
    """A log says the lower half of a transaction's number; one that the cluster never saw is in its future."""
    import psycopg

    query = (
        "SELECT pg_xact_status(((pg_snapshot_xmax(pg_current_snapshot())::text::bigint >> 32 << 32) | %s)::text::xid8)"
    )
    with psycopg.connect(work.endpoint.conninfo("postgres")) as connection:
        try:
            found = connection.execute(query, (xid,)).fetchone()
        except psycopg.errors.InvalidParameterValue:
            return False
    return found is not None and found[0] == "committed"
