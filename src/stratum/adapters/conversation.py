"""A program that is spoken to by lines while it runs: one of ours, in a process of its own."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from stratum.adapters.process import end_group, start

_CHUNK = 1 << 16


class Conversation:
    """Starts the program; what it prints as errors goes to our own. Left, it is ended if it still runs.

    The kernel ends it when the *thread* that started it ends: that has to live as long as the conversation.
    (https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html)
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        their_input, into = os.pipe()
        reading, their_output = os.pipe()
        self._into, self._reading, self._rest = into, reading, b""
        try:
            with (
                os.fdopen(their_input, "rb") as stdin,
                os.fdopen(their_output, "wb") as stdout,
                os.fdopen(os.dup(2), "wb") as stderr,
            ):
                self._child = start(argv, env=env, run_as=None, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        end_group(self._child)

    @property
    def pid(self) -> int:
        return self._child.pid

    def say(self, line: str) -> None:
        """Write one line. A program that has gone hears nothing, and its end is read soon."""
        with suppress(BrokenPipeError):
            os.write(self._into, line.encode() + b"\n")

    def read(self, *, wait_seconds: float) -> tuple[bytes, ...] | None:
        """The lines that came within the time; None once the program has closed its output and all is read."""
        if not select.select([self._reading], [], [], wait_seconds)[0]:
            return ()
        chunk = os.read(self._reading, _CHUNK)
        if not chunk:
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return tuple(lines)

    def interrupt(self) -> None:
        """Ask the program, and not what it started, to take back what it is about."""
        self._child.send_signal(signal.SIGTERM)

    def _close(self) -> None:
        for handle in (self._into, self._reading):
            os.close(handle)
