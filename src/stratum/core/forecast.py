"""When a disk will be full, from how its free space went; a forecast from too little is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

FEWEST_SAMPLES = 5
SHORTEST_SPAN = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskSample:
    """How much was free at one moment."""

    at: datetime
    free_bytes: int


def plan_full_at(samples: Sequence[DiskSample], *, needed_bytes: int = 0) -> datetime | None:
    """When free space falls below `needed_bytes` if it goes on as the samples say; None when it does not shrink.

    A straight line by least squares, laid through the newest sample: what is free now is known, only the slope is
    guessed. Fewer than five samples, or less than ten minutes of them, say nothing.
    """
    if len(samples) < FEWEST_SAMPLES or samples[-1].at - samples[0].at < SHORTEST_SPAN:
        return None
    slope = _bytes_per_second(samples)
    newest = samples[-1]
    if newest.free_bytes <= needed_bytes:
        return newest.at
    if slope >= 0:
        return None
    seconds = (newest.free_bytes - needed_bytes) / -slope
    return newest.at + timedelta(seconds=seconds) if seconds < timedelta(days=365).total_seconds() else None


def _bytes_per_second(samples: Sequence[DiskSample]) -> float:
    start = samples[0].at
    points = [((sample.at - start).total_seconds(), float(sample.free_bytes)) for sample in samples]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
