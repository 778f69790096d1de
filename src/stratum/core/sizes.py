"""Numbers as a person reads them."""

from __future__ import annotations

from datetime import timedelta


def render_bytes(count: float) -> str:
    """Binary units with one decimal from a kibibyte on: `512 B`, `1.4 MiB`."""
    value, units = float(count), ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    for unit in units:
        if abs(value) < 1024 or unit == units[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("the last unit always returns")


def render_age(age: timedelta) -> str:
    """The two largest units at most: `41 s`, `3 h 20 min`, `2 d 4 h`."""
    seconds = max(0.0, age.total_seconds())
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    minutes = rest // 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    shown = [f"{count} {unit}" for count, unit in parts if count][:2]
    return " ".join(shown)
