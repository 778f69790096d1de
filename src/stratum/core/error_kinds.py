"""What an error is made of: a stable code, an exit code and three sentences."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The command line's exit codes. A refusal never exits 0."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 10
    LOCKED = 11
    COULD_NOT_VERIFY = 12
    AT_RISK = 13


EXIT_MEANING: dict[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "failed; the `data:` line says what that means for the data",
    ExitCode.USAGE: "the command, a setting or an argument is not understood; nothing was touched",
    ExitCode.REFUSED: "refused by a guard, or declined by the person asked; nothing was touched",
    ExitCode.LOCKED: "another plan holds the lock",
    ExitCode.COULD_NOT_VERIFY: "the work was done, but the proof could not be made",
    ExitCode.AT_RISK: "the data is at risk: a check is red, or a proof failed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorKind:
    """One error: its stable code, its exit code, and its three sentences as `str.format` templates."""

    code: str
    exit: ExitCode
    message: str
    data: str
    next: str


UNTOUCHED = "untouched; nothing was started, written or stopped"
RUNNING = "untouched; the running database was not stopped or changed"
