"""Starts the services of a Compose project, all with what they depend on or some apart from the others, and waits.

Those apart are made so that a later `up` finds them as it wants them: `docker compose up --no-deps` of Compose 2.26 and
2.29 leaves out what a service depends on before it takes the digest of its configuration, and the next `up` makes the
container once more (https://github.com/docker/compose/issues/12069).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stratum.adapters.compose_answers import last_lines
from stratum.adapters.compose_reach import not_started, render_unpublished
from stratum.adapters.docker import Docker
from stratum.adapters.process import Completed
from stratum.core.containers import GUARD, ContainerState
from stratum.core.errors import StratumError

_SECONDS, _POLL_SECONDS = 300.0, 0.1
_LOOK = '{{index .Config.Labels "com.docker.compose.config-hash"}} {{.Image}} {{.Config.Image}}'


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeStart:
    """One project, as far as its containers are made and started."""

    docker: Docker
    compose: Callable[..., Completed]
    """Runs a command of Compose with the project's files; raises `tool-failed`."""
    config: Callable[[], Mapping[str, Any]]
    """The project as Compose reads it."""
    containers: Callable[[], tuple[ContainerState, ...]]
    log: Callable[[str, int], list[str]]
    application: Callable[[], tuple[str, ...]]
    """Its services, which no port is published of where that is wished."""

    def up(self, services: Sequence[str], *, recreate: bool, alone: bool, unpublished: bool) -> None:
        """As `ComposeProject.start` says."""
        if alone and not self._would_touch_more(services):
            self._start_alone(services, recreate=recreate)
            return
        hidden = render_unpublished(self.config()["services"], self.application()) if unpublished else None
        arguments = ["--file", "-"] if hidden else []
        arguments += ["up", "--detach", "--wait", "--quiet-pull", "--remove-orphans"]
        arguments += ["--force-recreate"] if recreate else []
        arguments += ["--no-deps"] if alone else []
        arguments += [f"--wait-timeout={_SECONDS:.0f}", *services]
        answer = self.compose(*arguments, seconds=_SECONDS + 60, accept=range(256), told=hidden)
        if answer.exit_code != 0 and not services and self._guard_let_pass():
            # Where nothing depends on the guard, Compose takes its good end for a failure: wait for all but it.
            rest = tuple(name for name in self.config()["services"] if name != GUARD)
            answer = self.compose(*arguments, *rest, seconds=_SECONDS + 60, accept=range(256), told=hidden)
        if answer.exit_code != 0:
            raise self._failure(answer.stderr)

    def _guard_let_pass(self) -> bool:
        return any(s.service == GUARD and s.state == "exited" and s.exit_code == 0 for s in self.containers())

    def _failure(self, said: str) -> StratumError:
        """Whose fault it is that not all came up, by what Docker says of them."""
        return not_started({state.service: state for state in self.containers()}, self.log, said)

    def _would_touch_more(self, services: Sequence[str]) -> bool:
        """Whether making these as `up` would touches one that they depend on: it is not there, or not as wished.

        The guard does not count. It serves nobody, and is asked again.
        """
        there = {state.service: state.container for state in self.containers()}
        needed = self._needed(services)
        if any(name not in there for name in needed):
            return True
        if not needed:
            return False
        listed = self.docker.run(("inspect", "--format", _LOOK, *(there[name] for name in needed))).stdout.splitlines()
        wanted = dict(
            line.split() for line in self.compose("config", "--hash", "*").stdout.splitlines() if line.strip()
        )
        for name, (digest, image, tag) in zip(needed, (line.split() for line in listed), strict=True):
            now = self.docker.run(("image", "inspect", "--format", "{{.Id}}", tag), accept=(0, 1)).stdout.strip()
            if wanted.get(name) != digest or now != image:
                return True
        return False

    def _start_alone(self, services: Sequence[str], *, recreate: bool) -> None:
        """Make these anew where they are not as wished, and wait until each is healthy, or ended well.

        The guard is asked first where it was made anew as well. Raises `guard-refused` and `container-not-serving`.
        """
        anew = ("--force-recreate",) if recreate else ()
        made = self.compose("create", *anew, *services, seconds=_SECONDS, accept=range(256))
        if made.exit_code != 0:
            raise self._failure(made.stderr)
        states = self.containers()
        if any(state.service == GUARD and state.state == "created" for state in states):
            self._ask_guard()
        waiting = [state.container for state in states if state.service in services and state.state != "running"]
        started = self.docker.run(("start", *waiting), accept=range(256)) if waiting else None
        if started is not None and started.exit_code != 0:
            # Such as a port that is taken: the container itself left no word.
            raise StratumError("compose-failed", problem=last_lines(started.stderr))
        deadline = time.monotonic() + _SECONDS
        while not all(_is_up(state) for state in self._of(services)):
            if time.monotonic() > deadline or any(_has_failed(state) for state in self._of(services)):
                raise self._failure("it did not become healthy")
            time.sleep(_POLL_SECONDS)

    def _ask_guard(self) -> None:
        (guard,) = (state.container for state in self.containers() if state.service == GUARD)
        self.docker.run(("start", guard))
        if self.docker.run(("wait", guard), seconds=_SECONDS).stdout.strip() != "0":
            raise self._failure("the guard refused")

    def _of(self, services: Sequence[str]) -> Iterator[ContainerState]:
        return (state for state in self.containers() if state.service in services)

    def _needed(self, services: Sequence[str]) -> tuple[str, ...]:
        """What these depend on, and what that depends on; neither these themselves nor the guard."""
        known, found, left = self.config()["services"], dict[str, None](), list(services)
        while left:
            for name in known.get(left.pop(), {}).get("depends_on") or {}:
                if name not in found:
                    found[name] = None
                    left.append(name)
        return tuple(name for name in found if name not in services and name != GUARD)


def _is_up(state: ContainerState) -> bool:
    return state.serves or (state.state == "exited" and state.exit_code == 0)


def _has_failed(state: ContainerState) -> bool:
    ended_badly = state.state in {"exited", "dead"} and state.exit_code != 0
    return ended_badly or state.state == "restarting" or state.health == "unhealthy"
