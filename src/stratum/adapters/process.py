"""Runs other programs; the only module that may.

argv tuples, never a shell; each program gets its own session, is ended with its children when we stop early,
and on Linux is ended by the kernel when we are killed outright.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn, TypeAlias

from stratum.core.errors import StratumError

Child: TypeAlias = subprocess.Popen[bytes]
"""A program that was started here."""

STDERR_LINES_KEPT = 25
_TICK_SECONDS = 0.2
_ENDING_SECONDS = 10.0
_PARTING_SECONDS = 60.0
"""For a plan to be taken back where it is run."""
_CHUNK = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAs:
    """The unprivileged account a server runs as when Stratum itself is root."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """A program that ended; bytes that are not UTF-8, as names in a database may be, are written in hexadecimal."""

    exit_code: int
    stdout: str
    stderr: str


def run_tool(  # noqa: PLR0913 - a program is started with this much, and each caller names what it needs
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    env: Mapping[str, str] | None = None,
    run_as: RunAs | None = None,
    cwd: Path | None = None,
    accept: Sequence[int] = (0,),
    on_tick: Callable[[], None] | None = None,
    detached: bool = False,
    told: str | None = None,
    part: Callable[[], None] | None = None,
) -> Completed:
    """Run a program to its end; with `detached`, what it leaves running (a server) may outlive us.

    `told` is what it reads from its standard input: the way for what may stand neither in argv nor in a file.
    `accept` lists the exit codes that are answers and not failures. Raises `tool-missing`, `tool-timeout`
    and `tool-failed`; the last carries the last lines of stderr. Whatever ends us early (Ctrl-C, SIGTERM,
    a bug) ends the program and its children first; where `part` tells what it stands for to end, it is waited for.
    """
    name = Path(argv[0]).name
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, _input(told) as stdin:
        child = start(argv, env=env, run_as=run_as, cwd=cwd, stdout=out, stderr=err, stdin=stdin, detached=detached)
        try:
            _wait(child, timeout_seconds, on_tick)
        except subprocess.TimeoutExpired:
            raise StratumError("tool-timeout", tool=name, seconds=f"{timeout_seconds:.0f}") from None
        except KeyboardInterrupt:
            if part is not None:
                part()
                _wait_at_most(child, _PARTING_SECONDS)
            raise
        finally:
            end_group(child)
        completed = Completed(exit_code=child.returncode, stdout=_text(out), stderr=_tail(_text(err)))
    if completed.exit_code not in accept:
        raise StratumError("tool-failed", tool=name, exit_code=completed.exit_code, stderr=completed.stderr)
    return completed


def stream_tool(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    env: Mapping[str, str],
    take: Callable[[bytes], None],
    accept: Sequence[int] = (0,),
) -> int:
    """Run a program and hand on what it writes as it comes, whatever its size; its exit code.

    Raises as `run_tool` does.
    """
    name, deadline = Path(argv[0]).name, time.monotonic() + timeout_seconds
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb", buffering=0) as out,
        os.fdopen(writing, "wb") as into,
        tempfile.TemporaryFile() as err,
    ):
        child = start(argv, env=env, run_as=None, cwd=None, stdout=into, stderr=err)
        into.close()
        try:
            while select.select([out], [], [], max(0.0, deadline - time.monotonic()))[0] and (
                chunk := out.read(_CHUNK)
            ):
                take(chunk)
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise StratumError("tool-timeout", tool=name, seconds=f"{timeout_seconds:.0f}") from None
        finally:
            end_group(child)
        stderr = _tail(_text(err))
    if child.returncode not in accept:
        raise StratumError("tool-failed", tool=name, exit_code=child.returncode, stderr=stderr)
    return child.returncode


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    run_as: RunAs | None,
    cwd: Path | None,
    stdout: IO[bytes],
    stderr: IO[bytes],
    stdin: IO[bytes] | None = None,
    detached: bool = False,
) -> Child:
    """Start a program in a session of its own, tied to our life unless `detached`. Raises `tool-missing`."""
    if shutil.which(argv[0]) is None:
        raise StratumError("tool-missing", tool=argv[0])
    return subprocess.Popen(
        (*(() if detached else _tied_to_our_life()), *argv),
        stdin=stdin or subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=None if env is None else dict(env),
        cwd=cwd or "/",
        start_new_session=True,
        user=run_as.uid if run_as else None,
        group=run_as.gid if run_as else None,
        extra_groups=[] if run_as else None,
    )


def end_group(child: Child, *, first: signal.Signals = signal.SIGTERM) -> None:
    """End a program and all it started, by the `first` signal and then by force; waits until it is gone."""
    for number in (first, signal.SIGKILL):
        if child.poll() is not None:
            return
        _signal_group(child.pid, number)
        try:
            child.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def run_attached(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, terminal: bool, part: Callable[[], None]
) -> int:
    """Run a program with our own standard streams, and return its exit code. Raises `tool-missing`.

    What ends us early calls `part`, which tells what the program stands for to end; the program is waited for, so that
    its last words and its exit code are ours. It gets our signals only where it has the terminal.
    """
    if shutil.which(argv[0]) is None:
        raise StratumError("tool-missing", tool=argv[0])
    child = subprocess.Popen((*_tied_to_our_life(), *argv), env=dict(env), cwd=cwd, start_new_session=not terminal)
    try:
        child.wait()
    except KeyboardInterrupt:
        part()
        _wait_at_most(child, _PARTING_SECONDS)
    finally:
        child.terminate()
        child.wait()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def become(argv: Sequence[str], *, env: Mapping[str, str]) -> NoReturn:
    """Go on as another program: same process, same terminal. Raises `tool-missing`."""
    if shutil.which(argv[0]) is None:
        raise StratumError("tool-missing", tool=argv[0])
    os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 - argv is a tuple, and no shell is asked


def detach() -> Callable[[], None]:
    """Go on in a process of its own; who started us waits until the returned function is called, or we end.

    Returns in the new process only. It has to be called while there is no thread but the first.
    """
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        os._exit(0 if os.read(reading, 1) else 1)
    os.close(reading)

    def tell_ready() -> None:
        os.write(writing, b"\n")
        os.close(writing)

    return tell_ready


def is_alive(pid: int) -> bool:
    """Whether a process of this number exists, whoever it belongs to and whatever it is by now."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def tool_environment(**ours: str) -> dict[str, str]:
    """Our environment without the PG* variables that would divert a PostgreSQL tool, plus `ours`."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return theirs | {"LC_ALL": "C.UTF-8", **ours}


@contextmanager
def _input(told: str | None) -> Iterator[IO[bytes] | None]:
    """What a program reads; in memory where the kernel can, and never under a name."""
    if told is None:
        yield None
        return
    in_memory = hasattr(os, "memfd_create")
    with os.fdopen(os.memfd_create("stratum-input"), "w+b") if in_memory else tempfile.TemporaryFile() as stream:
        stream.write(told.encode())
        stream.seek(0)
        yield stream


def _wait(child: Child, timeout_seconds: float, on_tick: Callable[[], None] | None) -> None:
    deadline = time.monotonic() + timeout_seconds
    while True:
        left = deadline - time.monotonic()
        try:
            child.wait(min(_TICK_SECONDS, max(left, 0.0)))
            return
        except subprocess.TimeoutExpired:
            if left <= 0:
                raise
            if on_tick is not None:
                on_tick()


def _wait_at_most(child: Child, seconds: float) -> None:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _tied_to_our_life() -> tuple[str, ...]:
    """Have the kernel end the child when we are killed with no chance to do it ourselves.

    setpriv is part of util-linux; where it is missing, leftovers are swept by the next command instead.
    (https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html)
    """
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "backslashreplace")


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-STDERR_LINES_KEPT:])
