"""Describes the machine a benchmark ran on: what a reader needs to judge the numbers, and nothing that names it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """No host name, no user, no path."""

    cores: int
    processor: str
    memory_bytes: int
    kernel: str
    libc: str
    python: str
    postgresql: str
    filesystem: str
    disk_write_mb_per_s: float
    """One sequential 512 MiB file written and fsynced where the benchmark works, in 10^6 bytes a second."""


def describe_machine(place: Path, bindir: Path) -> Machine:
    """Look at this machine; writes and removes one 512 MiB file below `place`."""
    version = subprocess.run((str(bindir / "postgres"), "--version"), capture_output=True, text=True, check=True)
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_field("/proc/cpuinfo", "model name"),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release().partition('-')[0]}",
        libc=" ".join(platform.libc_ver()),
        python=platform.python_version(),
        postgresql=version.stdout.strip(),
        filesystem=_filesystem_of(place),
        disk_write_mb_per_s=round(_write_speed(place), 0),
    )


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _filesystem_of(place: Path) -> str:
    device = place.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, rest = line.partition(" - ")
        if mount.split()[2] == wanted:
            return rest.split()[0]
    return "unknown"


def _write_speed(place: Path) -> float:
    block, count = os.urandom(1 << 20), 512
    target = place / "write-speed"
    began = time.perf_counter()
    try:
        with target.open("wb") as file:
            for _ in range(count):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        return len(block) * count / 1e6 / (time.perf_counter() - began)
    finally:
        target.unlink(missing_ok=True)
