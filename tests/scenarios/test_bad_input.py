"""What people and machines do wrong, through the command line: three sentences, the right exit code, nothing lost."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fixtures.stacks import DATABASE, StackUnderTest


def refused(done: subprocess.CompletedProcess[str], code: str, exit_code: int) -> str:
    """The error in its three parts and no traceback; returns what it said."""
    assert "Traceback" not in done.stderr, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith(("error[", "data:  ", "next:  "))]
    assert [line.split(":")[0] for line in said] == [f"error[{code}]", "data", "next"], done.stderr + done.stdout
    assert all(line.split(":", 1)[1].strip() for line in said)
    assert done.returncode == exit_code, done.stderr
    return "\n".join(said)


def _append(stack: StackUnderTest, text: str) -> None:
    file = stack.directory / "stratum.toml"
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")


def _set(stack: StackUnderTest, name: str, value: str) -> None:
    file = stack.directory / ".env"
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(f"{name}=")]
    file.write_text("\n".join((*kept, f"{name}={value}")) + "\n", encoding="utf-8")


def _backups(stack: StackUnderTest) -> list[str]:
    return [manifest.id for manifest in stack.ports().archive.manifests()]


def _in_dumps(stack: StackUnderTest) -> list[str]:
    return sorted(path.name for path in (stack.archive / "dumps").iterdir())


def test_an_unknown_key_is_refused_with_the_spelling_that_was_meant(archived_stack: StackUnderTest) -> None:
    _append(archived_stack, "\n[notfy]\n")

    assert "notfy" in refused(archived_stack.cli("status"), "unknown-setting", 2)


def test_malformed_toml_is_refused_with_its_place(archived_stack: StackUnderTest) -> None:
    _append(archived_stack, "\n[drill\n")

    assert "line" in refused(archived_stack.cli("backup"), "malformed-settings", 2)


def test_an_impossible_port_is_refused(archived_stack: StackUnderTest) -> None:
    _set(archived_stack, "POSTGRES_PORT", "five")

    assert "POSTGRES_PORT" in refused(archived_stack.cli("up"), "invalid-setting", 2)


def test_a_missing_password_is_asked_for_by_name(archived_stack: StackUnderTest) -> None:
    _set(archived_stack, "BACKUP_PASSWORD", "")

    assert "BACKUP_PASSWORD" in refused(archived_stack.cli("status"), "missing-secret", 2)


def test_a_directory_without_a_stack_is_refused(tmp_path: Path) -> None:
    refused(StackUnderTest(directory=tmp_path).cli("status"), "no-stack-here", 2)


def test_a_stopped_server_is_said_to_be_stopped(stopped_stack: StackUnderTest) -> None:
    before = _backups(stopped_stack)

    refused(stopped_stack.cli("backup"), "not-running", 10)

    assert _backups(stopped_stack) == before


def test_a_server_that_hangs_up_on_everyone_cannot_be_reached(stack: StackUnderTest) -> None:
    """Its process lives and answers no one: what is left of it says a port where nothing listens."""
    pid_file = stack.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    true_port, lines[3] = lines[3], "1"
    sockets = stack.directory / ".stratum" / "run"
    before = _in_dumps(stack)
    try:
        pid_file.write_text("\n".join(lines) + "\n")
        assert "cannot be reached" in refused(stack.cli("backup"), "unreachable-server", 1)
    finally:
        lines[3] = true_port
        pid_file.write_text("\n".join(lines) + "\n")

    assert _in_dumps(stack) == before
    assert sockets.is_dir()


@pytest.mark.parametrize("name", ["POSTGRES_SUPERUSER_PASSWORD", "BACKUP_PASSWORD"])
def test_a_password_changed_in_env_alone_is_refused_and_not_shown(stack: StackUnderTest, name: str) -> None:
    before = _in_dumps(stack)
    _set(stack, name, "not-the-servers-password")

    done = stack.cli("backup")

    refused(done, "wrong-password", 1)
    assert "not-the-servers-password" not in done.stdout + done.stderr
    assert _in_dumps(stack) == before


def test_a_missing_archive_is_never_made_anew_in_silence(stack: StackUnderTest) -> None:
    away = stack.archive.with_name("away")
    stack.archive.rename(away)

    for verb in ("backup", "status"):
        refused(stack.cli(verb), "archive-missing", 1)

    assert not stack.archive.exists()
    away.rename(stack.archive)
    assert stack.cli("backup").returncode == 0


@contextlib.contextmanager
def _mounted(stack: StackUnderTest, options: str) -> Iterator[None]:
    """A file system of its own in the archive's place, with what the archive held."""
    away = stack.archive.with_name("away")
    stack.archive.rename(away)
    stack.archive.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(stack.archive)), check=True)
    try:
        subprocess.run(("cp", "-a", f"{away}/.", str(stack.archive)), check=True)
        yield
    finally:
        subprocess.run(("umount", str(stack.archive)), check=True)


def _may_mount() -> bool:
    """Whether this account may mount a file system, as root in a container without the right to may not."""
    if os.geteuid() != 0:
        return False
    probe = subprocess.run(
        ("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"), capture_output=True, check=False
    )
    return probe.returncode == 0


needs_mount = pytest.mark.skipif(not _may_mount(), reason="this account may not mount a file system")


@needs_mount
def test_a_read_only_archive_can_be_read_and_refuses_to_be_written(stack: StackUnderTest) -> None:
    before = _backups(stack)
    with _mounted(stack, "size=16m"):
        subprocess.run(("mount", "-o", "remount,ro", str(stack.archive)), check=True)

        for verb in ("backup", "drill"):
            refused(stack.cli(verb), "archive-not-writable", 1)
        assert stack.cli("status").returncode == 0
        assert before[0] in stack.cli("backups", "list").stdout
        assert _in_dumps(stack) == before


@needs_mount
def test_an_archive_that_fills_up_while_a_dump_is_written_keeps_only_whole_backups(stack: StackUnderTest) -> None:
    before = _backups(stack)
    stack.execute("CREATE TABLE bulk AS SELECT md5(n::text) || md5((-n)::text) AS t FROM generate_series(1, 200000) n")
    with _mounted(stack, "size=4m"):
        refused(stack.cli("backup"), "archive-full", 1)

        assert _in_dumps(stack) == before, "nothing half-written is left"
        assert stack.cli("verify", "--all").returncode == 0
        stack.execute("DROP TABLE bulk")
        assert stack.cli("backup").returncode == 0, "and once there is room, the next backup is taken"


@needs_mount
def test_an_archive_that_is_full_already_is_said_to_be_full(stack: StackUnderTest) -> None:
    with _mounted(stack, "size=4m"):
        ballast = stack.archive / "journal" / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as stream:
            while True:
                stream.write(b"\0" * 4096)
                stream.flush()

        refused(stack.cli("backup"), "archive-full", 1)

        ballast.unlink()
        assert stack.cli("backup").returncode == 0


def test_foreign_files_in_the_archive_are_named_and_never_touched(stack: StackUnderTest) -> None:
    names = ("note.txt", "dumps/note.txt", "dumps/strange/data", "journal/note.txt", "proofs/note.txt", "mine/x")
    for name in names:
        path = stack.archive / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("not Stratum's", encoding="utf-8")

    taken, status = stack.cli("backup"), stack.cli("status")
    pruned, verified = stack.cli("prune"), stack.cli("verify", "--all")

    assert (taken.returncode, status.returncode, pruned.returncode) == (0, 0, 0), taken.stderr + pruned.stderr
    assert "foreign   mine" in status.stdout
    assert "foreign   note.txt" in status.stdout
    assert "damaged   strange" in status.stdout
    assert verified.returncode == 13, "a directory among the backups that is none is not passed over in silence"
    assert all((stack.archive / name).read_text(encoding="utf-8") == "not Stratum's" for name in names)


@pytest.mark.parametrize(
    "verb", [("backup",), ("drill",), ("prune",), ("verify",), ("stop",), ("restore", "--confirm", "led")]
)
def test_a_second_verb_is_told_who_runs_the_first_why_and_since_when(
    archived_stack: StackUnderTest, verb: tuple[str, ...]
) -> None:
    ports = archived_stack.ports()
    before = _in_dumps(archived_stack)

    with ports.lock.hold(why="a long restore"):
        said = refused(archived_stack.cli(*verb), "locked", 11)

    assert "a long restore" in said
    assert ports.who in said
    assert f"since {datetime.now(UTC):%Y-}" in said
    assert _in_dumps(archived_stack) == before


def test_a_lock_whose_holder_left_no_name_is_still_a_lock(archived_stack: StackUnderTest) -> None:
    with (archived_stack.archive / "lock").open("w+") as handle:
        handle.write("{half")
        handle.flush()
        fcntl.flock(handle, fcntl.LOCK_EX)

        assert "an unnamed holder" in refused(archived_stack.cli("verify"), "locked", 11)


def test_a_clock_that_went_back_stops_what_depends_on_it(stack: StackUnderTest) -> None:
    before = _backups(stack)
    file = stack.archive / "dumps" / before[0] / "manifest.json"
    plain = json.loads(file.read_text(encoding="utf-8"))
    plain["taken_at"] = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    file.write_text(json.dumps(plain), encoding="utf-8")

    for verb in ("backup", "prune"):
        assert before[0] in refused(stack.cli(verb), "clock-behind", 10)

    assert _backups(stack) == before
    assert stack.cli("verify").returncode == 0


def test_names_that_are_no_text_come_back_from_a_backup(stack: StackUnderTest) -> None:
    """A SQL_ASCII database takes any bytes for a name; whatever becomes of them, they are not lost."""
    stack.execute("CREATE DATABASE raw TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'")
    with stack.connect(database="raw") as connection:
        connection.execute(b'CREATE TABLE "caf\xe9" ("na\xefve" text)')
        connection.execute(b"INSERT INTO \"caf\xe9\" VALUES ('\xfcber'), ('plain')")
    _guard(stack, DATABASE, "raw")

    taken = stack.cli("backup")
    drilled = stack.cli("drill", "--json")

    assert "Traceback" not in taken.stderr + drilled.stderr
    assert taken.returncode == 0, taken.stderr
    assert drilled.returncode == 0, drilled.stdout
    assert json.loads(drilled.stdout)["verdict"] == "proven"


def _guard(stack: StackUnderTest, *databases: str) -> None:
    file = stack.directory / "stratum.toml"
    text = file.read_text(encoding="utf-8")
    listed = ", ".join(json.dumps(name, ensure_ascii=False) for name in databases)
    kept = [line for line in text.splitlines() if not line.startswith("databases = ")]
    kept.insert(kept.index("[database]") + 1, f"databases = [{listed}]")
    file.write_text("\n".join(kept) + "\n", encoding="utf-8")


def test_databases_with_odd_names_are_backed_up_drilled_and_restored(stack: StackUnderTest) -> None:
    odd = ('o\'brien "the" 1st', "host=elsewhere", "../up", "été ☃", "-rf")
    for name in odd:
        quoted = '"' + name.replace('"', '""') + '"'
        stack.execute(f"CREATE DATABASE {quoted} OWNER stratum")
        stack.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)", database=name)
    _guard(stack, DATABASE, *odd)

    taken, drilled = stack.cli("backup"), stack.cli("drill")
    stack.execute("DELETE FROM t", database=odd[0])
    restored = stack.cli("restore", "--database", odd[0], "--confirm", "led")

    assert taken.returncode == 0, taken.stderr
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr
    assert restored.returncode == 0, restored.stderr
    assert stack.scalar("SELECT count(*) FROM t", database=odd[0]) == 2


def test_a_database_that_is_not_there_is_named(stack: StackUnderTest) -> None:
    before = _in_dumps(stack)
    _guard(stack, DATABASE, "nowhere")

    done = stack.cli("backup")

    assert "Traceback" not in done.stderr
    assert done.returncode != 0
    assert '"nowhere" does not exist' in done.stderr
    assert _in_dumps(stack) == before


@pytest.mark.parametrize("backup_id", ["../led", "/etc", "", "é" * 300])
@pytest.mark.parametrize("verb", ["backups show", "backups pin", "verify", "drill", "restore"])
def test_an_id_that_is_none_is_refused_wherever_it_is_given(
    archived_stack: StackUnderTest, verb: str, backup_id: str
) -> None:
    before = sorted(path.name for path in archived_stack.archive.rglob("*"))

    refused(archived_stack.cli(*verb.split(), backup_id), "unknown-backup", 2)

    assert sorted(p.name for p in archived_stack.archive.rglob("*") if p.name != "lock") == [
        b for b in before if b != "lock"
    ]


def test_an_export_never_writes_into_what_exists(archived_stack: StackUnderTest) -> None:
    refused(archived_stack.cli("backups", "export", _backups(archived_stack)[0], "."), "invalid-argument", 2)
    refused(archived_stack.cli("backups", "export", "../x", "out"), "unknown-backup", 2)

    assert not (archived_stack.directory / "out").exists()


_ARGUMENTS = (
    ("restore", "--at", "yesterday"),
    ("restore", "--at", "0001-01-01T00:00+14:00"),
    ("restore", "--into", ""),
    ("restore", "--into", "n" * 64),
    ("restore", "--into", "é" * 40),
    ("restore", "--table", "a.b.c"),
    ("restore", "--table", ""),
    ("restore", "--undo", "--into", "x"),
    ("backup", "--kind", "hot"),
)


@pytest.mark.parametrize("arguments", _ARGUMENTS, ids=[" ".join(a)[:30] for a in _ARGUMENTS])
def test_an_argument_that_cannot_be_meant_is_refused(
    archived_stack: StackUnderTest, arguments: tuple[str, ...]
) -> None:
    refused(archived_stack.cli(*arguments), "invalid-argument", 2)


def test_an_error_is_one_object_on_stdout_when_json_was_asked_for(archived_stack: StackUnderTest) -> None:
    done = archived_stack.cli("backup", "--json")

    error = json.loads(done.stdout)["error"]
    assert done.returncode == 10
    assert set(error) == {"code", "message", "data", "next", "details"}
    assert error["code"] == "cluster-absent"


_BROKEN = """
import sys
import stratum.wiring
def broken(*args, **options):
    raise ZeroDivisionError("a bug")
stratum.wiring.open_stack = broken
from stratum.cli.main import main
sys.argv = ["stratum", "status"]
main()
"""


@pytest.mark.parametrize("traceback", [False, True], ids=["plain", "asked for"])
def test_a_fault_of_the_program_is_an_error_in_three_parts_and_a_traceback_only_when_asked_for(
    tmp_path: Path, traceback: bool
) -> None:
    import sys

    env = {name: value for name, value in os.environ.items() if name != "STRATUM_TRACEBACK"}
    env |= {"STRATUM_TRACEBACK": "1"} if traceback else {}
    argv = (sys.executable, "-c", _BROKEN)
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "error[unexpected]: a fault in Stratum itself: ZeroDivisionError: a bug" in done.stderr
    assert ("Traceback" in done.stderr) is traceback


def test_a_data_directory_of_a_newer_server_is_not_started(stopped_stack: StackUnderTest) -> None:
    (stopped_stack.data / "PG_VERSION").write_text("99\n", encoding="ascii")

    assert "99" in refused(stopped_stack.cli("up"), "server-newer-than-tools", 1)
