"""What Docker runs for a stack: its containers, and the volume that holds the data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

POSTGRES, GUARD, BACKUP, BACKEND, FRONTEND = "postgres", "guard", "backup", "backend", "frontend"
INSIDE_ARCHIVE, INSIDE_DIRECTORY = "/archive", "/var/lib/stratum"
"""Where the stack's own containers have the archive, and room for throwaway servers."""
HOST_VARIABLE = "STRATUM_HOST"
"""Tells a check of `[commands]` where it reaches the release that it is to look at."""
ALPINE_UID = 70
"""The account of PostgreSQL in images built on Alpine; Debian's is 999."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerState:
    """One container of the stack, as Docker tells."""

    service: str
    container: str
    state: str
    """Docker's word: created, running, restarting, exited, dead, paused."""
    health: str
    """Docker's word: healthy, unhealthy, starting; empty where no health check is made."""
    exit_code: int
    port: int | None = None
    """Where it is published on this machine."""
    image: str = ""

    @property
    def serves(self) -> bool:
        return self.state == "running" and self.health in {"", "healthy"}


@dataclass(frozen=True, kw_only=True, slots=True)
class DockerVersions:
    """Of what answered."""

    engine: str
    compose: str


class Libc(StrEnum):
    """Whose collation rules an image brings. Text indexes made under one are wrong under the other."""

    GLIBC = "glibc"
    MUSL = "musl"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageLook:
    """What an image says of itself, asked without starting a server."""

    name: str
    major: int | None
    libc: Libc
    libc_version: str
    """As `2.36`; empty where it could not be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeLook:
    """The data volume, looked at without starting a server."""

    name: str
    exists: bool
    held: bool = False
    """Whether a running container outside the project keeps it from being removed."""
    empty: bool = True
    major: int | None = None
    """From PG_VERSION."""
    versioned: bool = False
    """Whether the data lies in `<major>/docker`, as the images of PostgreSQL 18 and newer have it."""
    owner_uid: int | None = None
    system_identifier: str | None = None
    """Of the cluster in it, from pg_controldata; None where there is none, or none that can be read."""
    other_users: tuple[str, ...] = ()
    """Running containers that mount it and belong neither to this stack nor to its holder."""
    device: str = ""
    """The host directory behind it; empty for one in Docker's own directory."""
