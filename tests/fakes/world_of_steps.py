"""A world that plans change: each step adds its name, its way back takes it away, and every moment is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, cast

from stratum.adapters.base_copy import PostgresqlReplication
from stratum.adapters.embedded_recovery import LocalRecovery
from stratum.adapters.file_set_directories import FileSetDirectories
from stratum.adapters.local_services import LocalServices
from stratum.adapters.rehearsals import LocalRehearsals, RehearsalPlace
from stratum.adapters.stack_files import StackFilesOnDisk
from stratum.adapters.wal_store import DirectoryWalStore
from stratum.cli.render import SilentProgress
from stratum.core.errors import StratumError
from stratum.core.guard import GuardResult
from stratum.core.plan import Effect, Facts, JournalEntry, Plan, Step
from stratum.core.stack import Stack
from stratum.engine.run_plan import run_plan
from stratum.ports import Action, Ports, Prepared, RunState, Runtime, ServerState
from tests.fakes.memory_archive import MemoryArchive
from tests.fakes.memory_lock import MemoryLock
from tests.fakes.settable_clock import SettableClock
from tests.fixtures.manifests import NOW


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A plan in outline: its steps, which of them fail however, and from which it is finished."""

    steps: int = 3
    fails: frozenset[int] = frozenset()
    """Steps that fail after they took effect, which is the worst moment."""
    undo_fails: frozenset[int] = frozenset()
    asks: int | None = None
    forward_from: int | None = None
    with_guard: GuardResult | None = None

    def repaired(self) -> Shape:
        return replace(self, fails=frozenset(), undo_fails=frozenset())


@dataclass(slots=True)
class World:
    """What the steps did so far, in the order they did it."""

    effects: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    seen: list[Facts] = field(default_factory=list)

    def copy(self) -> World:
        return World(effects=list(self.effects), undone=list(self.undone), seen=list(self.seen))


class RecordingJournal:
    """A journal that remembers how the world was at each entry, and so every moment a process can be killed at."""

    def __init__(self, world: World, entries: Sequence[JournalEntry] = ()) -> None:
        self._world = world
        self._entries = list(entries)
        self.moments: list[tuple[tuple[JournalEntry, ...], World]] = []

    def append(self, entry: JournalEntry) -> None:
        self.moments.append((tuple(self._entries), self._world.copy()))
        self._entries.append(entry)
        self.moments.append((tuple(self._entries), self._world.copy()))

    def entries(self) -> tuple[JournalEntry, ...]:
        return tuple(self._entries)


class AnsweringConsent:
    """A person who says the same to every question, and whose questions are remembered."""

    def __init__(self, *, agrees: bool = True) -> None:
        self._agrees = agrees
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, plan: Plan, question: str, lines: Sequence[str]) -> bool:
        del plan
        self.asked.append((question, tuple(lines)))
        return self._agrees


class IdleRuntime:
    """All that carrying a plan out asks of a runtime: whether a server runs."""

    def observe(self) -> ServerState:
        return ServerState(state=RunState.RUNNING, detail="running", major=17, port=5433)


def plan_of(shape: Shape) -> Plan:
    steps = tuple(
        Step(name=f"s{n}", summary=f"do {n}", effect=Effect.ADDS, asks=n == shape.asks) for n in range(shape.steps)
    )
    return Plan(
        id="p1",
        verb="update",
        stack="led",
        created_at=NOW,
        headline="an update",
        steps=steps,
        params={"given": "at the start"},
        guards=(shape.with_guard,) if shape.with_guard else (),
        forward_from=None if shape.forward_from is None else f"s{shape.forward_from}",
    )


def actions_of(shape: Shape, world: World) -> tuple[Action, ...]:
    return tuple(_action(number, shape, world) for number in range(shape.steps))


def _action(number: int, shape: Shape, world: World) -> Action:
    name = f"s{number}"

    def run(facts: Facts) -> Facts:
        world.seen.append(dict(facts))
        if name not in world.effects:
            world.effects.append(name)
        if number in shape.fails:
            raise StratumError("query-failed", problem=f"{name} broke")
        return {name: number}

    def undo(facts: Facts) -> None:
        del facts
        if number in shape.undo_fails:
            raise StratumError("query-failed", problem=f"the way back of {name} broke")
        world.undone.append(name)
        if name in world.effects:
            world.effects.remove(name)

    return Action(
        name=name,
        run=run,
        undo=undo,
        known=lambda facts: tuple(f"{key}={value}" for key, value in facts.items()),
        took_effect=lambda _: name in world.effects,
    )


def prepared(shape: Shape, world: World) -> Prepared:
    return Prepared(plan=plan_of(shape), actions=actions_of(shape, world))


def _nothing() -> NoReturn:
    raise AssertionError("carrying a plan out copies no cluster")


def ports_over(journal: RecordingJournal, *, consent: AnsweringConsent | None = None) -> Ports:
    """Ports with a journal and a person; nothing else is touched by carrying a plan out."""
    from pathlib import Path

    clock = SettableClock(NOW)
    return Ports(
        stack=Stack(name="led", databases=("app",)),
        runtime=cast("Runtime", IdleRuntime()),
        archive=MemoryArchive(Path("never-written"), stack="led"),
        wal=DirectoryWalStore(Path("never-written"), stack="led"),
        replication=PostgresqlReplication(_nothing, lambda _: _nothing()),
        recovery=LocalRecovery(
            DirectoryWalStore(Path("never-written"), stack="led"),
            directory=Path("never-written"),
            installation=_nothing,
            run_as=None,
            runtime=cast("Runtime", IdleRuntime()),
        ),
        file_sets=FileSetDirectories({}, workspace=Path("never-written")),
        rehearsals=LocalRehearsals(
            RehearsalPlace(
                scratch=Path("never-written"),
                archive=Path("never-written"),
                directory=Path("never-written"),
                hidden=(),
                more={},
            ),
            installation=_nothing,
            run_as=None,
            environment=dict,
            port=lambda: 5432,
            secrets=(),
        ),
        journal=journal,
        lock=MemoryLock({}, clock=clock, who="tester"),
        clock=clock,
        progress=SilentProgress(),
        consent=consent or AnsweringConsent(),
        files=StackFilesOnDisk(directory=Path("never-written"), environment={}),
        services=LocalServices(Path("never-written"), wishes={}, build=lambda _: ()),
        project=None,
        inside=False,
        run=run_plan,
        who="tester",
    )
