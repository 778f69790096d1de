"""The machine is gone: what is left is a copy elsewhere and the key."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from tests.fixtures.agents import end_agent, make_agent
from tests.fixtures.protection import set_protection
from tests.fixtures.receiving_stacks import ReceivingStack
from tests.fixtures.s3_stores import KEY, SECRET, S3Store
from tests.fixtures.sealed_stacks import Keys, seal_for, set_variable
from tests.fixtures.stacks import StackUnderTest


def test_a_sealed_copy_and_its_key_bring_a_stack_back_to_its_last_received_write(
    stack: StackUnderTest, keys: Keys, s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_protection(stack.directory, "streaming")
    seal_for(stack.directory, keys.recipient)
    with (stack.directory / "stratum.toml").open("a") as settings:
        settings.write("\n" + s3.settings("far"))
    set_variable(stack.directory, "COPY_SECRET", SECRET)
    receiving = ReceivingStack(stack=stack, agent=make_agent(stack))
    try:
        receiving.agent.start()
        receiving.wait_until_protected()
        stack.execute("CREATE TABLE marks (what text)", "INSERT INTO marks VALUES ('filed')", "SELECT pg_switch_wal()")
        stack.execute("INSERT INTO marks VALUES ('last')")
        receiving.wait_until_received()
        copied = stack.cli("copies", "--now", "--json")
        assert copied.returncode == 0, copied.stderr + copied.stdout
    finally:
        end_agent(receiving.agent)
    (state,) = json.loads(copied.stdout)["copies"]
    assert (state["missing"], state["problem"], len(state["held"])) == (0, "", 1)
    assert datetime.fromisoformat(state["safe_at"]) <= datetime.fromisoformat(state["verified_at"])
    names = {Path(key).name for key in s3.keys("far")}
    assert {name for name in names if name.endswith((".partial.zst.age", ".tar.age"))}
    stack.kill()
    shutil.rmtree(stack.directory)

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    stack.directory.mkdir()
    stack.directory.chmod(0o755)
    begun = stack.cli("init", "--from", "s3://copies/far", "--identity", str(keys.file), ".")
    assert begun.returncode == 0, begun.stderr
    assert (stack.directory / ".env").stat().st_mode & 0o777 == 0o600
    restored = stack.cli("restore", "--cluster", "--identity", str(keys.file), "--confirm", "led")
    assert restored.returncode == 0, restored.stderr
    assert stack.scalar("SELECT string_agg(what, ' ' ORDER BY what) FROM marks") == "filed last"
