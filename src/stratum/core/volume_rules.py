"""Whether an image and the data in a volume belong together: decided before anything is started."""

from __future__ import annotations

from typing import NoReturn

from stratum.core.containers import ALPINE_UID, ImageLook, Libc, VolumeLook
from stratum.core.errors import StratumError
from stratum.core.identity import Identity

OLDEST_MAJOR = 14
_ROOT, _VERSIONED = "/var/lib/postgresql/data", "/var/lib/postgresql"


def wanted_mount(major: int) -> str:
    """Where an image of this major wants its volume; elsewhere the data would land in an anonymous volume.

    (https://github.com/docker-library/docs/blob/master/postgres/content.md, PGDATA)
    """
    return _VERSIONED if major >= 18 else _ROOT


def refuse_unusable_image(image: ImageLook, *, mount: str) -> None:
    """Raises `image-unusable` for an image that is no official Debian one, `mount-mismatch` for a wrong mount."""
    if image.major is None:
        raise StratumError("image-unusable", image=image.name, problem="it sets no PG_MAJOR: it is no official image")
    refuse_unsupported_major(image.name, image.major)
    if image.libc is not Libc.GLIBC:
        refuse_other_libc(image.name, image.libc.value)
    if mount.rstrip("/") != wanted_mount(image.major):
        raise StratumError(
            "mount-mismatch", image=image.name, major=image.major, mount=mount, wanted=wanted_mount(image.major)
        )


def refuse_unsupported_major(image: str, major: int) -> None:
    """Raises `image-unusable` for a major older than the oldest supported one."""
    if major < OLDEST_MAJOR:
        problem = f"it is PostgreSQL {major}, and the oldest supported one is {OLDEST_MAJOR}"
        raise StratumError("image-unusable", image=image, problem=problem)


def refuse_other_libc(image: str, libc: str) -> NoReturn:
    """Raises `image-unusable` for an image whose C library is not Debian's."""
    problem = f"its C library is {libc}: text sorts otherwise there than on Debian"
    raise StratumError("image-unusable", image=image, problem=problem)


def refuse_mismatch(volume: VolumeLook, image: ImageLook, recorded: Identity | None) -> None:
    """Raises the first reason why this image must not be started on this volume.

    `volume-in-use`, `volume-from-alpine`, `volume-other-major`, `mount-mismatch`, `collation-moved`. A volume that
    is empty or absent fits every image.
    """
    if volume.other_users:
        raise StratumError("volume-in-use", volume=volume.name, containers=", ".join(volume.other_users))
    if volume.major is None:
        return
    if volume.owner_uid == ALPINE_UID:
        raise StratumError("volume-from-alpine", volume=volume.name, image=image.name, major=volume.major)
    if volume.major != image.major:
        raise StratumError(
            "volume-other-major", volume=volume.name, major=volume.major, image=image.name, image_major=image.major
        )
    if volume.versioned != (volume.major >= 18):
        mount = _VERSIONED if volume.versioned else _ROOT
        raise StratumError(
            "mount-mismatch", image=image.name, major=volume.major, mount=wanted_mount(volume.major), wanted=mount
        )
    before = recorded.libc_version if recorded else None
    if before and image.libc_version and before != image.libc_version:
        raise StratumError("collation-moved", image=image.name, before=before, now=image.libc_version)
