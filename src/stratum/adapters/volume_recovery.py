"""Recovers a whole cluster in a Docker volume, in a container that reaches no network and only reads the archive."""

from __future__ import annotations

import shutil
from pathlib import Path

from stratum.adapters.cluster_recovery import ClusterRecovery
from stratum.adapters.postgresql_installation import find_installation
from stratum.adapters.seal import Seal
from stratum.adapters.volume_cluster import cluster_directory, put_in_place
from stratum.adapters.wal_store import DirectoryWalStore
from stratum.core.errors import StratumError
from stratum.core.stack import Secret
from stratum.core.volume_recovery import RecoveredCluster, RecoveryOrder

_NEW = ".stratum-new"


def recover_cluster(order: RecoveryOrder, archive: Path, mount: Path) -> RecoveredCluster:
    """Build the cluster at `mount`, look at it, stop it and put it in its place; until then there is none there.

    Raises `data-directory-in-use`, `target-out-of-reach`, `wal-damaged` and `recovery-failed`.
    """
    installation = find_installation(None)
    place = cluster_directory(mount, installation.major)
    if (place / "PG_VERSION").exists():
        raise StratumError("data-directory-in-use", directory=place)
    new = mount / _NEW
    if new.exists():
        shutil.rmtree(new)
    seal = Seal(identity=Secret(order.key) if order.key else None)
    store = DirectoryWalStore(archive, stack=order.stack, seal=seal)
    recovery = ClusterRecovery(store=store, installation=installation, run_as=None)
    with recovery.serving(order, new) as recovered:
        found = recovered.cluster
    put_in_place(new, place)
    return found
