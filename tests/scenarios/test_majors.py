"""Every supported PostgreSQL end to end: back up, drill, lose, restore; and a dump that moves to a newer major."""

from __future__ import annotations

import shutil

import pytest

from stratum.core.errors import StratumError
from stratum.core.proof import Verdict
from tests.fixtures.postgresql_majors import MAJORS, installed_programs
from tests.fixtures.stacks import DATABASE, OWNER, StackUnderTest, fill


def _fill(place: StackUnderTest, major: int) -> StackUnderTest:
    stack = StackUnderTest(directory=place.directory, programs=installed_programs(major))
    fill(stack)
    stack.execute(f"ALTER DATABASE {DATABASE} SET work_mem = '7MB'", f"COMMENT ON DATABASE {DATABASE} IS 'kept'")
    stack.execute("CREATE MATERIALIZED VIEW totals AS SELECT sum(balance) FROM accounts", user=OWNER)
    return stack


@pytest.mark.parametrize("major", MAJORS)
def test_a_backup_of_this_major_is_proven_and_restored_in_place_and_after_total_loss(
    empty_place: StackUnderTest, major: int
) -> None:
    stack = _fill(empty_place, major)
    backup = stack.backup()
    assert stack.ports().archive.manifests()[-1].cluster.major == major
    proof = stack.drill(backup)
    assert [check for check in proof.checks if check.verdict is not Verdict.PROVEN] == []
    stack.execute("DELETE FROM orders WHERE id <= 20")
    stack.restore()
    _is_whole(stack)
    stack.execute("DROP TABLE orders")
    stack.place_table("orders", stack.restore_table("orders"))
    _is_whole(stack)
    stack.undo()
    assert stack.scalar("SELECT count(*) FROM orders") == 180
    shutil.rmtree(stack.data)
    stack.restore()
    _is_whole(stack)


def _is_whole(stack: StackUnderTest) -> None:
    assert stack.scalar("SELECT count(*) FROM orders") == 200
    assert stack.scalar("SELECT sum FROM totals") == 5000
    assert stack.scalar("SHOW work_mem") == "7MB"
    oid = stack.scalar(f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{DATABASE}'")
    assert oid == "kept"


def test_a_dump_of_14_is_proven_and_restored_on_17_and_never_goes_back(empty_place: StackUnderTest) -> None:
    old = _fill(empty_place, 14)
    backup = old.backup()
    shutil.rmtree(old.data)
    new = StackUnderTest(directory=old.directory, programs=installed_programs(17))
    new.restore()
    assert str(new.scalar("SHOW server_version")).startswith("17.")
    _is_whole(new)
    proof = new.drill(backup)
    assert [check for check in proof.checks if check.verdict is not Verdict.PROVEN] == []
    newer = new.backup()
    new.stop()
    (new.data / "PG_VERSION").write_text("14\n")
    (new.data / "global" / "pg_control").unlink()
    new.restore(newer)
    _is_whole(new)
    shutil.rmtree(new.data)
    with pytest.raises(StratumError) as refused:
        old.restore(newer)
    assert (refused.value.code, refused.value.exit) == ("wrong-version", 10)
    assert "PostgreSQL 17" in refused.value.message
    assert not old.data.exists()
    assert old.drill(newer).verdict is Verdict.COULD_NOT_VERIFY, "tools that cannot read a dump say nothing about it"
    new.restore(newer)
    _is_whole(new)
