"""console-token: a one-time, read-only way into the console that needs the archive and nothing else."""

from __future__ import annotations

import secrets

from stratum.core.console_access import TOKEN_LIFE, ConsoleTokenAnswer
from stratum.core.errors import StratumError
from stratum.core.services import console_address
from stratum.ports import Ports


def make_console_token(ports: Ports) -> ConsoleTokenAnswer:
    """A new token, of which the archive keeps the hash. Touches no data; raises the archive's errors."""
    token, now = secrets.token_urlsafe(32), ports.clock.now()
    ports.archive.add_console_token(token, now=now)
    address = console_address(ports.services.observe(ask=False))
    return ConsoleTokenAnswer(token=token, expires_at=now + TOKEN_LIFE, address=address)


def redeem_console_token(ports: Ports, token: str) -> None:
    """Use a token up. Raises `console-token-refused` for one that is unknown, used or too old."""
    if not ports.archive.redeem_console_token(token, now=ports.clock.now()):
        raise StratumError("console-token-refused")
