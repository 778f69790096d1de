"""What the engine asks of a change of PostgreSQL's major: a cluster beside the old one, then in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from stratum.project import Project
from stratum.server import Server


class LocalUpgrade(Protocol):
    """On this machine, from one data directory to another. The old one is renamed, and never written to by the new."""

    def major(self) -> int | None:
        """Of the live data directory; None where there is none."""

    def missing_extensions(self, major: int, databases: Sequence[str]) -> tuple[str, ...]:
        """Extensions of these databases that the new major's programs do not have.

        Raises `upgrade-no-programs` where there are no programs of that major.
        """

    def own_settings(self) -> tuple[str, ...]:
        """What somebody set with ALTER SYSTEM, as a configuration file has it; not what Stratum keeps there."""

    def scratch(self, major: int, *, bootstrap_role: str) -> AbstractContextManager[Server]:
        """A throwaway server of the new major."""

    def serve_alone(self) -> None:
        """Let the old server go on for nobody but this account."""

    def make_beside(self, major: int, *, bootstrap_role: str) -> Server:
        """An empty cluster of the new major beside the live one, running for nobody but this account."""

    def copy_passwords(self, major: int, roles: Sequence[str]) -> None:
        """Give roles of the cluster beside the passwords they have in the old one, as hashes. Both run."""

    def analyze_beside(self, major: int, databases: Sequence[str]) -> None:
        """Let the new server count what its planner goes by."""

    def discard_beside(self) -> None:
        """Stop and delete what was made beside; nothing there is no error."""

    def put_in_place(self, major: int, *, kept: str) -> None:
        """Stop both, and let the new data directory take the place of the old one, which is kept; idempotent."""

    def put_back(self, major: int, *, kept: str) -> None:
        """Undo `put_in_place`; idempotent."""

    def go_back(self, major: int, *, kept: str, aside: str) -> None:
        """Let a kept data directory of this major take its place again, and keep the live one; idempotent."""

    def forget_alone(self) -> None:
        """End the old server, so that it is started for everybody again."""


class HostUpgrade(Protocol):
    """On the host of a Compose stack, from one volume to another; .env says which image and volume are live."""

    def image_for(self, major: int) -> str:
        """The image of .env with this major in its tag. Raises `upgrade-refused` where the tag names no major."""

    def image_major(self, image: str) -> int | None:
        """The major an image says it is of. Raises `image-missing`, and what a volume's image is refused for."""

    def variables(self) -> dict[str, str]:
        """What .env says now of image, volume and mount; empty for what it does not set."""

    def set_variables(self, values: Mapping[str, str]) -> None:
        """Write these into .env in one step; an empty one is taken out."""

    def reopened(self) -> Project:
        """The project as .env has it by now."""

    def create_cluster(self, *, bootstrap_role: str) -> None:
        """A new cluster with the stack's roles in the empty volume that .env names by now."""

    def missing_extensions(self, image: str, databases: Sequence[str]) -> tuple[str, ...]:
        """Extensions of these databases of the running server that the image does not have."""

    def own_settings(self) -> tuple[str, ...]:
        """As `LocalUpgrade` says them."""

    def databases(self) -> tuple[str, ...]:
        """Of the running server, without templates."""

    def size_and_room(self, databases: Sequence[str]) -> tuple[int, int]:
        """Bytes that these databases take, and that are free on the disk of their volume."""

    def drill(self, values: Mapping[str, str], backup_id: str, *, under: str | None) -> Mapping[str, object]:
        """Prove a backup in a container of the image that these values of .env make; the answer of `stratum drill`.

        The image is built for it, and has its name from then on; what runs goes on. Raises `build-failed`.
        """

    def image_in_files(self, values: Mapping[str, str]) -> str:
        """The image that the project's files name for the database where .env has these values."""

    def read_roles(self) -> str:
        """Statements that give every role its attributes, settings and memberships again."""

    def read_hashes(self) -> str:
        """Statements that give every role its password again, as hashes. Secret: it goes to a program's input only."""
