"""How often somebody may try a password or a token: by name and by address, counted in memory."""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from stratum.core.errors import StratumError

_BY_NAME = RateLimitItemPerMinute(5)
_BY_NAME_LONG = RateLimitItemPerMinute(20, 60)
_BY_ADDRESS = RateLimitItemPerSecond(30, 60)


class Throttle:
    """Refuses a try when too many were made. A success forgets the name's tries, and not the address's."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, *, name: str, address: str) -> None:
        """Count one try; raises `too-many-tries`, with the seconds to wait, when it is one too many."""
        for limit, key in ((_BY_ADDRESS, address), (_BY_NAME, name), (_BY_NAME_LONG, name)):
            if not self._limiter.hit(limit, _part(limit, key), key):
                raise StratumError("too-many-tries", seconds=self._wait(limit, key))

    def forget(self, *, name: str) -> None:
        """The name's owner is in: what others tried does not count any more."""
        for limit in (_BY_NAME, _BY_NAME_LONG):
            self._limiter.clear(limit, _part(limit, name), name)

    def _wait(self, limit: RateLimitItem, key: str) -> int:
        free_at = self._limiter.get_window_stats(limit, _part(limit, key), key).reset_time
        return max(1, math.ceil(free_at - time.time()))


def _part(limit: RateLimitItem, key: str) -> str:
    """Names and addresses are counted apart, whatever they look like."""
    return f"{'address' if limit is _BY_ADDRESS else 'name'}:{len(key)}"
