"""Recovers clusters on this machine: throwaway ones, and one beside the live data directory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from stratum.adapters.cluster_recovery import ClusterRecovery, Places, Recovered
from stratum.adapters.cluster_roles import set_passwords
from stratum.adapters.postgresql_tools import Installation, PostgresqlTools
from stratum.adapters.process import RunAs
from stratum.adapters.recovery_ways import find_path
from stratum.adapters.scratch_server import owned_directory
from stratum.adapters.tablespaces import FOLDER, remove_with_tablespaces
from stratum.adapters.wal_store import DirectoryWalStore
from stratum.core.stack import Secret
from stratum.core.volume_recovery import RecoveredCluster, RecoveryOrder
from stratum.ports import Runtime, Server
from stratum.recovery import RecoveredServer


class LocalRecovery:
    """Works below `directory`, where `scratch/`, `data/` and `kept/` are; `runtime` runs the live server."""

    def __init__(
        self,
        store: DirectoryWalStore,
        *,
        directory: Path,
        installation: Callable[[], Installation],
        run_as: RunAs | None,
        runtime: Runtime,
        passwords: Callable[[], Mapping[str, Secret]] = dict,
    ) -> None:
        self._store = store
        self._directory = directory
        self._installation = installation
        self._run_as = run_as
        self._runtime = runtime
        self._passwords = passwords

    def check(self, order: RecoveryOrder) -> str:
        """The base backup the moment is reached from. Raises `no-backup-yet` and `target-out-of-reach`."""
        return find_path(self._store, order).base.id

    @contextmanager
    def throwaway(self, order: RecoveryOrder) -> Iterator[RecoveredServer]:
        """The cluster as of a moment, gone with its files when the block ends, also when that is by a kill."""
        scratch = self._directory / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with (
            owned_directory(scratch / f"moment-{token_hex(4)}", self._run_as) as home,
            self._recovery().serving(order, home / "data", places=self._places(home / FOLDER)) as recovered,
        ):
            yield RecoveredServer(
                server=self._server(recovered), cluster=recovered.cluster, seconds=time.monotonic() - began
            )

    def beside(self, order: RecoveryOrder) -> RecoveredCluster:
        """The cluster as of a moment, stopped, in a data directory beside the live one.

        Its roles have the passwords of .env: those it had at that moment may be older, or another machine's.
        """
        self.discard_beside()
        self._make_home()
        made = self._directory / FOLDER / token_hex(4)
        with self._recovery().serving(order, self._beside, places=self._places(made)) as recovered:
            set_passwords(recovered.endpoint, self._passwords())
            return recovered.cluster

    def discard_beside(self) -> None:
        """Delete what was built beside; nothing there is no error."""
        if self._beside.exists():
            remove_with_tablespaces(self._beside, self._directory)

    def put_in_place(self, *, kept: str) -> None:
        """Stop the live server, keep its data directory, and let the one beside take its place; idempotent."""
        if self._beside.exists():
            self._runtime.stop()
            self._runtime.set_cluster_aside(kept)
            self._beside.rename(self._directory / "data")

    def put_back(self, *, kept: str) -> None:
        """Let a kept data directory take its place again; what stands there is beside it afterwards; idempotent."""
        old = self._directory / "kept" / kept
        if not old.exists():
            return
        self._runtime.stop()
        data = self._directory / "data"
        if data.exists():
            data.rename(self._beside)
        old.rename(data)

    def bring_beside(self, *, kept: str) -> None:
        """Move a kept data directory beside the live one; idempotent."""
        old = self._directory / "kept" / kept
        if old.exists():
            old.rename(self._beside)

    def keep_beside(self, *, kept: str) -> None:
        """Move the one beside back to where kept ones are; idempotent."""
        if self._beside.exists():
            self._beside.rename(self._directory / "kept" / kept)

    @property
    def _beside(self) -> Path:
        return self._directory / "data.beside"

    def _places(self, tablespaces: Path) -> Places:
        kept = tuple(sorted((self._directory / "kept").glob("*")))
        return Places(tablespaces=tablespaces, living=self._directory / "data", kept=kept)

    def _make_home(self) -> None:
        """On a machine that never ran this cluster, what the server's account works in is made first."""
        for folder in (self._directory, *(self._directory / name for name in ("logs", "run", "scratch"))):
            if not folder.exists():
                folder.mkdir(mode=0o700, parents=True)
                if self._run_as is not None:
                    os.chown(folder, self._run_as.uid, self._run_as.gid)

    def _recovery(self) -> ClusterRecovery:
        return ClusterRecovery(store=self._store, installation=self._installation(), run_as=self._run_as)

    def _server(self, recovered: Recovered) -> Server:
        from stratum.adapters.psycopg_database import PsycopgDatabase

        tools = PostgresqlTools(self._installation(), recovered.endpoint)
        return Server(database=PsycopgDatabase(recovered.endpoint), tools=tools)
