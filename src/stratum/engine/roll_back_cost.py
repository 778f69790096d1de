"""What a rollback costs: rows written since, and what of today's schema the other release does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stratum.core.release import Release
from stratum.core.rollback_cost import HeadMoved
from stratum.core.way_back import LastUpdate
from stratum.ports import Ports
from stratum.project import Project

_MOST = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """In lines for a person, and what decides."""

    lines: tuple[str, ...]
    databases: tuple[str, ...] = ()
    """Those that a rollback with data puts in place."""
    gone: tuple[str, ...] = ()
    """Why that release cannot work on today's schema; empty where nothing speaks against it."""


def observe_cost(
    ports: Ports, project: Project, target: Release, update: LastUpdate | None, *, forward: bool, with_data: bool
) -> Cost:
    """Ask the copies of the last update; reads only. Without a copy of what it knew nothing is claimed."""
    if update is None:
        return Cost(lines=_heads(ports, project, target))
    databases = _databases(ports, project, update) if with_data else ()
    words = [word for name in databases for word in ("--database", name)]
    words += ["--forward"] if forward else []
    words += [] if with_data else ["--counts"]
    answer = project.inside(("undo-copy", "cost", update.label, *words), under=ports.lock.token)
    rows = tuple(str(line) for line in answer.get("cost", ()))
    if with_data:
        return Cost(lines=rows, databases=databases)
    added, gone = _words(answer.get("added")), _words(answer.get("gone"))
    kept = ("the data stays; what differs from the data that release worked on:", *(f"  {line}" for line in rows))
    return Cost(lines=(*_schema(added), *kept), gone=gone)


def _schema(added: Sequence[str]) -> tuple[str, ...]:
    if not added:
        return ("that release works on today's schema as far as can be seen: it is the one it knew",)
    shown = ", ".join(added[:_MOST]) + (f" and {len(added) - _MOST} more" if len(added) > _MOST else "")
    known = "that release works on today's schema as far as can be seen: nothing it knew is gone"
    return (f"{known}; it does not know what was added since ({len(added)}): {shown}",)


def _heads(ports: Ports, project: Project, target: Release) -> tuple[str, ...]:
    """Where no copy can be compared: where the migrations stood then and stand now."""
    answer = project.inside(("undo-copy", "heads", "now"), under=ports.lock.token)
    now = {str(name): str(head) for name, head in answer["heads"].items()}
    moved = [
        f"{one.database}: migrations at {one.then or 'none'} then, {one.now or 'none'} now"
        for one in heads_moved(target, now)
    ]
    if moved:
        return ("whether that release works on today's schema cannot be seen: no copy of what it knew is kept", *moved)
    return ("the data stays; the migrations stand where that release left them",)


def _databases(ports: Ports, project: Project, update: LastUpdate) -> tuple[str, ...]:
    if update.moved:
        return update.moved
    now = project.inside(("undo-copy", "heads", update.label), under=ports.lock.token)["heads"]
    return databases_to_move(ports, update, now)


def databases_to_move(ports: Ports, update: LastUpdate, now: Mapping[str, str]) -> tuple[str, ...]:
    """What moves with the data: the application's databases, and the console's users where its schema has moved.

    `now` is where the migrations of each database stand. After a rollback with data it is what that one moved.
    """
    if update.moved:
        return update.moved
    console = ports.stack.console_database
    heads = dict(entry.split("=", 1) for entry in update.heads_before)
    moved = console is not None and heads.get(console) != now.get(console)
    return tuple(name for name in ports.stack.databases if name != console or moved)


def heads_moved(target: Release, now: Mapping[str, str]) -> tuple[HeadMoved, ...]:
    """Migrations that stand elsewhere than the release left them."""
    return tuple(
        HeadMoved(database=name, then=head, now=now.get(name, ""))
        for name, head in target.heads.items()
        if now.get(name) != head
    )


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in value) if isinstance(value, list) else ()
