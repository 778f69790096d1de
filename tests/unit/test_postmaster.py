"""What a killed server leaves behind keeps the next one from starting only for as long as it is there."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from stratum.adapters.postmaster import wait_until_reaped


def test_a_killed_server_that_its_parent_has_not_noted_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = subprocess.Popen(("sleep", "600"))
    killed.kill()
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # dead, and in the process table still
    (tmp_path / ".s.PGSQL.5432.lock").write_text(f"{killed.pid}\n{tmp_path}\n")
    monkeypatch.setattr(time, "sleep", lambda _: killed.wait())

    wait_until_reaped(tmp_path / "postmaster.pid", tmp_path / ".s.PGSQL.5432.lock")

    assert killed.returncode is not None


def test_nothing_is_waited_for_where_the_process_lives_or_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits"))

    wait_until_reaped(tmp_path / "postmaster.pid")
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n")
    wait_until_reaped(tmp_path / "postmaster.pid")
    (tmp_path / "postmaster.pid").write_text("-\n")
    wait_until_reaped(tmp_path / "postmaster.pid")
