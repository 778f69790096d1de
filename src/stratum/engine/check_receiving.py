"""check, of receiving WAL: whether it comes, whether every second is kept, and how far the archive is behind."""

from __future__ import annotations

from datetime import datetime

from stratum.core.checklist import Line, LineState
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.core.receiving_rules import AWAY_AFTER, gave_up_continuity, is_fresh
from stratum.core.sizes import render_age, render_bytes
from stratum.ports import Ports

_NOT_ASKED = "[protect] mode does not ask for it"
_SILENT = "the agent is silent, so the server may wait for a receiver that is not there"
_ROOM_BYTES = 64 << 10
"""Less than a note of the agent may need while others write."""
_DUMPS = '[protect] mode = "dumps" asks for none'


def look_at_receiving(ports: Ports) -> Line:
    """The line `wal-received`: red once nothing came for half a minute, or what came could not be filed."""
    if ports.stack.protect.mode is ProtectMode.DUMPS:
        return _line("wal-received", holds=True, state=_DUMPS)
    state, now = ports.wal.receiver(), ports.clock.now()
    if state is None:
        return _line("wal-received", holds=False, problem="the agent never received any: is it running?")
    if not is_fresh(state, now):
        return _line("wal-received", holds=False, problem=_why_silent(state, ports))
    away = state.away_since is not None and now - state.away_since > AWAY_AFTER
    problem = state.problem if away or state.phase is ReceiverPhase.RECEIVING else ""
    said = f"{_age(state.safe_at, now)} behind" if state.safe_at else "it has just begun"
    return _line("wal-received", holds=not problem, state=said, problem=problem)


def look_at_continuity(ports: Ports) -> Line:
    """The line `wal-continuous`: red when WAL was lost, or the base backup that receiving starts from is overdue."""
    state = _asked_for(ports)
    if state is None:
        return _line("wal-continuous", holds=True, since="-", because="-")
    since = f"{state.unprotected_since:%Y-%m-%d %H:%M:%S} UTC" if state.unprotected_since else "-"
    holds = not gave_up_continuity(state, ports.clock.now())
    return _line("wal-continuous", holds=holds, since=since, because=state.unprotected_because or "-")


def look_at_slot_lag(ports: Ports) -> Line:
    """The line `slot-lag`: red when half of what the server keeps for the receiver is used up."""
    state, keep = _asked_for(ports), ports.stack.protect.slot_keep_mb << 20
    behind = state.behind_bytes or 0 if state else 0
    return _line("slot-lag", holds=behind * 2 < keep, behind=render_bytes(behind), keep=render_bytes(keep))


def look_at_zero_loss(ports: Ports) -> Line:
    """The line `zero-loss-degraded`: red where commits do not wait although they should, or wait in vain."""
    state, now, name = ports.wal.receiver(), ports.clock.now(), "zero-loss-degraded"
    if ports.stack.protect.mode is not ProtectMode.ZERO_LOSS:
        return _line(name, holds=True, state=_NOT_ASKED)
    if state is None or not is_fresh(state, now):
        return _line(name, holds=False, problem=_SILENT)
    # Until a first base backup stands there is nothing to wait for; that is a red line of its own when it takes long.
    begins = state.degraded_since is not None and now - state.degraded_since <= AWAY_AFTER and not state.problem
    holds = state.armed and not state.armed_problem
    said = "commits wait" if holds else "it has just begun"
    return _line(name, holds=holds or begins, state=said, problem=_why_not_armed(state))


def _why_not_armed(state: ReceiverState) -> str:
    """What the watchdog says, and behind it what the receiver itself stumbled over, as a disk that is full."""
    because = state.armed_problem or "commits do not wait"
    return f"{because} (the receiver says: {state.problem})" if state.problem else because


def _asked_for(ports: Ports) -> ReceiverState | None:
    return None if ports.stack.protect.mode is ProtectMode.DUMPS else ports.wal.receiver()


def _why_silent(state: ReceiverState, ports: Ports) -> str:
    """An agent that lives cannot write down how it stands where there is no room."""
    age = _age(state.at, ports.clock.now())
    if ports.archive.free_bytes() < _ROOM_BYTES:
        return f"the archive's disk is full: nothing could be kept there for {age}"
    return f"the agent has been silent for {age}"


def _age(at: datetime, now: datetime) -> str:
    return render_age(now - at)


def _line(name: str, *, holds: bool, **details: str) -> Line:
    return Line(name=name, state=LineState.HOLDS if holds else LineState.RED, details=details)
