"""Alembic's entrance: runs the steps on the connection that `migrate` opened, inside its transaction."""

from __future__ import annotations

from alembic import context

from stratum.backend.models import METADATA

# `migrate` holds the lock and the transaction: either every step takes effect, or none.
context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, compare_type=True)
context.run_migrations()
