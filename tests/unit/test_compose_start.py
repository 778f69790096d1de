"""Services that are started apart from the others: when they are made as `up` would, and when they must not be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from stratum.adapters.compose_reach import not_started
from stratum.adapters.compose_start import ComposeStart
from stratum.adapters.docker import Docker
from stratum.adapters.process import Completed
from stratum.core.containers import ContainerState
from stratum.core.errors import StratumError

_CONFIG: dict[str, Any] = {
    "services": {
        "postgres": {},
        "guard": {"depends_on": {"postgres": {}}},
        "app": {"depends_on": {"postgres": {}, "guard": {}}},
    }
}


@dataclass(kw_only=True, slots=True)
class FakeEngine:
    """Docker and Compose at once: containers by service, and every command that was given."""

    states: dict[str, tuple[str, int]] = field(
        default_factory=lambda: {"postgres": ("running", 0), "guard": ("exited", 0), "app": ("exited", 143)}
    )
    recorded: str = "digest-of-postgres"
    """What the container of postgres was made from."""
    image: str = "sha256:1"
    """What the name of its image stands for now."""
    fails: str = ""
    """The command that does."""
    commands: list[tuple[str, ...]] = field(default_factory=list)

    def compose(self, *arguments: str, **_: object) -> Completed:
        self.commands.append(("compose", *arguments))
        if arguments[0] == "config":
            return _said("postgres digest-of-postgres\napp digest-of-app\n")
        if arguments[0] in {"create", "up"}:
            made = "created" if arguments[0] == "create" else "running"
            self.states["app"] = (made, 0)
        return self._answer(arguments[0])

    def run(self, arguments: Sequence[str], **_: object) -> Completed:
        self.commands.append(tuple(arguments))
        if arguments[0] == "inspect":
            return _said(f"{self.recorded} sha256:1 postgres:16\n")
        if arguments[:2] == ("image", "inspect"):
            return _said(f"{self.image}\n")
        if arguments[0] == "wait":
            return _said(f"{self.states['guard'][1]}\n")
        answer = self._answer(arguments[0])
        if arguments[0] == "start" and answer.exit_code == 0:
            for name in arguments[1:]:
                service = name.removeprefix("shop-")
                self.states[service] = ("exited", self.states[service][1]) if service == "guard" else ("running", 0)
        return answer

    def containers(self) -> tuple[ContainerState, ...]:
        return tuple(
            ContainerState(service=name, container=f"shop-{name}", state=state, health="", exit_code=code)
            for name, (state, code) in self.states.items()
        )

    def _answer(self, command: str) -> Completed:
        failed = command == self.fails
        return Completed(exit_code=int(failed), stdout="", stderr="port is already allocated" if failed else "")


def _said(text: str) -> Completed:
    return Completed(exit_code=0, stdout=text, stderr="")


def _start(engine: FakeEngine) -> list[str]:
    """Start `app` alone; the first words of what was done then, but for what only looks."""
    ComposeStart(
        docker=cast("Docker", engine),
        compose=engine.compose,
        config=lambda: _CONFIG,
        containers=engine.containers,
        log=lambda service, lines: [f"{service}, {lines} lines"],
        application=lambda: ("app",),
    ).up(("app",), recreate=False, alone=True, unpublished=False)
    words = [" ".join(one[:2]) for one in engine.commands]
    return [word for word in words if not word.startswith(("inspect", "image inspect", "compose config"))]


def test_one_is_made_as_up_would_make_it_and_started() -> None:
    assert _start(FakeEngine()) == ["compose create", "start shop-app"]


@pytest.mark.parametrize(
    "engine",
    [
        FakeEngine(recorded="another-digest"),
        FakeEngine(image="sha256:2"),
        FakeEngine(states={"guard": ("exited", 0), "app": ("exited", 0)}),
    ],
    ids=["other settings", "a newer image", "not there"],
)
def test_what_it_depends_on_is_never_touched(engine: FakeEngine) -> None:
    """`compose create` would make the database anew, and leave it stopped."""
    assert _start(engine) == ["compose up"]
    assert "--no-deps" in engine.commands[-1]


def test_a_guard_that_was_made_anew_is_asked_first() -> None:
    engine = FakeEngine()
    engine.states["guard"] = ("created", 0)

    assert _start(engine) == ["compose create", "start shop-guard", "wait shop-guard", "start shop-app"]


def test_where_that_guard_refuses_nothing_is_started() -> None:
    engine = FakeEngine()
    engine.states["guard"] = ("created", 1)

    with pytest.raises(StratumError) as raised:
        _start(engine)

    assert raised.value.code == "guard-refused"
    assert ("start", "shop-app") not in engine.commands


def test_why_docker_did_not_start_one_is_said() -> None:
    with pytest.raises(StratumError) as raised:
        _start(FakeEngine(fails="start"))

    assert raised.value.code == "compose-failed"
    assert "port is already allocated" in raised.value.message


def test_what_cannot_be_made_is_not_started() -> None:
    engine = FakeEngine(fails="create")

    with pytest.raises(StratumError):
        _start(engine)

    assert "start" not in {command[0] for command in engine.commands}


def test_one_that_ends_badly_is_not_waited_for() -> None:
    class Dying(FakeEngine):
        def containers(self) -> tuple[ContainerState, ...]:
            if self.commands and self.commands[-1][0] == "start":
                self.states["app"] = ("exited", 3)
            return FakeEngine.containers(self)

    with pytest.raises(StratumError) as raised:
        _start(Dying())

    assert raised.value.code == "container-not-serving"


def test_one_that_compose_names_is_named_though_it_looks_well_at_this_moment() -> None:
    state = ContainerState(service="postgres", container="shop-postgres", state="running", health="", exit_code=0)

    error = not_started({"postgres": state}, lambda *_: ["no pg_control"], "container shop-postgres is unhealthy\n")

    assert error.code == "container-not-serving"
    assert "no pg_control" in error.message
