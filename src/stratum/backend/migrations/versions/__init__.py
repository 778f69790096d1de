"""One module a step, in order; Alembic finds them here."""
