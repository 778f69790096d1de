"""check, of what stands elsewhere: how far each copy has come, and what reading the archive again found."""

from __future__ import annotations

from datetime import timedelta

from stratum.core.checklist import Line, LineState
from stratum.core.copies import BEHIND, CopyState, best_copy
from stratum.core.proof import listed
from stratum.core.sizes import render_age
from stratum.ports import Ports

_NONE = "none is set"
_OPEN = "the stack's own files, with its passwords, go into no copy: [archive] recipients is empty"
_NEVER = "{copy} was never made"
_NOT_YET = "it was not read yet"
_REREAD = timedelta(days=3)


def survives_elsewhere(ports: Ports) -> CopyState | None:
    """The copy that outlives the data's disk where the archive itself does not."""
    return best_copy(_configured(ports), local="same-disk")


def is_copied(backup_id: str, ports: Ports) -> bool:
    """Whether every copy that is set holds this backup, compared: before that, retention leaves it here.

    What was taken before the archive was sealed is not sent, and not waited for.
    """
    held = {state.name: (*state.held, *state.left_out) for state in _configured(ports)}
    return all(backup_id in held.get(name, ()) for name in ports.stack.copies)


def wal_is_copied(ports: Ports) -> bool:
    """Whether every copy that is set was brought up to date just now, WAL included."""
    now = ports.clock.now()
    fresh = {s.name for s in _configured(ports) if not s.problem and not s.missing and now - s.at <= BEHIND}
    return fresh >= set(ports.stack.copies)


def look_at_copies(ports: Ports) -> Line:
    """The line `copies`: red where one cannot be brought up to date, is behind, or lacks the stack's own files."""
    now, states = ports.clock.now(), _configured(ports)
    known = {state.name for state in states}
    problems = [_NEVER.format(copy=name) for name in ports.stack.copies if name not in known]
    for state in states:
        if state.problem:
            problems.append(f"{state.name}: {state.problem}")
        elif now - state.at > BEHIND:
            problems.append(f"{state.name}: not tried for {render_age(now - state.at)}; is the agent running?")
    if ports.stack.copies and not ports.stack.sealed:
        problems.append(_OPEN)
    said = [f"{s.name} ({s.failure_domain}, {render_age(now - s.safe_at)} behind)" for s in states if s.safe_at]
    return _line("copies", holds=not problems, state=listed(said) or _NONE, problem=listed(problems))


def look_at_scrub(ports: Ports) -> Line:
    """The line `archive-reread`: red for files that are not what was written, fetched again or not."""
    found, now = ports.archive.scrubbed(), ports.clock.now()
    if found is None:
        return _line("archive-reread", holds=True, state=_NOT_YET, problem="")
    problems = []
    if found.damaged:
        problems.append(f"{listed(found.damaged)} cannot be read as written, and no copy has it")
    if found.mended:
        problems.append(f"{listed(found.mended)} was damaged, and was fetched again from a copy")
    said = f"{found.files} files {render_age(now - found.at)} ago"
    return _line("archive-reread", holds=not problems, state=said, problem="; ".join(problems))


def _configured(ports: Ports) -> tuple[CopyState, ...]:
    return tuple(state for state in ports.archive.copies() if state.name in ports.stack.copies)


def _line(name: str, *, holds: bool, **details: str) -> Line:
    return Line(name=name, state=LineState.HOLDS if holds else LineState.RED, details=details)
