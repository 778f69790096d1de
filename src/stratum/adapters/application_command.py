"""Runs the application's own commands on this machine, told where the database is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from stratum.adapters.process import run_tool
from stratum.core.errors import StratumError
from stratum.core.stack import Secret

_SECONDS = 24 * 3600.0
_IS_SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"://[^/:@\s]*:([^@\s]+)@")
_SHORTEST = 4
"""A shorter value stands in too many words that are none."""


def run_application_command(argv: Sequence[str], *, directory: Path, told: Mapping[str, str], secret: Secret) -> None:
    """Run one in the stack's directory, with `told` in its environment. Raises `tool-failed`, without the secret."""
    try:
        run_tool(tuple(argv), timeout_seconds=_SECONDS, env=os.environ | dict(told), cwd=directory)
    except StratumError as error:
        if error.code != "tool-failed":
            raise
        # It goes into the journal, and clients like to print the address they were given.
        raise without_secrets(error, (secret,)) from None


def without_secrets(error: StratumError, secrets: Sequence[Secret]) -> StratumError:
    """A `tool-failed` whose program may have printed any of these."""
    found = error.details
    said = found["stderr"]
    for secret in secrets:
        said = without_secret(said, secret)
    return StratumError("tool-failed", tool=found["tool"], exit_code=found["exit_code"], stderr=said)


def secrets_in(environment: Mapping[str, str]) -> tuple[Secret, ...]:
    """The values of .env that its names call secret, and the passwords in its addresses; the longest first."""
    found = {value for name, value in environment.items() if _IS_SECRET.search(name)}
    found |= {unquote(match[1]) for value in environment.values() for match in _IN_ADDRESS.finditer(value)}
    return tuple(Secret(value) for value in sorted(found, key=len, reverse=True) if len(value) >= _SHORTEST)


def without_secret(text: str, secret: Secret) -> str:
    """`text` without the secret, plain or as an address holds it; an empty one is nowhere."""
    for shown in (secret.reveal, quote(secret.reveal, safe="")):
        text = text.replace(shown, "…") if shown else text
    return text
