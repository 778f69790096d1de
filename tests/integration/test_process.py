"""Programs are run to their end or ended with all they started, and their last words are kept."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stratum.adapters.process import STDERR_LINES_KEPT, is_alive, run_tool, stream_tool, tool_environment
from stratum.core.errors import StratumError
from tests.fixtures.stacks import wait_until

_PYTHON = sys.executable


def _run(script: str, *, timeout_seconds: float = 30.0) -> None:
    run_tool((_PYTHON, "-c", script), timeout_seconds=timeout_seconds)


def test_a_tool_that_is_not_there_is_named() -> None:
    with pytest.raises(StratumError) as refused:
        run_tool(("no-such-tool", "--version"), timeout_seconds=5)

    assert (refused.value.code, refused.value.details["tool"]) == ("tool-missing", "no-such-tool")


def test_what_a_tool_says_comes_back_even_when_it_is_no_text() -> None:
    done = run_tool((_PYTHON, "-c", r"import os; os.write(1, b'caf\xe9\n')"), timeout_seconds=30)

    assert done.stdout == "caf\\xe9\n"


def test_a_failing_tool_is_quoted_with_the_last_25_lines_of_what_it_said() -> None:
    with pytest.raises(StratumError) as refused:
        _run("import sys; [print(n, file=sys.stderr) for n in range(100)]; sys.exit(3)")

    error = refused.value
    assert (error.code, error.details["exit_code"]) == ("tool-failed", "3")
    assert error.details["stderr"].splitlines() == [str(n) for n in range(100 - STDERR_LINES_KEPT, 100)]
    assert STDERR_LINES_KEPT == 25


def test_an_exit_code_that_is_an_answer_is_no_failure() -> None:
    argv = (_PYTHON, "-c", "raise SystemExit(2)")

    assert run_tool(argv, timeout_seconds=30, accept=(0, 2)).exit_code == 2


_WITH_A_CHILD = """
import pathlib, subprocess, sys, time
child = subprocess.Popen((sys.executable, "-c", "import time; time.sleep(600)"))
path = pathlib.Path({path!r})
path.with_suffix(".new").write_text(str(child.pid))
path.with_suffix(".new").rename(path)
time.sleep(600)
"""


def test_a_timeout_ends_the_tool_and_the_children_it_started(tmp_path: Path) -> None:
    path = tmp_path / "pid"

    with pytest.raises(StratumError) as refused:
        _run(_WITH_A_CHILD.format(path=str(path)), timeout_seconds=3.0)

    assert refused.value.code == "tool-timeout"
    wait_until(lambda: not _is_running(int(path.read_text())))


_RUNS_A_TOOL = """
import sys
from stratum.adapters.process import run_tool
run_tool((sys.executable, "-c", {script!r}), timeout_seconds=600)
"""
_SAYS_ITS_PID = """
import os, pathlib, time
path = pathlib.Path({path!r})
path.with_suffix(".new").write_text(str(os.getpid()))
path.with_suffix(".new").rename(path)
time.sleep(600)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="the kernel ties a child to its parent through setpriv")
def test_a_tool_dies_with_us_when_we_are_killed_outright(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    script = _RUNS_A_TOOL.format(script=_SAYS_ITS_PID.format(path=str(path)))
    with subprocess.Popen((_PYTHON, "-c", script)) as ours:
        wait_until(path.exists)
        tool = int(path.read_text())
        assert _is_running(tool)

        os.kill(ours.pid, signal.SIGKILL)
        ours.wait()

    wait_until(lambda: not _is_running(tool))


def test_a_stream_is_handed_on_whole_and_in_order() -> None:
    taken: list[bytes] = []
    argv = (_PYTHON, "-c", "import sys; [sys.stdout.write(f'{n}\\n') for n in range(100000)]")

    stream_tool(argv, timeout_seconds=60, env=tool_environment(), take=taken.append)

    assert b"".join(taken).split() == [str(n).encode() for n in range(100000)]


def test_a_stream_that_fails_at_its_end_is_a_failure() -> None:
    argv = (_PYTHON, "-c", "import sys; print(1); sys.exit('broken')")

    with pytest.raises(StratumError) as refused:
        stream_tool(argv, timeout_seconds=30, env=tool_environment(), take=lambda _: None)

    assert (refused.value.code, refused.value.details["stderr"]) == ("tool-failed", "broken")


def test_a_stream_that_stalls_is_ended_in_time() -> None:
    argv = (_PYTHON, "-c", "import time; print(1, flush=True); time.sleep(600)")

    with pytest.raises(StratumError) as refused:
        stream_tool(argv, timeout_seconds=1.0, env=tool_environment(), take=lambda _: None)

    assert refused.value.code == "tool-timeout"


def test_a_tool_never_sees_variables_that_would_divert_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGSERVICE", "elsewhere")

    environment = tool_environment(PGPASSFILE="ours")

    assert {name: value for name, value in environment.items() if name.startswith("PG")} == {"PGPASSFILE": "ours"}


def test_a_tick_comes_while_a_long_tool_runs() -> None:
    ticked = threading.Event()
    argv = (_PYTHON, "-c", "import sys, time; time.sleep(600)")

    with pytest.raises(StratumError):
        run_tool(argv, timeout_seconds=1.0, on_tick=ticked.set)

    assert ticked.is_set()


def _is_running(pid: int) -> bool:
    """A zombie has ended; whoever adopted it has only not looked yet."""
    if not is_alive(pid):
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
