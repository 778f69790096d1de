"""An archive sealed for a key that the machine does not have: it goes on, and comes back with the key."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from stratum.core.proof import Verdict
from tests.fixtures.agents import end_agent, make_agent
from tests.fixtures.protection import set_protection
from tests.fixtures.receiving_stacks import ReceivingStack
from tests.fixtures.sealed_stacks import Keys, make_keys, seal_for, set_variable
from tests.fixtures.stacks import StackUnderTest, wait_until


def _plain_files(archive: Path) -> list[str]:
    """What could be read without the key, beside records and what is being received right now."""
    found = [str(path.relative_to(archive)) for top in ("dumps", "base") for path in (archive / top).rglob("*")
             if path.is_file() and path.suffix != ".age"]  # fmt: skip
    return [name for name in found if Path(name).name not in {"manifest.json", "SHA256SUMS", "RESTORE.md"}]


def test_a_sealed_dump_is_counted_but_not_proven_without_the_key_and_restored_with_it(
    stack: StackUnderTest, keys: Keys, tmp_path: Path
) -> None:
    rows = stack.scalar("SELECT count(*) FROM orders")
    seal_for(stack.directory, keys.recipient)
    backup_id = stack.backup()

    (manifest,) = [m for m in stack.ports().archive.manifests() if m.id == backup_id]
    assert manifest.recipients == (keys.recipient,)
    assert _plain_files(stack.archive / "dumps" / backup_id) == []
    assert {Path(file.path).suffix for file in manifest.files} == {".age"}
    proof = stack.drill(backup_id)
    assert (proof.verdict, proof.checks[0].verdict) == (Verdict.COULD_NOT_VERIFY, Verdict.PROVEN)
    verified = stack.cli("verify", backup_id)
    assert (verified.returncode, "no key to open it is here" in verified.stdout) == (12, True)
    refused = stack.cli("restore", "--identity", str(make_keys(tmp_path, "other").file), "--confirm", "led")
    assert (refused.returncode, "sealed-wrong-key" in refused.stderr) == (12, True)
    assert stack.scalar("SELECT count(*) FROM orders") == rows

    set_variable(stack.directory, "AGE_IDENTITY_FILE", str(keys.file))
    assert stack.drill(backup_id).verdict is Verdict.PROVEN
    stack.execute("DELETE FROM orders")
    stack.restore(backup_id)
    assert stack.scalar("SELECT count(*) FROM orders") == rows
    assert stack.scalar(f"SELECT count(*) FROM {stack.restore_table('public.orders')}.orders") == rows
    assert list((stack.directory / ".stratum" / "scratch").glob("opened-*")) == []


def test_every_second_of_a_sealed_archive_comes_back_with_the_key(stack: StackUnderTest, keys: Keys) -> None:
    set_protection(stack.directory, "streaming")
    seal_for(stack.directory, keys.recipient)
    receiving = ReceivingStack(stack=stack, agent=make_agent(stack))
    try:
        receiving.agent.start()
        receiving.wait_until_protected()
        stack.execute("CREATE TABLE marks (what text)", "INSERT INTO marks VALUES ('before')", "SELECT pg_switch_wal()")
        at = stack.scalar("SELECT clock_timestamp()")
        assert isinstance(at, datetime)
        stack.execute("INSERT INTO marks VALUES ('after')")
        receiving.wait_until_received()
        (identifier,) = stack.ports().wal.clusters()
        filed = stack.archive / "wal" / identifier / "00000001"
        wait_until(lambda: any(filed.glob("*.zst.age")))
        # What is being written at this moment has another name until it is whole.
        assert {path.suffix for path in filed.iterdir()} <= {".age", "", ".new"}
        assert _plain_files(stack.archive / "base") == []
        (base,) = stack.ports().wal.bases()
        assert [file.path for file in base.files] == ["backup_manifest.age", "base.tar.zst.age"]
        assert [check.verdict for check in stack.ports().wal.check_base(base)] == [
            Verdict.PROVEN, Verdict.COULD_NOT_VERIFY]  # fmt: skip
        refused = stack.cli("drill", "--at", at.isoformat())
        assert (refused.returncode, "sealed-no-key" in refused.stderr) == (12, True)

        drilled = stack.cli("drill", "--at", at.isoformat(), "--identity", str(keys.file), "--json")
        assert drilled.returncode == 0, drilled.stderr
        assert json.loads(drilled.stdout)["verdict"] == "proven"
        restored = stack.cli("restore", "--at", at.isoformat(), "--identity", str(keys.file), "--confirm", "led")
        assert restored.returncode == 0, restored.stderr
        assert stack.scalar("SELECT string_agg(what, ' ') FROM marks") == "before"
    finally:
        end_agent(receiving.agent)
