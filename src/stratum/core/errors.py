"""Every refusal and failure, in three parts: what happened, what it means for the data, what to do next.

One table holds them all, so that the reference, the French catalogue and the tests read the same source.
"""

from __future__ import annotations

from stratum.core.agent_errors import AGENT
from stratum.core.console_errors import CONSOLE
from stratum.core.container_errors import CONTAINERS
from stratum.core.error_kinds import EXIT_MEANING, ErrorKind, ExitCode
from stratum.core.failures import FAILED
from stratum.core.file_errors import FILES
from stratum.core.page_refusals import PAGES
from stratum.core.recovery_errors import RECOVERY
from stratum.core.refusals import LOCKED, REFUSED, USAGE
from stratum.core.release_errors import RELEASES
from stratum.core.sealing_errors import SEALING

__all__ = ["EVERY_KIND", "EXIT_MEANING", "KINDS", "ErrorKind", "ExitCode", "StratumError"]

EVERY_KIND: tuple[ErrorKind, ...] = (
    *USAGE,
    *REFUSED,
    *LOCKED,
    *FAILED,
    *AGENT,
    *CONSOLE,
    *PAGES,
    *CONTAINERS,
    *RECOVERY,
    *SEALING,
    *RELEASES,
    *FILES,
)
KINDS: dict[str, ErrorKind] = {kind.code: kind for kind in EVERY_KIND}


class StratumError(Exception):
    """One kind of error with the values its sentences need.

    The text is English; `adapters.messages` renders the same error in the reader's language. Details never
    hold a secret.
    """

    def __init__(self, code: str, /, **details: object) -> None:
        self.kind = KINDS[code]
        self.details = {name: str(value) for name, value in details.items()}
        super().__init__(self.message)

    @property
    def code(self) -> str:
        return self.kind.code

    @property
    def exit(self) -> ExitCode:
        return self.kind.exit

    @property
    def message(self) -> str:
        return self.kind.message.format_map(self.details)

    @property
    def data(self) -> str:
        return self.kind.data.format_map(self.details)

    @property
    def next(self) -> str:
        return self.kind.next.format_map(self.details)

    def record(self) -> dict[str, str]:
        """The error as the journal and `--json` carry it, without its details."""
        return {"code": self.code, "message": self.message, "data": self.data, "next": self.next}
