"""The holder and the volume are removed on purpose: what was in them comes back out of the archive."""

from __future__ import annotations

import math
import os
import subprocess
from pathlib import Path

from tests.fixtures.compose_stacks import ROWS, ComposeStack, ComposeStacks

_CONSOLE = "stratum_console"


def test_a_volume_removed_with_its_holder_comes_back_from_the_archive(
    compose_stacks: ComposeStacks, tmp_path: Path
) -> None:
    """Every database of it, though the newest backup is a file that was taken in and holds one."""
    with compose_stacks.started(what="lost") as stack:
        events = stack.sql("SELECT count(*) FROM alembic_version", database=_CONSOLE)
        stack.stratum("backup")
        stack.stratum("restore", "--file", str(_dumped(stack, tmp_path / "plain.dump")), "--confirm", stack.name)
        _lose(stack)
        assert stack.refusal("up") == "cluster-absent"

        stack.stratum("restore", "--confirm", stack.name)

        assert stack.rows() == ROWS
        assert stack.sql("SELECT count(*) FROM alembic_version", database=_CONSOLE) == events
        assert stack.holder.is_running()
        stack.stratum("up")
        assert set(stack.states()) == {"postgres", "guard", "backup", "backend", "frontend"}
        assert stack.rows() == ROWS
        journal = "".join(file.read_text("utf-8") for file in sorted((stack.archive / "journal").iterdir()))
        assert f"{_CONSOLE} is not in that backup, and comes from" in journal


def _lose(stack: ComposeStack) -> None:
    stack.by_hand("down", "--volumes")
    stack.docker.ask("rm", "--force", stack.holder.name)
    stack.docker.ask("volume", "rm", stack.volume)


def _dumped(stack: ComposeStack, file: Path) -> Path:
    """A plain dump, as the seed's own script makes it."""
    argv = ("docker", "compose", "exec", "-T", "postgres", "pg_dump", "-U", "postgres", "-d", "stratum_db", "-Fc")
    with file.open("wb") as out:
        subprocess.run(argv, stdout=out, env=stack.docker.environment, cwd=stack.directory, check=True, timeout=120)
    # `docker cp` keeps whole seconds of a file's time: of two that were made within one, either may be the newer.
    written = math.ceil(file.stat().st_mtime)
    os.utime(file, (written, written))
    return file
