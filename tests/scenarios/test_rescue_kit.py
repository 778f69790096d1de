"""What the rescue kit says, typed into a shell by somebody who has a copy, the page, stock tools and no Stratum."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from stratum.adapters.embedded_postgresql import EmbeddedPostgresql
from stratum.adapters.postgresql_installation import observe_run_as
from tests.fixtures.agents import end_agent, make_agent
from tests.fixtures.protection import set_protection
from tests.fixtures.receiving_stacks import ReceivingStack
from tests.fixtures.sealed_stacks import Keys, seal_for
from tests.fixtures.stacks import StackUnderTest


@pytest.fixture
def far() -> Iterator[Path]:
    """Where the copy is; pytest's own directories let nobody but their owner pass."""
    with tempfile.TemporaryDirectory(prefix="far-", dir="/tmp") as folder:
        yield Path(folder)


def _blocks(kit: str) -> list[str]:
    return [part.split("```")[0] for part in kit.split("```sh\n")[1:]]


def _write_and_copy(stack: StackUnderTest, keys: Keys, far: Path) -> None:
    """A sealed stack with a directory elsewhere as its copy, and writes of which the last is in no closed segment."""
    set_protection(stack.directory, "streaming")
    seal_for(stack.directory, keys.recipient)
    with (stack.directory / "stratum.toml").open("a") as settings:
        settings.write(f'\n[[archive.copies]]\nname = "far"\nurl = "{far.as_uri()}"\n')
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


@pytest.mark.skipif(shutil.which("age") is None, reason="a person without Stratum opens sealed files with age")
def test_the_kit_and_the_distant_copy_bring_everything_back_without_stratum(
    stack: StackUnderTest, keys: Keys, far: Path, tmp_path: Path
) -> None:
    _write_and_copy(stack, keys, far)
    page = tmp_path / "kit.txt"
    words = ("kit", "--out", str(page), "--with-key", "--identity", str(keys.file), "--json")
    refused = stack.cli(*words, "--confirm", "wrong")
    assert (refused.returncode, page.exists()) == (10, False), refused.stderr
    made = stack.cli(*words, "--confirm", "led")
    assert made.returncode == 0, made.stderr
    assert [Path(name).stat().st_mode & 0o777 for name in json.loads(made.stdout)["written"]] == [0o600, 0o600]
    plain = stack.cli("kit")
    assert "AGE-SECRET-KEY-" not in plain.stdout
    programs = Path(cast("EmbeddedPostgresql", stack.ports().runtime).installation().program("postgres")).parent
    passwords = (stack.directory / ".env").read_text()
    stack.kill()
    shutil.rmtree(stack.directory)

    kit = page.read_text()
    with tempfile.TemporaryDirectory(prefix="kit-", dir="/tmp") as folder:
        home, account = Path(folder), observe_run_as()
        key = next(line for line in kit.splitlines() if line.startswith("AGE-SECRET-KEY-"))
        (home / "key").write_text(key + "\n")
        for path in (home, *home.rglob("*"), far, *far.rglob("*")):
            path.chmod(path.stat().st_mode | 0o055)
        if account is not None:
            os.chown(home, account.uid, account.gid)
        env = {"PATH": f"{programs}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HERE": folder, "KEY": f"{folder}/key",
               "TO": f"{folder}/to", "TIME": ""}  # fmt: skip
        fetch, _, files, base, *_ = _blocks(kit)
        try:
            for script, place in ((fetch, home), (files, home), (base, home / "archive" / "base")):
                done = subprocess.run(("sh", "-c", script), cwd=place, env=env, capture_output=True, text=True,
                                      check=False, user=account.uid if account else None,
                                      group=account.gid if account else None)  # fmt: skip
                assert done.returncode == 0, f"{script}\n{done.stderr}{done.stdout}"
            asked = ("psql", "-XAt", f"--host={folder}/to", "--username=postgres", "--dbname=stratum_db", "-c",
                     "SELECT string_agg(what, ' ' ORDER BY what) FROM marks")  # fmt: skip
            assert subprocess.run(asked, env=env, capture_output=True, text=True, check=True).stdout == "filed last\n"
            assert (home / "stack" / ".env").read_text() == passwords
        finally:
            stop = (f"{programs}/pg_ctl", "--mode=immediate", f"--pgdata={folder}/to/data", "stop")
            subprocess.run(stop, capture_output=True, check=False, user=account.uid if account else None)
