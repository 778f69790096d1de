"""Who can reach the services of a Compose project from outside, and whether they stay up once they were started."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stratum.adapters.compose_answers import last_lines
from stratum.adapters.docker import Docker
from stratum.core.containers import BACKUP, GUARD, POSTGRES, ContainerState
from stratum.core.errors import StratumError

_LOG_LINES, _OWN_LOG_LINES = 25, 5


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeReach:
    """What an update has to know before it starts a release that nobody may write to yet."""

    docker: Docker
    config: Callable[[], dict[str, Any]]
    """The project as Compose reads it, of every profile that is on."""
    containers: Callable[[], tuple[ContainerState, ...]]
    log: Callable[[str, int], list[str]]

    def beside(self) -> tuple[str, ...]:
        """Services that run although the profile they belong to is off: a proxy that was started by name, say."""
        known = {GUARD, BACKUP, POSTGRES, *self.config()["services"]}
        return tuple(state.service for state in self.containers() if state.service not in known and _runs(state))

    def always(self, services: Iterable[str]) -> tuple[str, ...]:
        """Services that are reached from outside although no port of theirs is published.

        They are on the network of the machine itself, of another container, or on one that the project shares.
        """
        found = self.config()
        shared = {name for name, spec in (found.get("networks") or {}).items() if (spec or {}).get("external")}
        return tuple(name for name in services if _is_shared(found["services"].get(name) or {}, shared))

    def refuse_unsteady(self, services: Iterable[str]) -> None:
        """Raises `container-not-serving` for one that ended badly, was started again, or is not healthy any more."""
        wanted = set(services)
        states = [state for state in self.containers() if state.service in wanted]
        again = self._started_again(states)
        for state in states:
            ended_well = state.state == "exited" and state.exit_code == 0
            if state.container in again or not (state.serves or ended_well):
                raise _not_serving(state, self.log)

    def _started_again(self, states: Sequence[ContainerState]) -> set[str]:
        """Containers that the engine had to start again since they were made."""
        if not states:
            return set()
        names = tuple(state.container for state in states)
        listed = self.docker.run(("container", "inspect", "--format", "{{.Name}} {{.RestartCount}}", *names)).stdout
        pairs = (line.removeprefix("/").split() for line in listed.splitlines() if line.strip())
        return {name for name, count in pairs if count != "0"}


def render_unpublished(services: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """A Compose file that takes every published port from these services; None where they have none.

    (https://docs.docker.com/reference/compose-file/merge/#reset-value)
    """
    hidden = [name for name in names if services[name].get("ports")]
    if not hidden:
        return None
    # A name is quoted as JSON quotes it, which YAML reads too.
    return "services:\n" + "".join(f"  {json.dumps(name)}:\n    ports: !reset []\n" for name in hidden)


def not_started(states: Mapping[str, ContainerState], log: Callable[[str, int], list[str]], said: str) -> StratumError:
    """Whose fault it is: the guard's refusal explains all that waits behind it."""
    guard = states.get(GUARD)
    if guard is not None and guard.state == "exited" and guard.exit_code != 0:
        return StratumError("guard-refused", said=" ".join(log(GUARD, _LOG_LINES)) or "it said nothing")
    for state in states.values():
        if not state.serves and not (state.service == GUARD and state.exit_code == 0):
            return _not_serving(state, log)
    # One that is started again and again may look well for the moment in which it was asked.
    named = [state for state in states.values() if f"container {state.container} " in f"{said} "]
    if named:
        return _not_serving(named[0], log)
    return StratumError("compose-failed", problem=last_lines(said))


def _not_serving(state: ContainerState, log: Callable[[str, int], list[str]]) -> StratumError:
    said = " | ".join(line.strip() for line in log(state.service, _OWN_LOG_LINES)) or "it left no log"
    word = state.health or f"{state.state}, exit code {state.exit_code}"
    return StratumError("container-not-serving", service=state.service, state=word, log=said)


def _runs(state: ContainerState) -> bool:
    return state.state in {"running", "restarting"}


def _is_shared(service: Mapping[str, Any], shared: set[str]) -> bool:
    mode = str(service.get("network_mode") or "")
    return mode == "host" or mode.startswith("container:") or bool(shared & set(service.get("networks") or {}))
