"""A machine with Docker and Stratum, a sealed archive and its key: the whole stack comes back, console included."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx

from stratum.adapters.wal_store import DirectoryWalStore
from tests.fixtures.compose_stacks import ROWS, ComposeStack, ComposeStacks
from tests.fixtures.consoles import PASSWORD
from tests.fixtures.sealed_stacks import Keys, seal_for
from tests.fixtures.stacks import wait_until


def _wait_until_received(stack: ComposeStack) -> None:
    flushed = int(stack.sql("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint"))

    def is_safe() -> bool:
        state = DirectoryWalStore(stack.archive, stack=stack.name).receiver()
        return state is not None and state.unprotected_since is None and (state.received_lsn or 0) >= flushed

    wait_until(is_safe)


def _lose_the_machine(stack: ComposeStack, far: Path) -> None:
    """All that is left is a copy of the archive, and the images, which `stratum build` would make anew."""
    shutil.copytree(stack.archive, far)
    volume = stack.volume
    stack.by_hand("down")
    stack.docker.ask("rm", "--force", f"{volume}-holder")
    stack.docker.ask("volume", "rm", volume)
    shutil.rmtree(stack.directory)
    shutil.rmtree(stack.archive)


def _console(stack: ComposeStack, route: str, **more: str) -> dict[str, str]:
    """Sign in as the administrator; the first time with the token that makes one."""
    address = f"http://127.0.0.1:{stack.variable('BACKEND_PORT')}/api/v1/auth/{route}"
    order = {"name": "ada", "password": PASSWORD, **more}
    found: dict[str, str] = httpx.post(address, json=order, timeout=60, trust_env=False).raise_for_status().json()
    return found


def _init_from(stack: ComposeStack, far: Path, keys: Keys) -> subprocess.CompletedProcess[str]:
    argv = (Path(sys.executable).with_name("stratum"), "init", "--from", str(far), "--identity", str(keys.file),
            str(stack.directory))  # fmt: skip
    env = {**stack.docker.environment, "LC_ALL": "C.UTF-8"}
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_a_sealed_archive_and_its_key_bring_a_stack_on_docker_back(
    compose_stacks: ComposeStacks, keys: Keys, tmp_path: Path
) -> None:
    far = tmp_path / "far"
    with compose_stacks.made(what="again", protect="streaming") as stack:
        seal_for(stack.directory, keys.recipient)
        stack.stratum("up")
        stack.fill()
        token = re.findall(r"one-time token: (\S+)", stack.stratum("logs", "backend", "--lines", "500"))[-1]
        _console(stack, "first-run", token=token)
        _wait_until_received(stack)
        _lose_the_machine(stack, far)

        begun = _init_from(stack, far, keys)
        assert begun.returncode == 0, begun.stderr
        assert "AGE-SECRET-KEY-" not in begun.stdout + begun.stderr
        stack.stratum("restore", "--cluster", "--confirm", stack.name)

        assert stack.rows() == ROWS
        assert "access_token" in _console(stack, "login")
