"""A release beside the one that serves: second containers of the services that nginx leads visitors to.

They are one-off containers of Compose with the service's own settings, but for two things: no port of theirs is
published, and where a setting names one of these services it names the second container, so that each release speaks to
itself alone. nginx leads visitors to them and back without turning anybody away (docker/nginx/switch.sh).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stratum.adapters.compose_answers import last_lines
from stratum.adapters.container_health import wait_until_well
from stratum.adapters.docker import Docker
from stratum.adapters.process import Completed
from stratum.core.errors import StratumError

LED_TO = ("backend", "frontend")
"""The services that nginx.conf knows, each after those it asks."""
_NGINX = "nginx"
_LABEL = "fr.stratum.role=second"
_SWITCH = "/etc/stratum-nginx/switch.sh"
_PATIENCE_SECONDS, _SWITCH_SECONDS = 20, 60.0
_LOG_LINES = 25
_HOST = re.compile(r"(?:(?<=^)|(?<=,)|(?<=//)|(?<=@))[A-Za-z0-9_-]+(?=$|[,:/])")
"""A whole item of a list by commas, or the host of an address."""
_VISIT = re.compile(r'" (?P<status>\d{3}) \d+ [\d.]+$', re.MULTILINE)
"""The end of a line of nginx.conf's log format `visits`, behind the address that was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeSideBySide:
    """One project, as far as two of its releases beside each other need it."""

    docker: Docker
    project: str
    compose: Callable[..., Completed]
    """Runs a command of Compose with the project's files; raises `tool-failed`."""
    config: Callable[[], Mapping[str, Any]]
    """The project as Compose reads it."""
    running: Callable[[], frozenset[str]]
    """Services whose container runs."""

    def refuse_impossible(self) -> None:
        """Raises `no-downtime-impossible` where nobody can lead visitors from one container to another."""
        missing = [name for name in (_NGINX, *LED_TO) if name not in self.running()]
        if missing:
            problem = f"{', '.join(missing)} of the project does not run, and nginx is what leads visitors"
            raise StratumError("no-downtime-impossible", problem=problem)
        try:
            self.compose("exec", "-T", _NGINX, "test", "-f", _SWITCH, "-a", "-f", "/tmp/nginx/upstreams.conf")  # noqa: S108 - in the container
        except StratumError as error:
            if error.code != "tool-failed":
                raise
            problem = (
                "the nginx that runs was started from files of an older Stratum, without switch.sh in docker/nginx"
            )
            raise StratumError("no-downtime-impossible", problem=problem) from None

    def start(self) -> None:
        """Start the second containers from the images that bear the services' names now, and wait until all are well.

        Nobody is led to them yet. Raises `container-not-serving`.
        """
        self.end()
        services = self.config()["services"]
        for service in LED_TO:
            told = _render_override(service, services[service].get("environment") or {}, self._names())
            self.compose("--file", "-", "run", "--detach", "--no-deps", f"--label={_LABEL}", "--name",
                         self._name(service), service, told=told)  # fmt: skip
            checked = bool(services[service].get("healthcheck"))
            if not wait_until_well(self.docker, self._name(service), checked=checked):
                raise self._not_serving(service)

    def host_of(self, service: str, *, second: bool) -> str:
        """The name by which other containers reach a service, or its `second` container where it has one."""
        return self._names().get(service, service) if second else service

    def refuse_unwell(self) -> None:
        """Raises `container-not-serving` for a second container that is not well, or not well any more."""
        for service in LED_TO:
            answer = self.docker.run(("inspect", "--format", "{{json .State}}", self._name(service)), accept=(0, 1))
            state: dict[str, Any] = json.loads(answer.stdout) if answer.exit_code == 0 else {}
            if not state.get("Running") or state.get("Health", {}).get("Status", "healthy") != "healthy":
                raise self._not_serving(service)

    def lead_to_second(self) -> int:
        """Have nginx lead visitors there; returns how many of its workers were still busy with what was before.

        Raises `visitors-not-led`; then they are led where they were led before.
        """
        return self._lead(self._names())

    def lead_to_own(self) -> int:
        """Have nginx lead visitors to the services' own containers again; as `lead_to_second`."""
        return self._lead({service: service for service in LED_TO})

    def end(self) -> None:
        """Stop and remove the second containers. None there is no error."""
        of_ours = ("--filter", f"label={_LABEL}", "--filter", f"label=com.docker.compose.project={self.project}")
        left = self.docker.run(("ps", "--all", "--quiet", *of_ours)).stdout.split()
        if left:
            self.docker.run(("stop", *left), accept=(0, 1))
            self.docker.run(("rm", "--force", "--volumes", *left), accept=(0, 1))

    def visits_since(self, began: datetime) -> tuple[int, int]:
        """How many requests nginx answered since then, and how many of them with an error of the services'."""
        said = self.compose("logs", "--no-color", "--no-log-prefix", f"--since={began.isoformat()}", _NGINX).stdout
        statuses = [found["status"] for found in _VISIT.finditer(said)]
        return len(statuses), sum(status.startswith("5") for status in statuses)

    def _lead(self, names: Mapping[str, str]) -> int:
        words = (names["frontend"], names["backend"], str(_PATIENCE_SECONDS))
        try:
            answer = self.compose("exec", "-T", _NGINX, "bash", _SWITCH, *words, seconds=_SWITCH_SECONDS)
        except StratumError as error:
            if error.code != "tool-failed":
                raise
            raise StratumError("visitors-not-led", problem=last_lines(error.details["stderr"])) from None
        return int(answer.stdout)

    def _name(self, service: str) -> str:
        return f"{self.project}-{service}-second"

    def _names(self) -> dict[str, str]:
        return {service: self._name(service) for service in LED_TO}

    def _not_serving(self, service: str) -> StratumError:
        said = self.docker.run(("logs", f"--tail={_LOG_LINES}", self._name(service)), accept=(0, 1))
        log = " | ".join(line.strip() for line in f"{said.stdout}\n{said.stderr}".splitlines() if line.strip())
        return StratumError("container-not-serving", service=f"{service} of the new release", state="not healthy",
                            log=log or "it left no log")  # fmt: skip


def _render_override(service: str, environment: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """A Compose file in which the settings that name one of these services name its second container instead.

    Compose has doubled each dollar sign already that is not its own.
    """
    changed = {}
    for variable, value in environment.items():
        renamed = _HOST.sub(lambda found: names.get(found[0], found[0]), str(value))
        if renamed != str(value):
            changed[variable] = renamed
    return json.dumps({"services": {service: {"environment": changed} if changed else {}}})
