"""What a signal to a process that runs a plan means: it ends the way Ctrl-C ends it."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn


def install_signal_handlers() -> None:
    """SIGTERM and SIGHUP end a plan the way Ctrl-C does: taken back, with the lock let go."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup asked that a closed terminal end nothing
            signal.signal(number, _interrupt)


def interrupt_once() -> None:
    """SIGTERM ends the plan the same way; a second one does not cut the way back short."""
    signal.signal(signal.SIGTERM, _interrupt_once)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    raise KeyboardInterrupt(signal.Signals(number).name)


def _interrupt_once(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)
    _interrupt(number, frame)
