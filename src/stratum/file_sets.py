"""What the engine asks of the directories that a backup takes along beside the databases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from stratum.core.file_sets import FileContents
from stratum.core.proof import Check


class FileSets(Protocol):
    """The directories of a stack's file sets, by the names stratum.toml gives them."""

    def refuse_away(self) -> None:
        """Raises `files-away` where one of them is not to be seen from here."""

    def pack(self, name: str, into: Path, *, on_bytes: Callable[[int], None]) -> bool:
        """Write a set as a compressed tar; says whether something wrote to it meanwhile.

        Raises `files-unreadable` and what a full disk raises.
        """

    def read(self, packed: Path) -> FileContents:
        """Read all of a compressed tar. Raises `files-damaged`."""

    def prove(self, packed: Path, wanted: FileContents) -> Check:
        """Unpack it where throwaway servers live, compare what lies there then, and throw it away."""

    def free_bytes(self, name: str) -> int:
        """Of the disk the set lies on."""

    def writable(self, name: str) -> bool:
        """Whether a set can be changed from here: a container that only backs up sees it read-only."""

    def unpack(self, name: str, packed: Path, label: str) -> FileContents:
        """Unpack into the set's own directory, under a hidden name made of `label`; what lies there then.

        Raises `files-not-writable` and `files-damaged`.
        """

    def discard(self, name: str, label: str) -> None:
        """Remove what lies under this hidden name. None there is no error.

        What somebody else wrote while a swap was cut short is kept; `written_meanwhile` finds it.
        """

    def written_meanwhile(self, name: str) -> tuple[Path, ...]:
        """Where what somebody else wrote between the steps of a swap is kept, under hidden names in the set."""

    def contents(self, name: str) -> FileContents:
        """What the set holds now, without what lies under hidden names of ours."""

    def swap(self, name: str, label: str, *, keep: str) -> None:
        """Put what lies under `label` in place, and what was in place under `keep`.

        Each entry is renamed, so the directory is never copied. Called again after a crash it goes on where it was.
        """

    def swap_back(self, name: str, label: str, *, keep: str) -> None:
        """Take back a swap that did not come to its end; what was in place is in place again."""

    def is_swapped(self, name: str, label: str, *, keep: str) -> bool:
        """Whether a swap came to its end."""

    def has(self, name: str, label: str) -> bool:
        """Whether something lies under this hidden name."""
