"""What the engine asks of a Compose project: apart from the other ports because only the host has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from stratum.core.backup import DigestMode, TableFacts
from stratum.core.containers import ContainerState, DockerVersions, ImageLook, VolumeLook
from stratum.core.rehearsal import Rehearsal, RehearsalOrder
from stratum.core.volume_recovery import RecoveredCluster, RecoveryOrder


class Volumes(Protocol):
    """The data volumes of a stack by their names, of which .env names the live one."""

    def live(self) -> str: ...
    def exists(self, name: str) -> bool: ...
    def make(self, name: str) -> None:
        """An empty volume, held like the live one; one that is there already stays as it is."""

    def recover(self, name: str, order: RecoveryOrder) -> RecoveredCluster:
        """Build a cluster out of the archive in an empty volume; it is whole or not there at all."""

    def count_live(self, databases: Sequence[str], mode: DigestMode) -> dict[str, tuple[TableFacts, ...]]:
        """What the tables of these databases hold now, of those that are there; asked of the service `backup`."""

    def refuse_unmovable(self, source: str, target: str) -> None:
        """Raises `move-refused` where a copy into the empty target has no room, or would not be the whole cluster."""

    def copy(self, source: str, target: str) -> str:
        """Fill the target with the source's files, byte by byte; their digest. No server may run on either.

        Raises `volume-copy-not-whole`.
        """

    def use(self, name: str) -> None:
        """Let .env name this volume; containers see it when they are made anew."""

    def remove(self, name: str) -> None:
        """Delete a volume that is not the live one, its holder and all files in it."""


class Images(Protocol):
    """The images of a project, and the second names that lead back to what ran before."""

    def missing(self) -> tuple[str, ...]:
        """Services whose image was not built yet, or was built from another image than the database's."""

    def keep(self, label: str) -> dict[str, str]:
        """Give the images that services run now a second name; service and that name."""

    def forget(self, label: str) -> None:
        """Take the second name of `keep` away again."""

    def use(self, kept: Mapping[str, str]) -> None:
        """Give kept images their service's name back, so that the next start takes them.

        But for one of `backup` with the tools of another major than the database has by now.
        """

    def in_use(self) -> dict[str, str]:
        """By service, the digest of the image its container was made from."""

    def kept(self, label: str) -> dict[str, str]:
        """Service and second name of the images that `keep` kept under this label and that are still there."""

    def gone(self, label: str, services: Collection[str]) -> tuple[str, ...]:
        """Those of these services that are built here and whose second name is gone."""

    def not_built(self) -> tuple[str, ...]:
        """Services whose image comes from elsewhere: it is kept under no second name."""

    def labels(self) -> frozenset[str]:
        """Every tag that an image built here bears."""


class Reach(Protocol):
    """Who can reach the services of a project from outside; nothing is changed."""

    def beside(self) -> tuple[str, ...]:
        """Services that run although the profile they belong to is off."""

    def always(self, services: Sequence[str]) -> tuple[str, ...]:
        """Those of them that are reached from outside although none of their ports is published."""

    def refuse_unsteady(self, services: Sequence[str]) -> None:
        """Raises `container-not-serving` for one that does not serve any more, or had to be started again."""


class Source(Protocol):
    """The stack's own files, which may be a git checkout."""

    def commit(self) -> str | None:
        """The commit that is checked out; None where they are no git checkout."""

    def refuse_changed(self) -> None:
        """Raises `source-changed` where a file that git keeps holds what is in no commit."""

    def branch(self) -> str | None:
        """The branch that is checked out, where one is."""

    def put_back(self, commit: str, *, branch: str | None) -> None:
        """Check a commit out again as it was before, on its branch where it was on one. Raises `source-not-moved`."""

    def move(self, ref: str | None) -> str | None:
        """Check `ref` out, or take what the branch's upstream has. Raises `source-not-moved`."""


class SideBySide(Protocol):
    """A release in second containers beside the one that serves, and a proxy that leads visitors to either."""

    def refuse_impossible(self) -> None:
        """Raises `no-downtime-impossible` where nobody can lead visitors from one container to another."""

    def host_of(self, service: str, *, second: bool) -> str:
        """The name by which other containers reach a service, or its `second` container where it has one."""

    def start(self) -> None:
        """Start the second containers and wait until all are well; nobody is led there yet.

        Raises `container-not-serving`.
        """

    def refuse_unwell(self) -> None:
        """Raises `container-not-serving` for a second container that is not well any more."""

    def lead_to_second(self) -> int:
        """Lead visitors there; how many workers of the proxy were still busy when nobody waited for them any more.

        Raises `visitors-not-led`; then they are led where they were before.
        """

    def lead_to_own(self) -> int:
        """Lead visitors to the services' own containers again; as `lead_to_second`."""

    def end(self) -> None:
        """Stop and remove the second containers. None there is no error."""

    def visits_since(self, began: datetime) -> tuple[int, int]:
        """How many requests the proxy answered since then, and how many of them with an error of the services'."""


class Project(Protocol):
    """The Compose project of a stack, driven from the host: volume, images and containers, but not the data in them."""

    @property
    def external(self) -> bool:
        """Whether the database is a server of the user's own, outside the project."""

    @property
    def mount(self) -> str:
        """Where .env says the database's image wants its volume."""

    @property
    def volumes(self) -> Volumes: ...
    @property
    def images(self) -> Images: ...
    @property
    def reach(self) -> Reach: ...
    @property
    def source(self) -> Source: ...
    @property
    def side_by_side(self) -> SideBySide: ...

    def check(self) -> DockerVersions:
        """What answers. Raises `docker-missing`, `docker-unreachable` and `docker-too-old`."""

    def look(self) -> tuple[ImageLook, VolumeLook]:
        """What the database's image and volume say of themselves; no server is started. Raises `image-missing`."""

    def keep_volume(self) -> None:
        """Make the data volume where it is missing, and see that a running container outside the project holds it."""

    def containers(self) -> tuple[ContainerState, ...]: ...
    def build(self, services: Sequence[str] = (), *, pull: bool = False) -> None:
        """Build images; nothing that runs changes. Raises `build-failed`."""

    def start(
        self, services: Sequence[str] = (), *, recreate: bool = False, alone: bool = False, unpublished: bool = False
    ) -> None:
        """Start services and wait until they are healthy; `alone` without those they depend on.

        `unpublished` with no port of the application open, until it is started again without.

        Raises `guard-refused`, `container-not-serving` and `compose-failed`.
        """

    def stop(self, services: Sequence[str] = ()) -> None: ...
    def down(self) -> None:
        """Remove containers and networks; never a volume."""

    def log(self, service: str, lines: int) -> list[str]: ...
    def application_services(self) -> tuple[str, ...]:
        """All services but the database, the guard and the backup service: what an update stops."""

    def other_volumes(self, file_sets: Collection[str] = ()) -> tuple[str, ...]:
        """Volumes of the project beside the data's and the one for throwaway servers that no backup takes along.

        A volume is one of these file sets where `backup` sees it in that set's place.
        """

    def stage(self) -> None:
        """Put the package that runs now into the images' build context."""

    def run_in_service(self, service: str, argv: Sequence[str], *, told: Mapping[str, str] | None = None) -> None:
        """Run a command in a container of its own, made from a service's image, with `told` in its environment.

        Raises `tool-failed`.
        """

    def changed_passwords(self) -> tuple[str, ...]:
        """Roles whose password in .env is not the one in force since the last start."""

    def apply_passwords(self, roles: Sequence[str] | None) -> None:
        """Set those of .env, of all roles with None, in the running server. Plain text reaches neither it nor a log."""

    def run_sql(self, script: str) -> None:
        """Run statements in the database's own container, as the superuser. Raises `tool-failed`."""

    def write_secrets(self) -> None:
        """Hand the containers what .env says now."""

    def inside(self, argv: Sequence[str], *, under: str | None = None) -> dict[str, Any]:
        """Run a verb inside `backup` and return its JSON answer; its refusal is raised as our own error.

        `under` is the plan on whose behalf it is run, and whose lock it works under.
        """

    def rehearse(self, order: RehearsalOrder, *, under: str | None = None) -> Rehearsal:
        """Run the new version on a clone, in containers that reach nothing else.

        `under` as for `inside`. Raises `rehearsal-broke-off`, `nothing-to-rehearse` and the errors of `inside`.
        """
