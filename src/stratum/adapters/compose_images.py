"""The images of a Compose project: which are missing, and the second names that lead back to what ran before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from stratum.adapters.compose_answers import repository, tagged
from stratum.adapters.docker import Docker
from stratum.core.containers import BACKUP, GUARD

_MAJOR = "PG_MAJOR"
"""What the official images say of themselves, and what is built from them inherits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeImages:
    """The images that a project builds."""

    docker: Docker
    project: str
    """The project's name."""
    base: str
    """The database's image, which that of `backup` is built from."""
    services: Callable[[], dict[str, Any]]
    """Services as Compose reads them."""
    containers: Callable[[], dict[str, str]]
    """Each service's container, of those there are."""

    def missing(self) -> tuple[str, ...]:
        """Services whose image was not built yet, and `backup` where its own is of another image than the database."""
        built = self.built()
        if not built:
            return ()
        there = self._names()
        missing = tuple(name for name, image in built.items() if image not in there)
        return missing or ((BACKUP,) if BACKUP in built and self._is_of_another_base(built[BACKUP]) else ())

    def _is_of_another_base(self, image: str) -> bool:
        """Whether the tools in it are another PostgreSQL's: an image begins with the layers it was built from."""
        base = self.docker.layers(self.base)
        return self.docker.layers(image)[: len(base)] != base

    def keep(self, label: str) -> dict[str, str]:
        """Tag the images that containers run now, so that no build takes them away; by name where there is none.

        A service's name may stand for an image already that was built and never started.
        """
        kept = {}
        made = self.containers()
        for name, image in self.built().items():
            if name != GUARD:
                kept[name] = f"{repository(image)}:{label}"
                self.docker.run(("tag", self._image_of(made.get(name, "")) or image, kept[name]))
        return kept

    def _image_of(self, container: str) -> str:
        """The image a container was made from, also when no name is left to it; empty where there is no container."""
        answer = self.docker.run(("container", "inspect", "--format", "{{.Image}}", container), accept=(0, 1))
        return answer.stdout.strip()

    def in_use(self) -> dict[str, str]:
        """By service, the digest of the image its container was made from."""
        made = self.containers()
        if not made:
            return {}
        answer = self.docker.run(("container", "inspect", "--format", "{{.Name}} {{.Image}}", *made.values()))
        images = dict(line.removeprefix("/").split() for line in answer.stdout.splitlines() if line.strip())
        return {service: images[container] for service, container in made.items() if container in images}

    def kept(self, label: str) -> dict[str, str]:
        """Service and second name of those that are still there."""
        there = self._names()
        named = {name: f"{repository(image)}:{label}" for name, image in self.built().items()}
        return {name: second for name, second in named.items() if second in there}

    def gone(self, label: str, services: Collection[str]) -> tuple[str, ...]:
        """Those of these services that are built here and whose second name is gone."""
        there = self.kept(label)
        return tuple(name for name in self.built() if name in services and name not in there)

    def not_built(self) -> tuple[str, ...]:
        """Services whose image comes from elsewhere: it is kept under no second name."""
        return tuple(name for name, spec in self.services().items() if "build" not in spec)

    def labels(self) -> frozenset[str]:
        """Every tag that an image of our own bears."""
        ours = {repository(image) for image in self.built().values()}
        return frozenset(name.rpartition(":")[2] for name in self._names() if repository(name) in ours)

    def _names(self) -> set[str]:
        return set(self.docker.run(("images", "--format", "{{.Repository}}:{{.Tag}}")).stdout.splitlines())

    def forget(self, label: str) -> None:
        """Take a second name away again; an image that something else names stays. None there is no error."""
        for name, image in self.built().items():
            if name != GUARD:
                self.docker.run(("rmi", f"{repository(image)}:{label}"), accept=(0, 1))

    def use(self, kept: Mapping[str, str]) -> None:
        """Give kept images their service's name back, so that the next start takes them.

        But for that of `backup` and the guard where its tools are of another major than the database has by now: they
        could not read it.
        """
        built = self.built()
        for name, image in kept.items():
            if name in built and not (name in {BACKUP, GUARD} and self._is_of_another_major(image)):
                self.docker.run(("tag", image, built[name]))

    def _is_of_another_major(self, image: str) -> bool:
        its, wanted = self.docker.variable(image, _MAJOR), self.docker.variable(self.base, _MAJOR)
        return its is not None and wanted is not None and its != wanted

    def built(self) -> dict[str, str]:
        """The image of each service that is built here; Compose names those that the files do not."""
        services = ((name, spec) for name, spec in self.services().items() if "build" in spec)
        return {name: tagged(spec.get("image") or f"{self.project}-{name}") for name, spec in services}
