"""A rehearsal on a real server: the migration meets a clone and nothing else, and what it would do is told."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stratum.adapters.archive_tree import archive_files
from tests.fixtures.stacks import StackUnderTest, wait_until

_MIGRATION = """
import os, sys
import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute({sql!r})
"""
_CALLS_OUT = """
import pathlib, socket, sys

asked = sys.argv[1:]
met = []
for where in asked:
    try:
        if where.startswith("/"):
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(where)
        else:
            with socket.create_connection(("127.0.0.1", int(where)), timeout=2):
                pass
        met.append(where)
    except OSError:
        pass
print("met", *met, file=sys.stderr)
sys.exit(3)
"""


def _set_migration(stack: StackUnderTest, script: str, *arguments: str) -> None:
    file = stack.directory / "migration.py"
    file.write_text(script, encoding="utf-8")
    argv = [sys.executable, str(file), *arguments]
    settings = stack.directory / "stratum.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("migrate = []", f"migrate = {json.dumps(argv)}"), encoding="utf-8")


def _rehearse(stack: StackUnderTest, *, exit_code: int) -> dict[str, Any]:
    done = stack.cli("rehearse", "--json")
    assert done.returncode == exit_code, done.stderr + done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_migration_that_takes_data_away_is_told_by_name_and_the_database_keeps_it(stack: StackUnderTest) -> None:
    before = stack.rows("SELECT id, holder FROM accounts ORDER BY id")
    sql = "ALTER TABLE accounts DROP COLUMN holder; ALTER TABLE orders RENAME TO purchases; CREATE TABLE notes (n int)"
    sql += "; SELECT pg_sleep(0.3)"
    _set_migration(stack, _MIGRATION.format(sql=sql))

    found = _rehearse(stack, exit_code=13)

    assert found["verdict"] == "destructive"
    assert [(loss["name"], loss["what"], loss["count"]) for loss in found["losses"]] == [
        ("stratum_db.public.accounts.holder", "column", len(before))
    ]
    assert {lock["table"] for lock in found["locks"] if lock["mode"] == "AccessExclusiveLock"} == {
        "stratum_db.public.accounts",
        "stratum_db.public.orders",
    }
    assert "+ CREATE TABLE public.notes (" in found["difference"]
    assert any(one["text"].startswith("ALTER TABLE accounts DROP") for one in found["statements"])
    advised = {one["rule"]: one["statement"] for one in found["findings"]}
    assert advised["renaming-table"] == "RENAME TO purchases"
    assert found["notes"] == ["the application itself was not started on the clone"]
    assert stack.rows("SELECT id, holder FROM accounts ORDER BY id") == before
    assert [record.id for record in stack.ports().rehearsals.recorded()] == [found["id"]]
    assert stack.ports().archive.foreign() == ()
    assert f"rehearsals/{found['id']}.json" in archive_files(stack.archive), "copies hold it too"


def test_a_migration_that_fails_is_told_with_its_own_words_and_no_password(stack: StackUnderTest) -> None:
    _set_migration(stack, "import os, sys\nsys.exit('cannot go on with ' + os.environ['DATABASE_URL'])")

    found = _rehearse(stack, exit_code=13)

    assert found["verdict"] == "fails"
    assert "fails: migrate: cannot go on with postgresql://stratum:…@" in found["summary"]


def test_what_a_migration_keeps_others_from_is_measured_against_the_limit(stack: StackUnderTest) -> None:
    _set_migration(stack, _MIGRATION.format(sql="LOCK TABLE orders; SELECT pg_sleep(0.3)"))
    assert _rehearse(stack, exit_code=0)["verdict"] == "safe"

    with (stack.directory / "stratum.toml").open("a", encoding="utf-8") as settings:
        settings.write('\n[rehearsal]\nlock_limit = "0s"\n')
    found = _rehearse(stack, exit_code=0)

    assert found["verdict"] == "needs-downtime"
    assert [lock["table"] for lock in found["locks"]] == ["stratum_db.public.orders"]
    assert found["locks"][0]["seconds"] >= 0.25


def test_a_migration_that_calls_out_meets_nobody(stack: StackUnderTest) -> None:
    """Not a service of this machine, and not the real server by the path of its socket."""
    port = stack.ports().runtime.observe().port
    real = stack.directory / ".stratum" / "run" / f".s.PGSQL.{port}"
    with _listening() as (outside, met):
        _set_migration(stack, _CALLS_OUT, str(outside), str(real), str(port))
        assert real.exists()
        found = _rehearse(stack, exit_code=13)

    assert met == []
    assert f"met {port}" in found["runs"][0]["said"].splitlines()


def test_without_a_migrate_command_there_is_nothing_to_rehearse(stack: StackUnderTest) -> None:
    done = stack.cli("rehearse", "--json")

    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (10, "nothing-to-rehearse")


@contextmanager
def _listening() -> Iterator[tuple[int, list[object]]]:
    """A service on this machine's loopback, and who has connected to it."""
    met: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, who = server.accept()
                except OSError:
                    return
                met.append(who)
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        with socket.create_connection(server.getsockname()):
            pass
        wait_until(lambda: bool(met))
        met.clear()
        yield server.getsockname()[1], met
        server.shutdown(socket.SHUT_RDWR)
