"""Which accident two directories share, as far as the kernel can tell."""

from __future__ import annotations

import os
import re
from pathlib import Path

_VIRTUAL = re.compile(r"(vd[a-z]+|xvd[a-z]+|dm-\d+|loop\d+|md\d+|zram\d+|ram\d+|nbd\d+)$")
_SYSFS = Path("/sys/dev/block")


def observe_failure_domain(archive: Path, data: Path) -> str:
    """`same-disk`, `other-disk` or `unknown`.

    Two paths on one file system share its disk for certain. Different file systems may still share one: two
    partitions of a disk are compared by their disk, and a virtual disk is unknown until declared, because
    its host decides where it lies.
    """
    first, second = _device(archive), _device(data)
    if first == second:
        return "same-disk"
    disks = (_disk(first), _disk(second))
    if None in disks or any(_VIRTUAL.match(str(disk)) for disk in disks):
        return "unknown"
    return "same-disk" if disks[0] == disks[1] else "other-disk"


def _device(path: Path) -> int:
    """The device of the nearest ancestor that exists: a data directory that was lost still had a disk."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.stat().st_dev


def _disk(device: int) -> str | None:
    """The whole disk a block device belongs to, from sysfs; None for tmpfs, overlay and other non-disks.

    (https://www.kernel.org/doc/Documentation/ABI/stable/sysfs-block)
    """
    link = _SYSFS / f"{os.major(device)}:{os.minor(device)}"
    if not link.exists():
        return None
    found = link.resolve()
    return found.parent.name if (found / "partition").exists() else found.name
