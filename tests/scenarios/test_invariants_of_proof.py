"""Invariants 6 to 8 on a real stack: nothing tells a secret, nothing unproven passes, nothing scratch gets out."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from stratum.adapters.postgresql_tools import PostgresqlTools
from stratum.config import load_settings
from stratum.core.errors import ExitCode, StratumError
from stratum.core.plan import JournalKind
from stratum.core.proof import Method, Proof, Verdict, newest_proven
from stratum.engine.destroy import destroy
from stratum.engine.verify_backup import verify_backup
from stratum.ports import OnBytes, Role
from stratum.wiring import embedded_settings
from tests.fixtures.cut_stacks import CutStack, endpoint_of
from tests.fixtures.stacks import DATABASE, StackUnderTest

SECRETS = ("POSTGRES_PASSWORD", "POSTGRES_SUPERUSER_PASSWORD", "BACKUP_PASSWORD", "REPLICATION_PASSWORD")


# 6. Secrets never appear in argv, logs, repr or errors, nor in the archive. -------------------------------------


@contextmanager
def _recorded_command_lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every argv this process starts a program with, and those of all processes seen on the machine meanwhile."""
    seen: list[str] = []
    begin = subprocess.Popen.__init__

    def beginning(child: subprocess.Popen[bytes], argv: Sequence[str], **options: object) -> None:
        begin(child, argv, **options)  # type: ignore[call-overload]  # passed on as they came
        seen.append(" ".join(argv))
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except (FileNotFoundError, ProcessLookupError):
                continue

    monkeypatch.setattr(subprocess.Popen, "__init__", beginning)
    yield seen
    monkeypatch.setattr(subprocess.Popen, "__init__", begin)


def test_no_password_is_in_an_argv_a_log_a_repr_or_the_archive(
    cut_stack: CutStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = cut_stack.stack
    settings = load_settings(stack.directory)
    secrets = [settings.secret(name).reveal for name in SECRETS]
    stack.execute("ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()")
    with _recorded_command_lines(monkeypatch) as lines:
        stack.backup()
        stack.drill()
        stack.restore()
        stack.kill()
        _lose(stack)
        stack.restore()
        stack.stop()
        stack.up()
    assert any("pg_restore" in line for line in lines)
    texts = {"argv": "\n".join(lines), "settings": repr((settings, embedded_settings(settings), stack.ports()))}
    texts |= {"endpoint": repr(endpoint_of(stack.ports().runtime.server(Role.OWNER)))}
    for folder in (stack.archive, stack.data.parent / "logs"):
        texts |= {str(path): path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()}
    found = [
        (where, name) for where, text in texts.items() for name, s in zip(SECRETS, secrets, strict=True) if s in text
    ]
    assert found == []


def _lose(stack: StackUnderTest) -> None:
    shutil.rmtree(stack.data)


def test_the_roles_in_the_archive_carry_no_password_and_are_for_their_owner_only(cut_stack: CutStack) -> None:
    for script in cut_stack.stack.archive.rglob("globals.sql"):
        assert "PASSWORD" not in script.read_text()
        assert script.stat().st_mode & 0o077 == 0


def test_an_error_about_a_password_does_not_tell_it(cut_stack: CutStack) -> None:
    env = cut_stack.stack.directory / ".env"
    right = load_settings(cut_stack.stack.directory).secret("POSTGRES_SUPERUSER_PASSWORD").reveal
    env.write_text(env.read_text().replace(right, "not-the-right-one"))
    for arguments in (("backup",), ("backup", "--json"), ("check",), ("check", "--json")):
        ended = cut_stack.stack.cli(*arguments)
        assert ended.returncode != 0
        assert "not-the-right-one" not in ended.stdout + ended.stderr
    assert "wrong-password" in cut_stack.stack.cli("backup").stderr
    env.write_text(env.read_text().replace("not-the-right-one", right))


# 7. A refusal never exits 0; could-not-verify is never proven; a short dump is never a backup. -------------------


def test_a_refusal_never_exits_0(cut_stack: CutStack) -> None:
    refusals = {
        ("restore", "--confirm", "other"): ExitCode.REFUSED,
        ("restore",): ExitCode.REFUSED,
        ("destroy", "--confirm", "led"): ExitCode.REFUSED,
        ("restore", "--undo", "--confirm", "led"): ExitCode.REFUSED,
        ("restore", "no-such-backup", "--confirm", "led"): None,
        ("seed",): None,
        ("backup", "--kind", "hot"): ExitCode.USAGE,
    }
    for arguments, code in refusals.items():
        for extra in ((), ("--json",)):
            ended = cut_stack.stack.cli(*arguments, *extra)
            assert ended.returncode != 0, arguments
            assert code is None or ended.returncode == code, (arguments, ended.stderr)
    assert len(cut_stack.notes()) == 100


def test_what_could_not_be_verified_neither_passes_nor_counts(cut_stack: CutStack) -> None:
    """A table that the digest cannot read leaves the drill without a proof."""
    ports = cut_stack.stack.ports()
    newest = ports.archive.manifests()[-1]
    standing = ports.archive.proofs()[-1]
    ports.archive.record_proof(_later(standing, Verdict.COULD_NOT_VERIFY))
    proofs = ports.archive.proofs()
    assert newest_proven(ports.archive.manifests(), [p for p in proofs if p.backup_id == newest.id]) is None
    with pytest.raises(StratumError) as refused:
        destroy(cut_stack.stack.ports())
    assert refused.value.code == "no-proven-backup"


def test_a_drill_that_cannot_verify_exits_12(cut_stack: CutStack) -> None:
    """The throwaway server cannot be made: the backup may be good, and nobody knows."""
    scratch = cut_stack.stack.data.parent / "scratch"
    scratch.rmdir()
    scratch.write_text("in the way")
    ended = cut_stack.stack.cli("drill", "--json")
    scratch.unlink()
    assert ended.returncode != 0
    assert '"verdict": "proven"' not in ended.stdout


def _later(proof: Proof, verdict: Verdict) -> Proof:
    return dataclasses.replace(proof, id=f"{proof.id}-2", verdict=verdict, finished_at=datetime.now(UTC))


@pytest.mark.parametrize("harm", ["emptied", "truncated", "flipped", "one role more"])
def test_a_harmed_dump_is_found_out_and_never_restored(cut_stack: CutStack, harm: str) -> None:
    backup = cut_stack.stack.archive / "dumps" / cut_stack.stack.backup()
    data = max(backup.rglob("*.zst"), key=lambda path: path.stat().st_size)
    file = backup / "globals.sql" if harm == "one role more" else data
    content = file.read_bytes()
    harmed = {
        "emptied": b"",
        "truncated": content[:-7],
        "flipped": content[:-9] + b"\x55" + content[-8:],
        "one role more": content + b"CREATE ROLE intruder SUPERUSER LOGIN;\n",
    }
    file.write_bytes(harmed[harm])
    ports = cut_stack.stack.ports()
    assert verify_backup(ports.archive.manifests()[-1], ports).verdict is Verdict.FAILED
    assert cut_stack.stack.cli("verify").returncode == ExitCode.AT_RISK
    assert cut_stack.stack.cli("restore", backup.name, "--confirm", "led").returncode != 0
    assert cut_stack.stack.restore().plan.params["backup_id"] != backup.name


def test_a_dump_that_its_tool_left_empty_is_never_called_a_backup(
    cut_stack: CutStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = PostgresqlTools.dump

    def emptying(
        tools: PostgresqlTools, database: str, *, into: Path, snapshot: str, on_bytes: OnBytes | None = None
    ) -> None:
        dump(tools, database, into=into, snapshot=snapshot, on_bytes=on_bytes)
        for file in into.iterdir():
            file.write_bytes(b"")

    before = cut_stack.stack.ports().archive.manifests()
    monkeypatch.setattr(PostgresqlTools, "dump", emptying)
    with pytest.raises(StratumError) as refused:
        cut_stack.stack.backup()
    assert refused.value.code == "backup-not-whole"
    assert cut_stack.stack.ports().archive.manifests() == before


def test_a_dump_cut_short_by_its_tool_is_found_when_it_is_read_back(
    cut_stack: CutStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of contents is whole: only reading all the data shows it."""
    dump = PostgresqlTools.dump

    def cutting(
        tools: PostgresqlTools, database: str, *, into: Path, snapshot: str, on_bytes: OnBytes | None = None
    ) -> None:
        dump(tools, database, into=into, snapshot=snapshot, on_bytes=on_bytes)
        largest = max(into.rglob("*.zst"), key=lambda path: path.stat().st_size)
        largest.write_bytes(largest.read_bytes()[:-20])

    before = cut_stack.stack.ports().archive.manifests()
    monkeypatch.setattr(PostgresqlTools, "dump", cutting)
    with pytest.raises(StratumError):
        cut_stack.stack.backup()
    assert cut_stack.stack.ports().archive.manifests() == before
    ended = [entry for entry in cut_stack.entries() if entry.kind is JournalKind.PLAN_ENDED]
    assert ended[-1].error is not None


# 8. A scratch server is quarantined before its first start. ----------------------------------------------------

QUARANTINE = {
    "listen_addresses": "",
    "synchronous_standby_names": "",
    "primary_conninfo": "",
    "archive_mode": "off",
    "archive_command": "(disabled)",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "shared_preload_libraries": "",
    "wal_level": "minimal",
}


def test_a_scratch_server_neither_listens_nor_replicates_nor_archives(cut_stack: CutStack) -> None:
    runtime = cut_stack.stack.ports().runtime
    with runtime.scratch(purpose="drill", bootstrap_role="postgres") as server:
        endpoint = endpoint_of(server)
        with psycopg.connect(endpoint.conninfo("postgres"), password=endpoint.password.reveal) as connection:
            found = {name: connection.execute(f"SHOW {name}").fetchall()[0][0] for name in QUARANTINE}
            pid = int((Path(_data_of(connection)) / "postmaster.pid").read_text().splitlines()[0])
        assert found == QUARANTINE
        assert _listening_sockets(pid) == set()
        assert Path(endpoint.host).stat().st_mode & 0o077 == 0
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(endpoint.conninfo("postgres"), password="not this one")  # noqa: S106 - a wrong one


def _data_of(connection: psycopg.Connection[tuple[object, ...]]) -> str:
    return str(connection.execute("SHOW data_directory").fetchall()[0][0])


def _listening_sockets(pid: int) -> set[str]:
    """TCP sockets in the listening state among the process's open files."""
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listening.add(f"socket:[{fields[9]}]")
    return {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()} & listening  # noqa: PTH115 - not a path


def test_a_drill_does_not_wait_for_the_standby_that_production_waits_for(cut_stack: CutStack) -> None:
    """Neither the server's settings nor those of the dumped database reach the scratch server's own."""
    stack = cut_stack.stack
    stack.execute(f"ALTER DATABASE {DATABASE} SET synchronous_commit = 'remote_apply'")
    stack.execute("ALTER SYSTEM SET max_logical_replication_workers = 4")
    stack.backup()
    stack.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody_there'", "SELECT pg_reload_conf()")
    try:
        assert stack.drill().verdict is Verdict.PROVEN
        assert stack.ports().archive.proofs()[-1].method is Method.DRILL
    finally:
        stack.execute("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
