"""What a start does before anything is served from the database: migrate, seed, and the first-run token."""

from __future__ import annotations

import logging

from stratum.backend.first_run import make_first_run_token
from stratum.backend.identity import Identity
from stratum.backend.migrate import prepare_schema
from stratum.backend.seed import load_demo_data

_LOG = logging.getLogger("stratum.backend")


def prepare(identity: Identity) -> None:
    """Return when requests may use the database.

    Raises StratumError when they must not, and SQLAlchemy's OperationalError when the database does not answer.
    """
    state = prepare_schema(identity.engine, autorun=identity.settings.autorun_migrations)
    _LOG.info("the console's schema was %s", state.value)
    identity.prepared.set()
    if identity.settings.seed_on_start and load_demo_data(identity):
        _LOG.info("loaded the demo data: two disabled accounts without a password, and sample events")
    if token := make_first_run_token(identity):
        _LOG.warning(
            "FIRST RUN: there is no administrator and no default password. "
            "Open the console and make one with this one-time token: %s",
            token,
        )
