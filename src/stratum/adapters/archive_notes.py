"""What the archive notes of its copies, and of having been read again; a damaged note is as good as none."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from stratum.adapters.records import parse
from stratum.core.copies import CopyState, Scrubbed
from stratum.core.errors import StratumError

SCRUBBED = "scrubbed.json"
T = TypeVar("T")


def read_state(archive: Path, name: str) -> CopyState | None:
    """How a copy was written down last; None where it never was, or what was written is damaged: it comes anew."""
    return _read(CopyState, archive / "copies" / f"{name}.json")


def read_scrubbed(archive: Path) -> Scrubbed | None:
    """What reading the archive again found last, likewise."""
    return _read(Scrubbed, archive / SCRUBBED)


def _read(kind: type[T], file: Path) -> T | None:
    try:
        return parse(kind, file.read_bytes(), file=file.name)
    except FileNotFoundError:
        return None
    except StratumError as error:
        if error.code != "archive-unreadable":
            raise
        return None
