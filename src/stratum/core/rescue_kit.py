"""The rescue kit: what a person needs on paper to bring everything back without this machine and without Stratum."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RescueKit:
    """One kit. It is kept nowhere: whoever makes one has it, and the private key is never in one made for the console.

    It names places, versions, fingerprints of keys and exact commands, and no secret.
    """

    format: int = FORMAT
    stack: str
    made_at: datetime
    page: str
    """The printable page: HTML that loads nothing."""
    text: str
    """The same as plain text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KitAnswer:
    """What `stratum kit --json` prints: where the pages are, and never what is on them."""

    format: int = FORMAT
    stack: str
    made_at: datetime
    written: tuple[str, ...]
    """The pages' files; none without `--out`."""
