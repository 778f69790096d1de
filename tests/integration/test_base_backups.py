"""Base backups on 14, 16 and 17: whole, recorded, read again, and nothing left of one that failed."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stratum.adapters.archive import DirectoryArchive
from stratum.adapters.base_copy import PostgresqlReplication
from stratum.core.backup import BackupKind
from stratum.core.errors import StratumError
from stratum.core.proof import Verdict
from stratum.engine.take_base_backup import take_base_backup
from stratum.engine.verify_base import verify_base
from stratum.replication import CopiedRange, CopyOrder
from tests.fixtures.cut_stacks import strangers
from tests.fixtures.postgresql_majors import installed_programs
from tests.fixtures.protection import set_protection
from tests.fixtures.stacks import StackUnderTest, fill, wait_until


@pytest.mark.parametrize("major", [14, 16])
def test_a_base_backup_holds_the_cluster_and_says_which_wal_it_needs(empty_place: StackUnderTest, major: int) -> None:
    stack = StackUnderTest(directory=empty_place.directory, programs=installed_programs(major))
    fill(stack)

    base_id = str(take_base_backup(stack.ports()).facts["backup_id"])

    wal = stack.ports().wal
    (manifest,) = wal.bases()
    assert (manifest.id, manifest.kind, manifest.cluster.major) == (base_id, BackupKind.BASE, major)
    assert (manifest.start_timeline, manifest.segment_bytes) == (1, 16 << 20)
    assert 0 < manifest.start_lsn < manifest.stop_lsn
    assert manifest.started_at < manifest.finished_at
    assert {file.path for file in manifest.files} == {"backup_manifest", "base.tar.zst"}
    assert "stratum_db" in manifest.databases
    listed = subprocess.run(("tar", "--zstd", "--list", f"--file={wal.base_path(base_id) / 'base.tar.zst'}"),
                            capture_output=True, text=True, check=True)  # fmt: skip
    assert {"backup_label", "PG_VERSION", "global/pg_control"} <= set(listed.stdout.split())


def test_flipped_and_missing_bytes_of_a_base_backup_are_named(stack: StackUnderTest) -> None:
    base_id = str(take_base_backup(stack.ports()).facts["backup_id"])
    ports = stack.ports()
    (manifest,) = ports.wal.bases()
    assert {check.verdict for check in verify_base(manifest, ports).checks} == {Verdict.PROVEN}
    tar = ports.wal.base_path(base_id) / "base.tar.zst"
    content = bytearray(tar.read_bytes())
    content[len(content) // 2] ^= 1
    tar.write_bytes(content)

    proof = verify_base(manifest, ports)

    assert (proof.verdict, "base.tar.zst has changed" in proof.checks[0].reason) == (Verdict.FAILED, True)
    listing = ports.wal.base_path(base_id) / "backup_manifest"
    listing.unlink()
    assert "backup_manifest is missing" in verify_base(manifest, ports).checks[0].reason


def test_a_tar_that_does_not_hold_what_the_servers_own_manifest_lists_is_no_pass(stack: StackUnderTest) -> None:
    base_id = str(take_base_backup(stack.ports()).facts["backup_id"])
    ports = stack.ports()
    path = ports.wal.base_path(base_id)
    listing = json.loads((path / "backup_manifest").read_text())
    listing["Files"][0]["Checksum"] = "0" * 64
    (path / "backup_manifest").write_text(json.dumps(listing))
    (manifest,) = ports.wal.bases()
    measured = ports.archive.measure(path)
    files = tuple(file for file in measured if file.path in {"backup_manifest", "base.tar.zst"})

    members = ports.wal.check_base(dataclasses.replace(manifest, files=files))[-1]

    assert (members.name, members.verdict) == ("tar-members", Verdict.FAILED)
    assert listing["Files"][0]["Path"] in members.reason


def test_a_server_that_lets_nobody_replicate_is_told_what_to_add(stack: StackUnderTest) -> None:
    hba = stack.data / "pg_hba.conf"
    hba.write_text("".join(line for line in hba.read_text().splitlines(keepends=True) if "replication" not in line))
    stack.execute("SELECT pg_reload_conf()")

    with pytest.raises(StratumError) as refused:
        take_base_backup(stack.ports())

    assert refused.value.code == "replication-not-permitted"
    assert "pg_hba.conf" in refused.value.next
    assert stack.ports().wal.bases() == ()
    assert not list(stack.archive.glob("base/*"))


def test_a_server_without_wal_for_others_is_told_which_setting_needs_a_restart(stack: StackUnderTest) -> None:
    stack.execute("ALTER SYSTEM SET wal_level = minimal", "ALTER SYSTEM SET max_wal_senders = 0")
    stack.stop()
    stack.up()

    with pytest.raises(StratumError) as refused:
        take_base_backup(stack.ports())

    assert refused.value.code == "replication-needs-restart"
    assert stack.scalar("SHOW wal_level") == "minimal", "nothing is restarted or set by itself"


def test_base_backups_are_listed_shown_verified_kept_and_taken_away_like_dumps(stack: StackUnderTest) -> None:
    taken = stack.cli("backup", "--kind", "base", "--json")
    (base,) = stack.ports().wal.bases()
    short = base.id.rsplit("-", 1)[-1]
    assert (taken.returncode, base.id in taken.stdout, base.cluster.major) == (0, True, 17), taken.stderr
    assert {file.path for file in base.files} == {"backup_manifest", "base.tar.zst"}

    assert f"{base.id}  " in stack.cli("backups", "list").stdout
    assert "no other moment: no WAL follows it" in stack.cli("backups", "show", short).stdout
    assert json.loads(stack.cli("backups", "show", short, "--json").stdout)["manifest"]["kind"] == "base"
    assert stack.cli("backups", "pin", short).returncode == 0
    assert stack.ports().archive.pinned() == {base.id}

    verified = stack.cli("verify", "--all", "--json")
    assert verified.returncode == 0, verified.stderr
    assert base.id in {proof["backup_id"] for proof in json.loads(verified.stdout)["proofs"]}

    away = stack.directory / "away"
    assert stack.cli("backups", "export", short, str(away)).returncode == 0
    assert {path.name for path in away.iterdir()} >= {"RESTORE.md", "base.tar.zst", "backup_manifest", "SHA256SUMS"}


def test_a_base_backup_whose_process_is_killed_leaves_nothing_and_the_next_one_succeeds(stack: StackUnderTest) -> None:
    set_protection(stack.directory, "dumps", rate_limit_mb=1)
    argv = (str(Path(sys.executable).with_name("stratum")), "backup", "--kind", "base")
    with subprocess.Popen(argv, cwd=stack.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        wait_until(lambda: bool(list(stack.archive.glob("base/*.partial/base.tar*"))))
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert stack.ports().wal.bases() == ()
    wait_until(lambda: not strangers(stack))

    set_protection(stack.directory, "dumps", rate_limit_mb=0)
    again = stack.cli("backup", "--kind", "base")

    assert again.returncode == 0, again.stderr
    assert {path.name for path in stack.archive.glob("base/*")} == {stack.ports().wal.bases()[0].id, "RESTORE.md"}
    assert stack.ports().wal.broken_bases() == ()


def test_a_full_archive_ends_a_base_backup_by_name_and_leaves_nothing(
    stack: StackUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: PostgresqlReplication, order: CopyOrder) -> CopiedRange:
        (order.into / "base.tar.zst").write_bytes(b"half")
        monkeypatch.setattr(DirectoryArchive, "free_bytes", lambda _: 0)
        raise StratumError("tool-failed", tool="pg_basebackup", exit_code=1, stderr="No space left on device")

    monkeypatch.setattr(PostgresqlReplication, "copy", full)

    with pytest.raises(StratumError) as refused:
        take_base_backup(stack.ports())

    assert refused.value.code == "archive-full"
    assert not [path for path in stack.archive.glob("base/*") if path.is_dir()]


def test_a_drill_proves_the_cluster_where_base_backups_are_all_there_is(stack: StackUnderTest) -> None:
    archive = stack.ports().archive
    for manifest in archive.manifests():
        archive.remove_backup(manifest.id)
    nothing = stack.cli("drill", "--json")
    assert json.loads(nothing.stdout)["error"]["code"] == "no-backup-yet"

    base_id = str(take_base_backup(stack.ports()).facts["backup_id"])
    done = stack.cli("drill", "--json")

    proof = json.loads(done.stdout)
    assert (done.returncode, proof["verdict"], proof["backup_id"]) == (0, "proven", base_id), proof
