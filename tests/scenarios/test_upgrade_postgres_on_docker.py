"""Another major of PostgreSQL on Docker: a volume of its own, the old one kept, one command back, and cut between."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from tests.fixtures.cut_stacks import ROOT
from tests.fixtures.database_stacks import ROWS, DatabaseStack, NewDatabaseStack


def test_a_stack_goes_to_the_next_major_and_back_and_a_cut_one_serves_as_before(
    new_database_stack: NewDatabaseStack,
) -> None:
    stack = new_database_stack(image="postgres:16-bookworm")
    stack.done("up")
    stack.fill()
    stack.sql("CREATE ROLE reporting LOGIN PASSWORD 'of its own'", user="postgres")
    stack.sql("ALTER ROLE stratum SET search_path TO shop, public", user="postgres")
    stack.sql("CREATE ROLE readers; GRANT readers TO stratum", user="postgres")
    rows, theirs, old = stack.digest(), _hash_of(stack), stack.setting("POSTGRES_VOLUME")

    _cut(stack, "upgrade-volume/switch")
    stack.done("up")
    assert (_major(stack), stack.digest(), stack.setting("POSTGRES_VOLUME")) == (16, rows, old)
    assert stack.volumes() == {old}

    planned = json.loads(stack.done("upgrade-postgres", "17", "--dry-run", "--json"))["plan"]
    (room,) = (guard for guard in planned["guards"] if guard["name"] == "disk-space")
    assert (room["holds"], "free at the disk of Docker's volumes" in room["statement"]) == (True, True)
    stack.done("upgrade-postgres", "17", "--confirm", stack.name)

    assert _major(stack) == 17
    assert stack.digest() == rows
    assert _hash_of(stack) == theirs
    assert stack.sql("SELECT rolconfig FROM pg_roles WHERE rolname = 'stratum'") == '{"search_path=shop, public"}'
    assert stack.sql("SELECT pg_has_role('stratum', 'readers', 'MEMBER')") == "t"
    assert stack.setting("POSTGRES_IMAGE") == "postgres:17-bookworm"
    assert stack.volumes() == {old, stack.setting("POSTGRES_VOLUME")}
    assert stack.sql("SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'orders'") == "t"
    stack.done("backup")
    assert "proven" in stack.done("drill").splitlines()[0]
    stack.sql("DELETE FROM orders WHERE id <= 20")

    said = stack.run("upgrade-postgres", "--undo", "--confirm", stack.name)

    assert said.returncode == 0, said.stdout + said.stderr
    assert f"orders: {ROWS} rows then, {ROWS - 20} now" in said.stdout + said.stderr
    assert (_major(stack), stack.digest(), stack.setting("POSTGRES_VOLUME")) == (16, rows, old)


def _cut(stack: DatabaseStack, step: str) -> None:
    words = ("-m", "tests.fixtures.cut_child", str(stack.directory), "upgrade-volume", f"step:{step}")
    ended = subprocess.run(
        (sys.executable, *words), cwd=ROOT, env=dict(stack.docker.environment), capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]


def _major(stack: DatabaseStack) -> int:
    return int(stack.sql("SHOW server_version_num")) // 10000


def _hash_of(stack: DatabaseStack) -> str:
    """Of a role of the user's own, whose password stands in no file."""
    return stack.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'reporting'", user="postgres")
