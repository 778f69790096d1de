"""The tripwire: each look-alike of the recorded cluster is told apart, and nobody works on it unasked."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest

from stratum.adapters.postgresql_installation import find_installation, observe_run_as
from stratum.core.errors import StratumError
from stratum.engine.accept_identity import accept_identity
from stratum.engine.bring_up import bring_up
from stratum.engine.prune import prune
from stratum.engine.run_command import run_command
from stratum.engine.take_dump import take_dump
from stratum.ports import Ports, RunState
from tests.fixtures.stacks import DATABASE, NAME, OWNER, StackMaker, StackUnderTest, fill

VERBS: dict[str, Callable[[Ports], object]] = {
    "up": bring_up,
    "backup": take_dump,
    "prune": prune,
    "migrate": lambda ports: run_command(ports, "migrate"),
    "seed": lambda ports: run_command(ports, "seed"),
}


def _refused_by_every_verb(stack: StackUnderTest, code: str) -> None:
    toml = stack.directory / "stratum.toml"
    text = (
        toml.read_text()
        .replace("migrate = []", 'migrate = ["touch", "ran"]')
        .replace("seed = []", 'seed = ["touch", "ran"]')
    )
    toml.write_text(text)
    backups = stack.ports().archive.manifests()
    recorded = stack.ports().archive.recorded_identity()
    for name, verb in VERBS.items():
        with pytest.raises(StratumError) as refused:
            verb(stack.ports())
        assert (name, refused.value.code, refused.value.exit) == (name, code, 10)
        assert "stratum restore" in refused.value.next or "stratum identity accept" in refused.value.next
    assert not (stack.directory / "ran").exists()
    assert stack.ports().archive.manifests() == backups
    assert stack.ports().archive.recorded_identity() == recorded


def _accept(stack: StackUnderTest) -> None:
    assert stack.cli("identity", "accept").returncode == 10, "it has to be said by name"
    said = stack.cli("identity", "accept", "--confirm", NAME)
    assert said.returncode == 0, said.stderr
    stack.up()
    take_dump(stack.ports(), accept_fewer_rows=True)


def _start_by_hand(stack: StackUnderTest) -> None:
    """As a person would, past the tripwire: `up` stops a look-alike that it had to start."""
    stack.ports().runtime.start()


def _make_fresh(stack: StackUnderTest) -> None:
    """A new cluster with the same superuser and password, as a person makes one by hand."""
    shutil.rmtree(stack.data)
    run_as = observe_run_as()
    initdb = find_installation(run_as).program("initdb")
    argv = (initdb, "-D", str(stack.data), "-U", "postgres", "-A", "trust", "--no-sync")
    subprocess.run(argv, user=run_as.uid if run_as else None, cwd="/", check=True, capture_output=True)


def test_an_empty_data_directory_is_a_loss_and_not_a_start(stopped_stack: StackUnderTest) -> None:
    shutil.rmtree(stopped_stack.data)
    _refused_by_every_verb(stopped_stack, "cluster-absent")
    assert not stopped_stack.data.exists()
    accept_identity(stopped_stack.ports())
    stopped_stack.up()
    assert stopped_stack.scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_a_fresh_cluster_is_refused_and_a_restore_is_allowed_into_it(stopped_stack: StackUnderTest) -> None:
    stack = stopped_stack
    _make_fresh(stack)
    with pytest.raises(StratumError) as refused:
        stack.up()
    assert refused.value.code == "cluster-fresh"
    assert stack.ports().runtime.observe().state is RunState.STOPPED, "a look-alike that was stopped is stopped again"
    _start_by_hand(stack)
    _refused_by_every_verb(stack, "cluster-fresh")
    stack.restore()
    assert stack.scalar("SELECT count(*) FROM orders") == 200
    stack.up()
    assert stack.scalar(f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{DATABASE}'") == OWNER


def _put_foreign_cluster(stack: StackUnderTest, other: StackUnderTest, script: str) -> None:
    fill(other, script=script)
    other.stop()
    shutil.rmtree(stack.data)
    shutil.move(other.data, stack.data)
    for file in ("POSTGRES_PASSWORD", "POSTGRES_SUPERUSER_PASSWORD", "BACKUP_PASSWORD", "REPLICATION_PASSWORD"):
        _copy_secret(stack, other, file)


def _copy_secret(stack: StackUnderTest, other: StackUnderTest, name: str) -> None:
    """As when both clusters were made with the same passwords; with others, the password already gives it away."""
    (theirs,) = (line for line in (other.directory / ".env").read_text().splitlines() if line.startswith(f"{name}="))
    ours = (stack.directory / ".env").read_text().splitlines()
    lines = [theirs if line.startswith(f"{name}=") else line for line in ours]
    (stack.directory / ".env").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE theirs (id int); INSERT INTO theirs VALUES (1)",
        "CREATE SCHEMA nothing_in_the_databases_that_are_guarded",
    ],
)
def test_a_foreign_cluster_with_data_is_refused_by_a_restore_as_well(
    stopped_stack: StackUnderTest, empty_place: StackUnderTest, script: str
) -> None:
    stack = stopped_stack
    _put_foreign_cluster(stack, empty_place, script)
    _start_by_hand(stack)
    if "SCHEMA" in script:
        stack.execute("CREATE DATABASE accounting", database="postgres")
        stack.execute("CREATE TABLE books (id int)", "INSERT INTO books VALUES (1)", database="accounting")
    _refused_by_every_verb(stack, "cluster-foreign")
    with pytest.raises(StratumError) as refused:
        stack.restore()
    assert refused.value.code == "cluster-foreign"
    _accept(stack)


def test_an_older_copy_is_refused_and_a_restore_is_allowed_into_it(stopped_stack: StackUnderTest) -> None:
    stack = stopped_stack
    subprocess.run(("cp", "-a", str(stack.data), str(stack.data) + ".old"), check=True)
    stack.up()
    stack.execute("INSERT INTO accounts (holder, balance) VALUES ('after the copy', 1)")
    newer = stack.backup()
    stack.stop()
    shutil.rmtree(stack.data)
    shutil.move(str(stack.data) + ".old", stack.data)
    with pytest.raises(StratumError) as refused:
        stack.up()
    assert refused.value.code == "cluster-older"
    _start_by_hand(stack)
    _refused_by_every_verb(stack, "cluster-older")
    stack.restore(newer)
    assert stack.scalar("SELECT count(*) FROM accounts") == 51
    stack.backup()


def test_writes_since_the_last_look_tell_an_older_copy_when_the_server_was_stopped_cleanly(
    stopped_stack: StackUnderTest,
) -> None:
    stack = stopped_stack
    subprocess.run(("cp", "-a", str(stack.data), str(stack.data) + ".old"), check=True)
    stack.up()
    stack.execute("INSERT INTO accounts (holder, balance) VALUES ('after the copy', 1)")
    stack.stop()
    shutil.rmtree(stack.data)
    shutil.move(str(stack.data) + ".old", stack.data)
    with pytest.raises(StratumError) as refused:
        stack.up()
    assert refused.value.code == "cluster-older"


def test_a_recreated_database_is_refused_and_a_restore_is_allowed_over_it(stack: StackUnderTest) -> None:
    stack.execute(f"DROP DATABASE {DATABASE}", f"CREATE DATABASE {DATABASE} OWNER {OWNER}", database="postgres")
    _refused_by_every_verb(stack, "cluster-recreated")
    stack.restore()
    assert stack.scalar("SELECT count(*) FROM orders") == 200
    stack.backup()


def test_a_dropped_database_is_refused_and_a_restore_brings_it_back(stack: StackUnderTest) -> None:
    stack.execute(f"DROP DATABASE {DATABASE}", database="postgres")
    _refused_by_every_verb(stack, "cluster-recreated")
    stack.restore()
    assert stack.scalar("SELECT count(*) FROM orders") == 200


def test_an_emptied_database_is_refused_until_it_is_said_to_be_right(stack: StackUnderTest) -> None:
    stack.execute(
        'TRUNCATE orders, accounts, events, "Odd ""Schéma""".";drop table \'x\' é"',
    )
    _refused_by_every_verb(stack, "cluster-recreated")
    said = stack.cli("identity", "accept", "--confirm", NAME)
    assert said.returncode == 0, said.stderr
    stack.up()


def test_the_same_cluster_after_a_crash_is_still_the_same(stack: StackUnderTest) -> None:
    stack.execute("INSERT INTO accounts (holder, balance) VALUES ('before the crash', 1)")
    stack.backup()
    stack.kill()
    stack.up()
    assert stack.scalar("SELECT count(*) FROM accounts") == 51
    stack.backup()


def test_an_archive_that_is_not_mounted_never_becomes_a_new_one(another_stack: StackMaker) -> None:
    stack = another_stack()
    aside = stack.directory / "elsewhere"
    shutil.move(stack.archive, aside)
    for state in ("missing", "an empty mount point"):
        for arguments in (
            ("up",), ("backup",), ("restore", "--confirm", NAME), ("prune",), ("drill",), ("status",), ("check",),
            ("identity", "accept", "--confirm", NAME), ("destroy", "--confirm", NAME), ("stop",),
        ):  # fmt: skip
            said = stack.cli(*arguments)
            assert said.returncode != 0, (state, arguments, said.stdout)
            assert "Traceback" not in said.stderr, (state, arguments, said.stderr)
            assert "archive" in said.stderr + said.stdout
        if state == "missing":
            assert not stack.archive.exists()
            stack.archive.mkdir()
        else:
            assert list(stack.archive.iterdir()) == []
    stack.archive.rmdir()
    shutil.move(aside, stack.archive)
    stack.up()
    assert stack.scalar("SELECT count(*) FROM orders") == 200
