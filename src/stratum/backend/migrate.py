"""Brings the console's database to this release's schema, or says in plain words why it must not be served on."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from stratum import __version__
from stratum.backend.models import METADATA, ReleasePermit, ReleaseRecord
from stratum.core.errors import StratumError

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 7_214_300
_LOCK_PATIENCE = "120s"
"""How long a start waits for another start's migration."""


class SchemaState(StrEnum):
    """How the database stands to this release."""

    EQUAL = "equal"
    BEHIND = "behind"
    """It has a schema of an older release, or none: migrate."""
    AHEAD = "ahead"
    """A newer release has recorded its schema there: start only with the permit that a rollback leaves."""
    DIVERGED = "diverged"
    """Nobody this release knows made it so."""


def prepare_schema(engine: Engine, *, autorun: bool, release: str = __version__) -> SchemaState:
    """Return only when the backend may serve on this database, and how it stood before.

    Waits for other starts that migrate at this moment. With `autorun` a schema that is behind is migrated, all
    steps in one transaction. Raises `console-schema-behind`, `console-schema-ahead`, `console-schema-diverged` or
    `console-migration-failed`, and SQLAlchemy's own errors when the database does not answer.
    """
    with engine.begin() as connection:
        connection.execute(text("SELECT set_config('statement_timeout', :limit, true)"), {"limit": _LOCK_PATIENCE})
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        state = observe_state(connection)
        if state is SchemaState.AHEAD:
            _check_permit(connection, release)
        if state is SchemaState.BEHIND:
            _migrate(connection, autorun=autorun)
        if state is not SchemaState.AHEAD:
            record = insert(ReleaseRecord).values(release=release, schema_head=newest_revision())
            connection.execute(record.on_conflict_do_nothing())
        return state


def observe_state(connection: Connection) -> SchemaState:
    """How the schema stands to this release; raises `console-schema-diverged` with what differs."""
    known = _known_revisions()
    found = MigrationContext.configure(connection).get_current_heads()
    if not found:
        if strangers := sorted(set(inspect(connection).get_table_names()) & set(METADATA.tables)):
            _diverged(connection, f"it has tables ({', '.join(strangers)}) and no revision")
        return SchemaState.BEHIND
    if len(found) > 1:
        _diverged(connection, f"it has several revisions: {', '.join(sorted(found))}")
    if found[0] not in known:
        if not _is_recorded(connection, found[0]):
            _diverged(connection, f"no release has recorded its revision {found[0]}")
        return SchemaState.AHEAD
    if found[0] != known[0]:
        return SchemaState.BEHIND
    _check_objects(connection)
    return SchemaState.EQUAL


def newest_revision() -> str:
    """The revision this release migrates to."""
    return _known_revisions()[0]


def _migrate(connection: Connection, *, autorun: bool) -> None:
    if not autorun:
        found = MigrationContext.configure(connection).get_current_revision() or "no revision"
        raise StratumError("console-schema-behind", found=found, wanted=newest_revision())
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except SQLAlchemyError as error:
        problem = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StratumError("console-migration-failed", problem=problem) from None
    _check_objects(connection)


def _check_objects(connection: Connection) -> None:
    """The revision alone proves little: somebody may have changed a table by hand."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    if differences := compare_metadata(context, METADATA):
        _diverged(connection, f"{len(differences)} object(s) differ, the first: {_describe(differences[0])}")


def _describe(difference: object) -> str:
    """`remove_column users.note`, from Alembic's nested tuples."""
    if isinstance(difference, list):
        return _describe(difference[0])
    if not isinstance(difference, tuple):
        return str(difference)
    names = [str(getattr(part, "name", part)) for part in _plain(difference[1:])]
    return " ".join((str(difference[0]), *names))


def _plain(parts: Sequence[object]) -> Sequence[object]:
    return [part for part in parts if part is not None and not isinstance(part, dict)][:3]


def _check_permit(connection: Connection, release: str) -> None:
    found = MigrationContext.configure(connection).get_current_heads()[0]
    permit = select(ReleasePermit.release).where(ReleasePermit.release == release, ReleasePermit.schema_head == found)
    permitted = inspect(connection).has_table("release_permits") and connection.execute(permit).first() is not None
    if not permitted:
        raise StratumError("console-schema-ahead", found=found, wanted=newest_revision())


def _is_recorded(connection: Connection, revision: str) -> bool:
    recorded = select(ReleaseRecord.release).where(ReleaseRecord.schema_head == revision)
    return inspect(connection).has_table("releases") and connection.execute(recorded).first() is not None


def _diverged(connection: Connection, problem: str) -> None:
    database = connection.engine.url.database or "the console's database"
    raise StratumError("console-schema-diverged", problem=problem, database=database)


def _known_revisions() -> tuple[str, ...]:
    """Newest first."""
    return tuple(step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
