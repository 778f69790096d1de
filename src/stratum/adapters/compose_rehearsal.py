"""Rehearses on Docker: the new images run beside a clone, in a network that holds the clone and nothing else.

The clone is made inside `backup`. A relay, in a container without a network, passes connections to it; the new version
shares that container's loopback, and finds the clone there under the real server's name. Whatever it is configured
with stays as it is in production, and whatever else it calls does not exist.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stratum.adapters.application_command import secrets_in, without_secret
from stratum.adapters.compose_answers import parse_verb_answer
from stratum.adapters.container_health import START_SECONDS, STEADY_SECONDS, wait_until_well
from stratum.adapters.conversation import Conversation
from stratum.adapters.database_url import ServerAddress
from stratum.adapters.docker import Docker
from stratum.adapters.leash import Leash, told_inside
from stratum.adapters.process import Completed
from stratum.adapters.records import parse_plain, to_json
from stratum.core.containers import BACKUP, HOST_VARIABLE, INSIDE_DIRECTORY
from stratum.core.errors import StratumError
from stratum.core.rehearsal import Acted, CommandRun, Rehearsal, RehearsalOrder
from stratum.core.side_by_side import OF_BEFORE

_SECONDS, _POLL_SECONDS = 24 * 3600.0, 0.2
_LABEL, _LOG_LINES = "fr.stratum.role=command", 25
_OVERRIDE = """services:
  {service}:
    network_mode: "container:{relay}"
    networks: !reset []
    ports: !reset []
    extra_hosts: !reset []
    depends_on: !reset {{}}
    environment: {environment}
"""
_IMAGE = """    image: {image}
    pull_policy: never
    build: !reset null
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeRehearsal:
    """One project, as far as a rehearsal needs it."""

    docker: Docker
    project: str
    environment: Mapping[str, str] = field(repr=False)
    """Of .env."""
    address: ServerAddress
    """Where the project's services find the real server."""
    argv: Callable[..., tuple[str, ...]]
    """A command of Compose with the project's files."""
    more: Mapping[str, str]
    config: Mapping[str, Any]
    """The project as Compose reads it."""

    def run(self, order: RehearsalOrder, *, under: str | None, archive: Path) -> Rehearsal:
        """Have the clone made inside, run the new version on it here, and have both compared there."""
        if not order.migrate and not order.start:
            raise StratumError("nothing-to-rehearse", problem="there is no migrate command, and nothing is started")
        if order.service not in self.config["services"]:
            problem = f"there is no service {order.service}; [commands] service of stratum.toml names another"
            raise StratumError("nothing-to-rehearse", problem=problem)
        leash = Leash(archive)
        words = ("exec", "-T", *told_inside(under, leash.name), BACKUP, "stratum", "rehearsal-clone")
        chosen = (order.backup_id,) if order.backup_id else ()
        environment = self.docker.environment | dict(self.more)
        try:
            with Conversation(
                self.argv(*words, *chosen, "--json"), env=environment, cwd=self.docker.directory
            ) as there:
                clone = Path(_answer(there)["socket"])
                there.say(to_json(self._act(order, clone)))
                found = parse_plain(Rehearsal, _answer(there), file="the answer of backup")
                _wait_for_the_end(there)
                return found
        finally:
            leash.let_go()

    def _act(self, order: RehearsalOrder, clone: Path) -> Acted:
        directory = tempfile.TemporaryDirectory(prefix="stratum-rehearsal-")
        with self._relay(clone, order.service) as relay, directory as private:
            override = Path(private) / "override.yaml"
            override.touch(mode=0o600)
            text = _OVERRIDE.format(service=order.service, relay=relay, environment=json.dumps(order.environment))
            override.write_text(text + _render_image(order.image), encoding="utf-8")
            runs = [self._migrate(order, override)] if order.migrate else []
            if any(not run.ok for run in runs):
                return Acted(runs=tuple(runs))
            if not order.start:
                return Acted(runs=tuple(runs), notes=(f"{order.service} was not started on the clone",))
            served, notes = self._serve(order, override, order.service, checks=order.checks)
            started, runs = (order.service,) if served[0].ok else (), [*runs, *served]
            if all(run.ok for run in served) and order.image_of_before:
                override.write_text(text + _render_image(order.image_of_before), encoding="utf-8")
                # What a new release has to do, the one before it may never have done.
                runs += self._serve(order, override, OF_BEFORE.format(service=order.service), checks={})[0]
            return Acted(runs=tuple(runs), started=started, notes=notes)

    @contextmanager
    def _relay(self, clone: Path, service: str) -> Iterator[str]:
        """A container without a network that passes connections to the clone; its id.

        Whoever shares its loopback finds the service there by its name as well.
        """
        volume = self.config["volumes"]["scratch"]["name"]
        hosts = (f"--add-host={host}:127.0.0.1" for host in (self.address.host, service))
        argv = ("run", "--detach", "--rm", "--init", "--network=none", *hosts, "--read-only", "--cap-drop=ALL",
                "--security-opt=no-new-privileges", *self._labels(), "--volume", f"{volume}:{INSIDE_DIRECTORY}",
                "--entrypoint=stratum-container", f"{self.project}-{BACKUP}", "relay", str(clone),
                str(self.address.port))  # fmt: skip
        relay = self.docker.run(argv).stdout.strip()
        try:
            self._wait_for("the relay to the clone", lambda: "ready" in self.docker.run(("logs", relay)).stdout)
            yield relay
        finally:
            self.docker.run(("rm", "--force", relay), accept=(0, 1))

    def _labels(self) -> tuple[str, ...]:
        """By these the next command finds what a killed one left."""
        of_project = f"com.docker.compose.project={self.project}"
        return ("--label", _LABEL, "--label", of_project, "--label", "com.docker.compose.oneoff=True")

    def _migrate(self, order: RehearsalOrder, override: Path) -> CommandRun:
        return self._command(order.service, override, "migrate", order.migrate)

    def _command(
        self, service: str, override: Path, name: str, argv: tuple[str, ...], *, told: Mapping[str, str] | None = None
    ) -> CommandRun:
        began = time.monotonic()
        variables = [f"--env={key}={value}" for key, value in (told or {}).items()]
        done = self._compose(override, "run", "--rm", "--no-deps", "-T", f"--label={_LABEL}", *variables, service,
                             *argv)  # fmt: skip
        return self._run(name, began, ok=done.exit_code == 0, said=done.stderr or done.stdout)

    def _serve(
        self, order: RehearsalOrder, override: Path, name: str, *, checks: Mapping[str, tuple[str, ...]]
    ) -> tuple[list[CommandRun], tuple[str, ...]]:
        """Start the service, wait until it is healthy, or steady where it has no health check, and run the checks."""
        began = time.monotonic()
        done = self._compose(override, "run", "--detach", "--no-deps", f"--label={_LABEL}", order.service)
        if done.exit_code != 0:
            return [self._run(name, began, ok=False, said=done.stderr)], ()
        container = done.stdout.split()[-1]
        checked = bool(self.config["services"][order.service].get("healthcheck"))
        told = {HOST_VARIABLE: order.service}
        notes = () if checked else (f"{order.service} has no health check: it ran on for {STEADY_SECONDS:.0f} s",)
        try:
            ok = wait_until_well(self.docker, container, checked=checked)
            log = self.docker.run(("logs", f"--tail={_LOG_LINES}", container), accept=(0, 1))
            runs = [self._run(name, began, ok=ok, said=f"{log.stdout}\n{log.stderr}")]
            for check, argv in checks.items():
                if runs[-1].ok:
                    runs.append(self._command(order.service, override, check, argv, told=told))
            return runs, notes
        finally:
            self.docker.run(("rm", "--force", "--volumes", container), accept=(0, 1))

    def _run(self, name: str, began: float, *, ok: bool, said: str) -> CommandRun:
        """What it said goes into a record that is kept, and clients like to print the address they were given."""
        for secret in () if ok else secrets_in(self.environment):
            said = without_secret(said, secret)
        return CommandRun(name=name, ok=ok, seconds=round(time.monotonic() - began, 3), said="" if ok else said.strip())

    def _compose(self, override: Path, *arguments: str) -> Completed:
        words = self.argv("--file", str(override), *arguments)[1:]
        return self.docker.run(words, seconds=_SECONDS, accept=range(256), more=self.more)

    def _wait_for(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                raise StratumError("rehearsal-broke-off", problem=f"{what} did not come up")
            time.sleep(_POLL_SECONDS)


def _render_image(image: str | None) -> str:
    return _IMAGE.format(image=json.dumps(image)) if image else ""


def _answer(there: Conversation) -> dict[str, Any]:
    """The next JSON object from inside; its refusal is raised as our own error."""
    text = ""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        lines = there.read(wait_seconds=1.0)
        if lines is None:
            break
        text += "".join(line.decode("utf-8", "replace") + "\n" for line in lines)
        if lines and _is_whole(text):
            break
    return parse_verb_answer(Completed(exit_code=0, stdout=text, stderr=""))


def _wait_for_the_end(there: Conversation) -> None:
    """The clone is removed before the lock is let go, and what comes next wants that lock."""
    deadline = time.monotonic() + START_SECONDS
    while there.read(wait_seconds=1.0) is not None and time.monotonic() < deadline:
        pass


def _is_whole(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True
