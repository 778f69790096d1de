"""The agent copies by itself what it takes and receives, says so, and goes on where a copy was away."""

from __future__ import annotations

import json
from pathlib import Path

from stratum.core.copies import CopyState
from tests.fixtures.agents import end_agent, make_agent
from tests.fixtures.protection import set_protection
from tests.fixtures.receiving_stacks import ReceivingStack
from tests.fixtures.sealed_stacks import Keys, seal_for
from tests.fixtures.stacks import StackUnderTest, wait_until


def test_what_the_agent_takes_and_receives_is_in_the_copy_and_the_sentence_counts_it(
    stack: StackUnderTest, keys: Keys, tmp_path: Path
) -> None:
    far = tmp_path / "far"
    set_protection(stack.directory, "streaming")
    seal_for(stack.directory, keys.recipient)
    with (stack.directory / "stratum.toml").open("a") as settings:
        settings.write(f'\n[[archive.copies]]\nname = "far"\nurl = "{far.as_uri()}"\n')
    away = stack.cli("copies", "--now")
    assert (away.returncode, "there is no directory" in away.stdout) == (13, True)
    far.mkdir()
    receiving = ReceivingStack(stack=stack, agent=make_agent(stack))

    def state() -> CopyState | None:
        return next(iter(stack.ports().archive.copies()), None)

    try:
        receiving.agent.start()
        receiving.wait_until_protected()
        (base,) = stack.ports().wal.bases()
        wait_until(lambda: (found := state()) is not None and base.id in found.held and not found.problem)
        found = state()
        assert found is not None
        assert len(found.left_out) == 1  # the dump from before the archive was sealed
        assert not list((far / "dumps").glob("*/*.sql"))
        assert (far / "base" / base.id / "base.tar.zst.age").is_file()
        assert list((far / "stack").glob("*.tar.age"))
        status = json.loads(stack.cli("status", "--json").stdout)
        assert "by the copy far" in status["protection"]["sentence"]
        assert status["protection"]["failure_domain"] == "other-host"
    finally:
        end_agent(receiving.agent)
    kept = list((stack.archive / "stack").iterdir())
    assert stack.cli("copies", "--now").returncode == 0
    assert list((stack.archive / "stack").iterdir()) == kept
    assert [path.name for path in (far / "journal").iterdir()]
