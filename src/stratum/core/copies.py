"""Copies of the archive that stand elsewhere: what stratum.toml says of each, and how far each has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyPolicy:
    """One place that holds a second copy of the archive. `[[archive.copies]]` of stratum.toml."""

    name: str
    """What commands and alarms call it."""
    url: str
    """Where it is: `s3://bucket/prefix`, or `file:///path` for another disk or a mount."""
    endpoint: str = ""
    """s3: the address of a store that is not Amazon's, such as https://s3.example.net. Empty: Amazon's."""
    region: str = "us-east-1"
    """s3: the region of the bucket."""
    access_key: str = ""
    """s3: the key's name; `$NAME` takes it from .env."""
    secret_key: str = ""
    """s3: the key's secret, as `$NAME` of .env only."""
    failure_domain: str = "other-host"
    """What it survives: same-disk, other-disk or other-host."""
    keep_days: int = 30
    """How many days a file stays in the copy after the archive let it go."""
    object_lock_days: int = 0
    """How many days the store itself keeps every file (the bucket's default retention): none is removed sooner."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopiedFile:
    """One file of the archive as a copy holds it."""

    path: str
    """Relative to the archive, and to the copy."""
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyState:
    """How one copy stands; `copies/<name>.json` of the archive."""

    format: int = FORMAT
    name: str
    failure_domain: str
    at: datetime
    """When it was last tried."""
    verified_at: datetime | None = None
    """When everything the archive held was last known to be there, each file compared by its checksum."""
    safe_at: datetime | None = None
    """What was committed until then can be brought back from this copy alone."""
    held: tuple[str, ...] = ()
    """Backups of either kind that are whole there."""
    left_out: tuple[str, ...] = ()
    """Backups that were taken before the archive was sealed, and so are not sent."""
    files: int = 0
    bytes: int = 0
    missing: int = 0
    """Files of the archive that are not there yet."""
    problem: str = ""
    """Why it could not be brought up to date, in one sentence; empty while all is well."""
    since: datetime | None = None
    """Since when there is a problem."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopiesAnswer:
    """What `stratum copies --json` prints."""

    format: int = FORMAT
    copies: tuple[CopyState, ...]
    recipients: tuple[str, ...] = field(default=())
    """For whom the archive is sealed; none: whoever can read a copy can read the data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scrubbed:
    """What reading a share of the archive again found; `scrubbed.json` of the archive."""

    format: int = FORMAT
    at: datetime
    files: int
    bytes: int
    damaged: tuple[str, ...] = ()
    """Files that are missing or not what was written, and that no copy has whole."""
    mended: tuple[str, ...] = ()
    """Such files that were fetched again from a copy; the damaged ones are in `damaged/`."""


DOMAINS = ("same-disk", "other-disk", "other-host")
BEHIND = timedelta(minutes=10)
"""A copy that is further behind than this is spoken of as a problem."""


def order_of(path: str) -> tuple[int, str]:
    """In which order files are sent: what a record speaks of before the record, so that no copy holds half a backup."""
    name = path.rpartition("/")[2]
    return (2 if name == "manifest.json" else 1 if name == "SHA256SUMS" else 0), path


def best_copy(states: tuple[CopyState, ...], *, local: str) -> CopyState | None:
    """The verified copy that survives most, and more than the archive's own disk does; None where there is none."""
    rank = {name: number for number, name in enumerate(("unknown", *DOMAINS))}
    better = [s for s in states if s.safe_at is not None and rank.get(s.failure_domain, 0) > rank.get(local, 0)]
    return max(better, key=lambda state: (rank[state.failure_domain], state.safe_at), default=None)
