"""A thread that does the same small piece of work again and again, and that one bad round does not end."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from stratum.adapters.messages import speak_error
from stratum.core.errors import StratumError

_log = logging.getLogger("stratum.agent")
_JOIN_SECONDS = 10.0
_NICENESS = 10


class Rounds:
    """Calls `work` every `every_seconds`, at once after `hurry()`, until `stop()`.

    `yielding` work gets the processor after others where those want it too: the server beside it has people waiting.
    """

    def __init__(self, name: str, work: Callable[[], None], *, every_seconds: float, yielding: bool = False) -> None:
        self._name = name
        self._work = work
        self._every_seconds = every_seconds
        self._yielding = yielding
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"stratum-{name}", daemon=True)
        self._last_error: str | None = None

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """Begin the next round now."""
        self._wake.set()

    def stop(self) -> None:
        """End after the round on hand; waits for it, ten seconds at most."""
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        if self._yielding:
            # On Linux each thread has a niceness of its own. (https://man7.org/linux/man-pages/man2/setpriority.2.html)
            with suppress(OSError):
                thread = threading.get_native_id()
                os.setpriority(os.PRIO_PROCESS, thread, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
        while not self._ended.is_set():
            self._round()
            self._wake.wait(self._every_seconds)
            self._wake.clear()

    def _round(self) -> None:
        try:
            self._work()
        except StratumError as error:
            self._report(error)
        except Exception as fault:  # noqa: BLE001 - whatever it was, the next round must come
            self._report(StratumError("unexpected", problem=f"{type(fault).__name__}: {fault}"))
        else:
            self._last_error = None

    def _report(self, error: StratumError) -> None:
        """Once for each new problem: the same one every second would hide the others."""
        if error.message != self._last_error:
            self._last_error = error.message
            log_error(error, where=self._name)


def log_error(error: StratumError, *, where: str) -> None:
    """The three parts, in the agent's language, on three lines of its log."""
    spoken = speak_error(error)
    _log.error("%s: [%s] %s\n  data: %s\n  next: %s", where, spoken.code, spoken.message, spoken.data, spoken.next)
