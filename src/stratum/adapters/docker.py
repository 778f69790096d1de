"""Runs the `docker` program; says in the house's own errors when there is no engine, or an old one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from stratum.adapters.process import Completed, run_tool
from stratum.core.containers import DockerVersions
from stratum.core.errors import StratumError

OLDEST_ENGINE, OLDEST_COMPOSE = (25, 0), (2, 24)
"""`start_interval` of a health check needs the first, merging of several `<<` lists and `include` the second."""
_QUICK_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Docker:
    """The program, run in a directory with an environment of its own."""

    directory: Path
    hidden: frozenset[str] = frozenset()
    """Variables the calling shell may have set that must not reach Compose: .env alone decides."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """Variables that Compose is told another value of than .env has."""

    @cached_property
    def environment(self) -> dict[str, str]:
        """Ours, without what would divert Compose from the files of this stack."""
        diverting = {"COMPOSE_PROJECT_NAME", "COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES"} | self.hidden
        return {name: value for name, value in os.environ.items() if name not in diverting} | dict(self.instead)

    def run(
        self,
        arguments: Sequence[str],
        *,
        seconds: float = _QUICK_SECONDS,
        told: str | None = None,
        accept: Sequence[int] = (0,),
        more: Mapping[str, str] | None = None,
        part: Callable[[], None] | None = None,
    ) -> Completed:
        """Raises `docker-missing`, `docker-unreachable`, and what `run_tool` raises."""
        try:
            return run_tool(
                ("docker", *arguments),
                timeout_seconds=seconds,
                env=self.environment | dict(more or {}),
                cwd=self.directory,
                told=told,
                accept=accept,
                part=part,
            )
        except StratumError as error:
            raise _translated(error) from None

    def check(self) -> DockerVersions:
        """What answers. Raises `docker-missing`, `docker-unreachable` and `docker-too-old`."""
        engine = self.run(("version", "--format", "{{.Server.Version}}")).stdout.strip()
        try:
            compose = self.run(("compose", "version", "--short")).stdout.strip()
        except StratumError as error:
            if error.code != "tool-failed":
                raise
            raise StratumError("docker-too-old", what="Docker Compose v2", found="none", wanted="2.24") from None
        for what, found, wanted in (
            ("Docker Engine", engine, OLDEST_ENGINE),
            ("Docker Compose", compose, OLDEST_COMPOSE),
        ):
            if version_of(found) < wanted:
                raise StratumError("docker-too-old", what=what, found=found, wanted=".".join(map(str, wanted)))
        return DockerVersions(engine=engine, compose=compose)

    def layers(self, image: str) -> tuple[str, ...]:
        """The digests of a local image's layers, the lowest first; empty where there is no such image."""
        answer = self.run(("image", "inspect", "--format", "{{json .RootFS.Layers}}", image), accept=(0, 1))
        return tuple(json.loads(answer.stdout)) if answer.exit_code == 0 else ()

    def variable(self, image: str, name: str) -> str | None:
        """What a local image sets an environment variable to; None where it sets none, or is not there."""
        answer = self.run(("image", "inspect", "--format", "{{json .Config.Env}}", image), accept=(0, 1))
        found = dict(entry.split("=", 1) for entry in json.loads(answer.stdout) or ()) if answer.exit_code == 0 else {}
        return found.get(name)

    def root(self) -> Path:
        """Where the engine keeps its volumes. Raises `docker-missing` and `docker-unreachable`."""
        return Path(self.run(("info", "--format", "{{.DockerRootDir}}")).stdout.strip())


def version_of(text: str) -> tuple[int, int]:
    """The first two numbers of `v2.26.1-4` or `26.1.5+dfsg1`; zeros where there are none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _translated(error: StratumError) -> StratumError:
    if error.code == "tool-missing":
        return StratumError("docker-missing")
    said = error.details.get("stderr", "")
    if error.code == "tool-failed" and _is_unreachable(said):
        return StratumError("docker-unreachable", problem=said.strip().splitlines()[-1])
    return error


def _is_unreachable(said: str) -> bool:
    """Docker has no exit code of its own for this; the words are in its client since 2014."""
    return "Cannot connect to the Docker daemon" in said or "permission denied while trying to connect" in said
