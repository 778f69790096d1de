"""The watchdog of zero-loss: arms the server, lets commits go on when the receiver stays away, and arms it again."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from stratum.core.errors import StratumError
from stratum.core.receiving import ProtectMode, ReceiverState
from stratum.core.zero_loss import CommitLook, count_cut_waits, is_ready, moves_on, why_impossible
from stratum.engine.zero_loss import note_change
from stratum.ports import Ports
from stratum.replication import Commits

_log = logging.getLogger("stratum.agent")
_VAIN_SECONDS = 5.0

ARMED = "the receiver has caught up and a base backup stands: commits wait for it"
NOT_READY = "the receiver has not caught up yet, or no base backup stands"
DEGRADED = "the receiver took nothing for {seconds:.0f} s: commits do not wait for it until it is back"
NOT_ASKED = "[protect] mode does not ask for zero-loss any more"
IN_VAIN = "the receiver takes nothing, and commits wait for it"
BY_HAND = "somebody let commits go on"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Standing:
    """What a state of the receiver is completed with; replaced as a whole, for another thread reads it."""

    armed: bool = False
    degraded_since: datetime | None = None
    problem: str = ""
    waiting: int = 0
    cancelled: int = 0
    lowered: int = 0


class ZeroLoss:
    """Looks at the server each second through a connection of its own, whatever the receiver's thread does.

    Writes a line of the journal at every change it makes. `state` tells how the receiver stands.
    """

    def __init__(self, *, ports: Ports, commits: Commits, state: Callable[[], ReceiverState]) -> None:
        self._ports = ports
        self._commits = commits
        self._state = state
        self._before: CommitLook | None = None
        self._moved_at = ports.clock.monotonic()
        self._left = False
        self._unwritten: deque[tuple[bool, str, datetime]] = deque()
        known = ports.wal.receiver()
        was_asked = known is not None and known.mode is ProtectMode.ZERO_LOSS
        self._standing = _Standing(
            degraded_since=known.degraded_since if known and was_asked else None,
            cancelled=known.cancelled_waits if known and was_asked else 0,
            armed=known.armed if known and was_asked else False,
        )

    @property
    def _asked(self) -> bool:
        return self._ports.stack.protect.mode is ProtectMode.ZERO_LOSS

    def complete(self, state: ReceiverState) -> ReceiverState:
        """The state with what is known here; called by the receiver's thread."""
        known = self._standing
        if not self._asked:
            return state
        return replace(
            state,
            armed=known.armed,
            degraded_since=known.degraded_since,
            armed_problem=known.problem,
            waiting_sessions=known.waiting,
            cancelled_waits=known.cancelled,
            lowered_sessions=known.lowered,
        )

    def work(self) -> None:
        """One look, and what follows from it. Raises what keeps it from looking or from the journal, `zero-loss-…`."""
        try:
            self._look()
        finally:
            self._write()

    def _look(self) -> None:
        if not self._asked:
            self._leave()
            return
        now = self._ports.clock.monotonic()
        try:
            look = self._commits.look()
        except StratumError:
            # A server that is away makes nobody wait; the receiver has the same patience after its return.
            self._before, self._moved_at = None, now
            self._standing = replace(self._standing, waiting=0)
            raise
        if moves_on(self._before, look):
            self._moved_at = now
        self._count(look)
        if look.armed:
            self._keep(look, stuck=now - self._moved_at)
        else:
            self._arm(look)
        self._before = look

    def stop(self) -> None:
        """Commits go on waiting: what is written while no agent lives must not be lost silently."""
        self._commits.close()

    def _count(self, look: CommitLook) -> None:
        cut = count_cut_waits(self._before, look)
        if cut:
            _log.warning("zero-loss: %d commits stopped waiting although nothing was received", cut)
        known = self._standing
        self._standing = replace(
            known, waiting=len(look.waiting), cancelled=known.cancelled + cut, lowered=len(look.lowered)
        )

    def _keep(self, look: CommitLook, *, stuck: float) -> None:
        """Commits wait: let them go on once that leads nowhere for as long as was configured, and never before."""
        limit = self._ports.stack.protect.degrade_after.total_seconds()
        impossible = why_impossible(look)
        if impossible is None and limit > 0 and stuck >= limit:
            because = DEGRADED.format(seconds=stuck)
            self._commits.disarm()
            now = self._ports.clock.now()
            self._standing = replace(self._standing, armed=False, degraded_since=now, problem=because)
            self._note(armed=False, because=because)
            return
        problem = impossible or (IN_VAIN if stuck >= _VAIN_SECONDS else "")
        self._standing = replace(self._standing, armed=True, degraded_since=None, problem=problem)

    def _arm(self, look: CommitLook) -> None:
        """Commits do not wait: let them, as soon as that is possible and leads somewhere."""
        if self._standing.armed:
            self._standing = replace(self._standing, problem=BY_HAND)
        problem = why_impossible(look)
        if problem is None and is_ready(look, self._state()):
            try:
                self._commits.arm()
            except StratumError as error:
                self._wait(error.message)
                raise
            self._standing = replace(self._standing, armed=True, degraded_since=None, problem="")
            self._note(armed=True, because=ARMED)
            return
        self._wait(problem or self._standing.problem or NOT_READY)

    def _wait(self, problem: str) -> None:
        since = self._standing.degraded_since or self._ports.clock.now()
        self._standing = replace(self._standing, armed=False, degraded_since=since, problem=problem)

    def _leave(self) -> None:
        """Zero-loss is not asked for: a server that still waits for us is let go on, once."""
        if self._left:
            return
        if self._commits.look().armed:
            self._commits.disarm()
            self._note(armed=False, because=NOT_ASKED)
        self._left = True
        self._commits.close()

    def _note(self, *, armed: bool, because: str) -> None:
        _log.warning("zero-loss: %s: %s", "armed" if armed else "disarmed", because)
        self._unwritten.append((armed, because, self._ports.clock.now()))

    def _write(self) -> None:
        """Each change into the journal; where the archive is full or gone, as soon as it is there again."""
        while self._unwritten:
            armed, because, at = self._unwritten[0]
            note_change(self._ports, armed=armed, because=because, who="agent", at=at)
            self._unwritten.popleft()
