"""An exported snapshot is readable by tools for as long as it is held, and stands in nobody's way."""

from __future__ import annotations

from stratum.adapters.endpoint import Endpoint
from stratum.adapters.psycopg_database import PsycopgDatabase
from stratum.core.backup import DigestMode
from stratum.core.stack import Secret
from tests.fixtures.postgresql_majors import MajorServer


def test_a_migration_may_change_a_table_that_was_counted_while_the_snapshot_is_held(major_server: MajorServer) -> None:
    """Locks kept until the dump ends close a circle: dump behind migration, migration behind us, us behind dump."""
    server = major_server(17)
    with server.database() as name:
        with server.connect(name) as connection:
            connection.execute("CREATE TABLE counted AS SELECT generate_series(1, 3) AS id")
        endpoint = Endpoint(
            host=str(server.socket_dir), port=server.port, user=server.superuser, password=Secret("unused")
        )
        with PsycopgDatabase(endpoint).snapshot(name) as snapshot:
            before = snapshot.observe_facts(DigestMode.FULL)
            with server.connect(name) as connection:
                connection.execute("SET lock_timeout = '5s'")
                connection.execute("INSERT INTO counted VALUES (4)")
                connection.execute("ALTER TABLE counted ADD COLUMN note text")
            after = snapshot.observe_facts(DigestMode.COUNTS)

    assert (before.rows, after.rows) == (3, 3)
    assert before.snapshot_at == after.snapshot_at
