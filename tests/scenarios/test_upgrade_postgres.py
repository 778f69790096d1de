"""Another major of PostgreSQL under the same data: carried out, refused, cut at each step, and gone back from."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import tomlkit

from stratum.core.errors import StratumError
from stratum.core.plan import PlanEnd
from stratum.engine.undo_upgrade import undo_upgrade
from stratum.engine.upgrade_postgres import upgrade_postgres
from stratum.ports import Role
from stratum.wiring import init_stack
from tests.fixtures.cut_stacks import ROOT
from tests.fixtures.postgresql_majors import installed_programs
from tests.fixtures.protection import set_protection
from tests.fixtures.stacks import DATABASE, NAME, OWNER, SEED, Asked, StackUnderTest, end, use_free_port

OLD, NEW = 16, 17
_THEIRS = "of its own"
_OF_A_USER = (
    f"CREATE ROLE reporting LOGIN PASSWORD '{_THEIRS}'",
    "GRANT pg_read_all_data TO reporting",
    "ALTER ROLE reporting SET work_mem = '9MB'",
    f"ALTER DATABASE {DATABASE} SET work_mem = '7MB'",
)


@pytest.fixture(scope="module")
def filled_old_stack() -> Iterator[StackUnderTest]:
    """A stopped stack of the older major with rows, on a machine that has programs of both; never started itself."""
    parent = Path(tempfile.mkdtemp(prefix="stratum-upgrade-", dir="/tmp"))
    parent.chmod(0o755)
    stack = StackUnderTest(directory=parent / NAME)
    init_stack(stack.directory, name=NAME, archive="archive", console=False)
    use_free_port(stack.directory)
    set_protection(stack.directory, "dumps")
    _say_programs(stack.directory, OLD)
    stack.up()
    stack.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", *_OF_A_USER)
    stack.execute(SEED, user=OWNER)
    stack.backup()
    stack.stop()
    _say_programs(stack.directory, OLD, NEW)
    yield stack
    end(stack)
    shutil.rmtree(parent)


@pytest.fixture
def old_stack(filled_old_stack: StackUnderTest) -> Iterator[StackUnderTest]:
    """A running copy of it."""
    parent = Path(tempfile.mkdtemp(prefix="stratum-upgrade-", dir="/tmp"))
    parent.chmod(0o755)
    stack = StackUnderTest(directory=parent / NAME)
    subprocess.run(("cp", "-a", str(filled_old_stack.directory), str(stack.directory)), check=True)
    use_free_port(stack.directory)
    stack.up()
    yield stack
    end(stack)
    shutil.rmtree(parent)


def test_every_row_role_and_setting_is_there_on_the_new_major_and_the_old_cluster_is_kept(
    old_stack: StackUnderTest,
) -> None:
    before = _rows(old_stack)
    asked = Asked()

    outcome = upgrade_postgres(old_stack.ports(asked=asked), NEW)

    assert outcome.end is PlanEnd.DONE
    assert _major(old_stack) == NEW
    assert _rows(old_stack) == before
    assert old_stack.scalar("SHOW work_mem") == "7MB"
    assert _of_reporting(old_stack, "SHOW work_mem") == "9MB"
    assert old_stack.scalar("SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'orders'") is True
    assert [note for note in outcome.plan.notes if "fsync = 'off'" in note] != [], "what does not move is said"
    assert any("every table came back the same" in line for line in asked.shown)
    kept = old_stack.data.parent / "kept" / str(outcome.plan.params["kept"])
    assert (kept / "PG_VERSION").read_text() == f"{OLD}\n"
    assert old_stack.drill(old_stack.backup()).server_version is not None
    old_stack.stop()
    old_stack.up()
    assert _major(old_stack) == NEW


def test_going_back_says_what_was_written_since_and_leaves_nothing_out_of_both_clusters(
    old_stack: StackUnderTest,
) -> None:
    before = _rows(old_stack)
    upgrade_postgres(old_stack.ports(), NEW)
    old_stack.execute("DELETE FROM orders WHERE id <= 20", user=OWNER)
    asked = Asked()

    undone = undo_upgrade(old_stack.ports(asked=asked))

    assert any("orders: 200 rows then, 180 now" in line for line in asked.shown), asked.shown
    assert _major(old_stack) == OLD
    assert _rows(old_stack) == before
    kept = old_stack.data.parent / "kept" / str(undone.plan.params["aside"])
    assert (kept / "PG_VERSION").read_text() == f"{NEW}\n"
    assert old_stack.ports().archive.manifests()[-1].cluster.major == NEW
    with pytest.raises(StratumError, match="no upgrade"):
        undo_upgrade(old_stack.ports())
    upgrade_postgres(old_stack.ports(), NEW)
    assert _rows(old_stack) == before


@pytest.mark.parametrize("step", ["stop", "make-beside", "switch", "start"])
def test_cut_anywhere_the_old_cluster_serves_again_or_the_new_one_does_with_every_row(
    old_stack: StackUnderTest, step: str
) -> None:
    before = _rows(old_stack)

    _cut(old_stack, "upgrade-postgres", step)
    said = old_stack.cli("up")

    assert said.returncode == 0, said.stderr
    assert _rows(old_stack) == before
    assert _major(old_stack) == (NEW if step == "start" else OLD)
    assert _of_reporting(old_stack, "SELECT 1") == 1
    assert not (old_stack.data.parent / "upgrade").exists()
    old_stack.execute("INSERT INTO orders (account) VALUES (1)", user=OWNER)


def test_an_extension_that_the_new_major_lacks_is_named_before_anything_stops(old_stack: StackUnderTest) -> None:
    """The old server has one that nobody else has."""
    folder = _extensions(OLD)
    files = [folder / "of_old_only.control", folder / "of_old_only--1.0.sql"]
    files[0].write_text("default_version = '1.0'\n")
    files[1].write_text("CREATE VIEW of_old AS SELECT 1;\n")
    try:
        old_stack.execute("CREATE EXTENSION of_old_only")
        with pytest.raises(StratumError) as refused:
            upgrade_postgres(old_stack.ports(), NEW)
    finally:
        for file in files:
            file.unlink()

    assert refused.value.code == "upgrade-refused"
    assert "of_old_only" in refused.value.message
    assert _major(old_stack) == OLD


def test_what_cannot_be_is_refused_with_the_way_on(old_stack: StackUnderTest) -> None:
    old_stack.execute("CREATE DATABASE elsewhere")
    refused = {major: _refusal(old_stack, major) for major in (OLD, 14, 99, NEW)}

    assert {major: error.code for major, error in refused.items()} == {
        OLD: "upgrade-refused", 14: "upgrade-refused", 99: "upgrade-refused", NEW: "upgrade-refused",
    }  # fmt: skip
    assert "already" in refused[OLD].message
    assert "--undo" in refused[14].next
    assert "elsewhere" in refused[NEW].message
    old_stack.execute("DROP DATABASE elsewhere")
    assert _refusal(old_stack, 99).code == "upgrade-no-programs"


def test_a_difference_found_before_the_switch_leaves_the_old_cluster_serving(
    old_stack: StackUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stratum.adapters.embedded_upgrade import EmbeddedUpgrade

    copy = EmbeddedUpgrade.copy_passwords

    def and_lose_a_row(upgrade: EmbeddedUpgrade, major: int, roles: list[str]) -> None:
        copy(upgrade, major, roles)
        new = upgrade._beside(major).endpoint(Role.MAINTENANCE)
        with psycopg.connect(new.conninfo(DATABASE), password=new.password.reveal) as connection:
            connection.execute("DELETE FROM orders WHERE id = 7")

    monkeypatch.setattr(EmbeddedUpgrade, "copy_passwords", and_lose_a_row)
    with pytest.raises(StratumError) as found:
        upgrade_postgres(old_stack.ports(), NEW)

    assert found.value.code == "upgrade-not-whole"
    assert "orders: 200 expected, 199 found" in found.value.message
    assert _major(old_stack) == OLD
    assert old_stack.scalar("SELECT count(*) FROM orders") == 200


def _refusal(stack: StackUnderTest, major: int) -> StratumError:
    with pytest.raises(StratumError) as refused:
        upgrade_postgres(stack.ports(), major)
    return refused.value


def _cut(stack: StackUnderTest, verb: str, step: str) -> None:
    argv = (sys.executable, "-m", "tests.fixtures.cut_child", str(stack.directory), verb, f"step:{verb}/{step}")
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]


def _say_programs(directory: Path, *majors: int) -> None:
    file = directory / "stratum.toml"
    document = tomlkit.parse(file.read_text(encoding="utf-8"))
    document["database"]["programs"] = [str(installed_programs(major)) for major in majors]
    file.write_text(tomlkit.dumps(document), encoding="utf-8")


def _extensions(major: int) -> Path:
    return next((installed_programs(major).parent / "share").rglob("plpgsql.control")).parent


def _major(stack: StackUnderTest) -> int:
    return int(str(stack.scalar("SHOW server_version_num"))) // 10000


def _rows(stack: StackUnderTest) -> list[tuple[object, ...]]:
    return stack.rows("SELECT t.* FROM orders t ORDER BY id")


def _of_reporting(stack: StackUnderTest, query: str) -> object:
    """Asked by a role of the user's own, with the password that only the server knows."""
    info = re.sub(r"(user|password)='?[^ ']*'?", "", stack.conninfo())
    with psycopg.connect(info, user="reporting", password=_THEIRS) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
