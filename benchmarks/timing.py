"""Runs one command to its end and says how long it took and how much memory it held."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LOOK_EVERY_SECONDS = 0.02
_LOOKS_BEFORE_COUNTED = 3
"""Between fork and exec a tool still looks like its parent, and shares all its memory: it is not counted twice."""


class CommandFailed(RuntimeError):
    """A measured command ended with an error: its time means nothing and the run stops."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """What one command cost."""

    seconds: float
    cpu_seconds: float
    """User and system time of the command and of the children it waited for; the server's is not in it."""
    largest_process_bytes: int
    """Resident memory of the largest single process among them."""
    own_bytes: int
    """Peak resident memory of the command's own program: the process started and those below it that run the
    same executable, added up. The PostgreSQL tools it calls are other executables."""
    stdout: str


def run_timed(
    argv: Sequence[str], *, env: Mapping[str, str], stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
) -> Timing:
    """Run `argv` and measure it. Output not sent elsewhere is handed back. Raises CommandFailed unless it exits 0."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        began = time.perf_counter()
        child = subprocess.Popen(
            argv, env=dict(env), stdin=stdin or subprocess.DEVNULL, stdout=stdout or said, stderr=complained
        )
        watch = _MemoryWatch(child.pid)
        watch.start()
        try:
            # wait4 and not wait(): only it hands back what this very child used.
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.terminate()
            child.wait()
            raise
        seconds = time.perf_counter() - began
        watch.end()
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise CommandFailed(f"{Path(argv[0]).name} exited {child.returncode}: {_text(complained)[-2000:]}")
        return Timing(
            seconds=seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            largest_process_bytes=usage.ru_maxrss * 1024,
            own_bytes=watch.peak_bytes,
            stdout=_text(said),
        )


def clean_up_on_termination() -> None:
    """Make SIGTERM end this program as Ctrl-C does: servers are stopped and directories removed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a directory."""
    if path.is_file():
        return path.stat().st_size
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


class _MemoryWatch(threading.Thread):
    """Reads the kernel's own high-water marks until told to end."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self._peaks: dict[int, int] = {}
        self._looks: dict[int, int] = {}

    @property
    def peak_bytes(self) -> int:
        lasting = (pid for pid, looks in self._looks.items() if pid == self._pid or looks >= _LOOKS_BEFORE_COUNTED)
        return sum(self._peaks[pid] for pid in lasting)

    def end(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        executable = _executable(self._pid)
        while not self._ended.wait(_LOOK_EVERY_SECONDS):
            executable = executable or _executable(self._pid)
            for pid in (self._pid, *_descendants(self._pid)):
                if pid == self._pid or _executable(pid) == executable:
                    self._looks[pid] = self._looks.get(pid, 0) + 1
                    self._peaks[pid] = max(self._peaks.get(pid, 0), _high_water_mark(pid))


def _executable(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return None


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [below for child in children for below in _descendants(child)]


def _high_water_mark(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(marks[0]) * 1024 if marks else 0
