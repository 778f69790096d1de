"""Chooses the adapters that copy a cluster, receive from it, and bring it back."""

from __future__ import annotations

from typing import NoReturn

from stratum.adapters.application_command import secrets_in
from stratum.adapters.base_copy import PostgresqlReplication
from stratum.adapters.embedded_postgresql import EmbeddedPostgresql
from stratum.adapters.embedded_recovery import LocalRecovery
from stratum.adapters.postgresql_installation import observe_run_as
from stratum.adapters.rehearsals import LocalRehearsals, RehearsalPlace
from stratum.adapters.seal import Seal
from stratum.adapters.served_postgresql import ServedPostgresql
from stratum.adapters.wal_store import DirectoryWalStore
from stratum.config import Settings
from stratum.core.errors import StratumError
from stratum.ports import Runtime
from stratum.recovery import Recovery
from stratum.rehearsal import Rehearsals
from stratum.replication import Replication


def replication_of(runtime: Runtime, seal: Seal) -> Replication:
    """On the host of a Compose stack verbs that need it are run inside, so nothing is found here."""

    def not_here() -> NoReturn:
        raise StratumError("not-from-here", what="replicate")

    if isinstance(runtime, EmbeddedPostgresql | ServedPostgresql):
        return PostgresqlReplication(runtime.installation, runtime.endpoint, seal)
    return PostgresqlReplication(not_here, lambda _: not_here())


def rehearsals_of(settings: Settings, runtime: Runtime) -> Rehearsals:
    """As `replication_of`: on the host of a Compose stack the new version runs in containers of its own."""

    def not_here() -> NoReturn:
        raise StratumError("not-from-here", what="rehearse")

    place = RehearsalPlace(
        scratch=settings.database_directory / "scratch",
        archive=settings.archive_path,
        directory=settings.directory,
        hidden=(settings.database_directory / "run",),
        more=settings.rehearsal.env,
    )
    return LocalRehearsals(
        place,
        installation=runtime.installation if isinstance(runtime, EmbeddedPostgresql | ServedPostgresql) else not_here,
        run_as=observe_run_as(),
        environment=runtime.application_environment,
        port=lambda: runtime.observe().port or 5432,
        secrets=secrets_in(settings.environment),
    )


def recovery_of(settings: Settings, runtime: Runtime, wal: DirectoryWalStore) -> Recovery:
    """As `_replication`: on the host of a Compose stack clusters are recovered in containers."""

    def not_here() -> NoReturn:
        raise StratumError("not-from-here", what="go back to a moment")

    return LocalRecovery(
        wal,
        directory=settings.database_directory,
        installation=runtime.installation if isinstance(runtime, EmbeddedPostgresql | ServedPostgresql) else not_here,
        run_as=observe_run_as(),
        runtime=runtime,
        passwords=runtime.passwords if isinstance(runtime, EmbeddedPostgresql) else dict,
    )
