"""What the name of a PostgreSQL image tells before the image is there: its major, and whether it is usable at all."""

from __future__ import annotations

import re

from stratum.core.errors import StratumError
from stratum.core.volume_rules import refuse_other_libc, refuse_unsupported_major

_OFFICIAL = "postgres"
"""Tags of other repositories begin with versions of their own."""


def parse_major(image: str) -> int | None:
    """The major in an image's name, as 16 of `postgres:16.4-bookworm`; None where the name does not tell.

    (https://github.com/docker-library/docs/blob/master/postgres/README.md, supported tags)
    """
    repository, tag = _parts(image)
    if repository.rpartition("/")[2] != _OFFICIAL:
        return None
    found = re.match(r"(\d+)(?=[.\-]|(?:beta|rc)\d|$)", tag)
    return int(found[1]) if found else None


def refuse_unusable_name(image: str) -> None:
    """Raises `image-unusable` for a name that says Alpine or an unsupported major; any other may still be refused."""
    if "alpine" in _parts(image)[1]:
        refuse_other_libc(image, "musl")
    major = parse_major(image)
    if major is not None:
        refuse_unsupported_major(image, major)
    if not re.fullmatch(r"\w[\w.\-/:@]*", image, re.ASCII):
        raise StratumError("image-unusable", image=image, problem="it is no name of an image")


def _parts(image: str) -> tuple[str, str]:
    """Repository and tag. A registry's port is no tag, and a digest neither."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    base, _, tag = last.partition(":")
    return f"{head}{slash}{base}", tag.lower()
