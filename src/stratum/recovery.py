"""What the engine asks for to go back to a moment: one Protocol, beside the other ports."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from stratum.core.volume_recovery import RecoveredCluster, RecoveryOrder
from stratum.server import Server


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveredServer:
    """A throwaway server with the cluster as it was at a moment, and what was found in it."""

    server: Server
    cluster: RecoveredCluster
    seconds: float
    """From an empty place to a server that answers."""


class Recovery(Protocol):
    """Clusters built from base backups and WAL; the archive and the live cluster are only read."""

    def check(self, order: RecoveryOrder) -> str:
        """The base backup the moment is reached from. Raises `no-backup-yet` and `target-out-of-reach`."""

    def throwaway(self, order: RecoveryOrder) -> AbstractContextManager[RecoveredServer]:
        """The cluster as of a moment, gone with its files when the block ends.

        Raises `no-backup-yet`, `target-out-of-reach`, `wal-damaged` and `recovery-failed`.
        """

    def beside(self, order: RecoveryOrder) -> RecoveredCluster:
        """The cluster as of a moment, stopped, in a data directory beside the live one. Raises as above."""

    def discard_beside(self) -> None: ...
    def put_in_place(self, *, kept: str) -> None:
        """Stop the live server, keep its data directory as `kept`, and let the one beside take its place."""

    def put_back(self, *, kept: str) -> None:
        """Let the data directory kept as `kept` take its place again; what stands there is beside it afterwards."""

    def bring_beside(self, *, kept: str) -> None:
        """Move a kept data directory beside the live one."""

    def keep_beside(self, *, kept: str) -> None:
        """Move the one beside back to where kept ones are."""
