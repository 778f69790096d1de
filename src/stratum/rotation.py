"""What the engine asks of the stack's secrets when they are changed, on the machine that holds .env."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class SecretName(StrEnum):
    """A secret of the stack, in the word that the command line has for it."""

    APPLICATION = "application"
    """The password of the role that owns the application's database."""
    SUPERUSER = "superuser"
    BACKUP = "backup"
    REPLICATION = "replication"
    CONSOLE = "console"
    MAINTENANCE = "maintenance"
    """The password of stratum_maintenance, on a server of the user's own."""
    JWT = "jwt"
    """What the console signs with; the secrets between its programs are made from it."""


class Rotation(Protocol):
    """Changes secrets of one stack; nothing it is told, says or raises holds one.

    The new .env and the one of before lie side by side, for the owner alone, from `lay_out` to `forget`: what another
    process needs to go on, or back. Each change may be made again after a crash.
    """

    def known(self) -> tuple[SecretName, ...]:
        """The secrets this stack has."""

    def overlap_until(self) -> datetime | None:
        """Until when a signing key that was replaced still counts; None where none does."""

    def lay_out(self, names: Sequence[SecretName], *, now: datetime, keep_key: bool) -> None:
        """Make new values, and write the new .env beside. With `keep_key` the signing key of before counts on.

        Raises `rotation-not-followed` where another file or variable would keep an old value, and
        `rotation-not-permitted` where a role cannot set its own password and nobody else does.
        """

    def set_in_server(self) -> tuple[str, ...]:
        """Give the server's roles the new passwords, hashed here; which roles.

        On a server of the stack's own it is all of them in one transaction. Raises `rotation-not-permitted`.
        """

    def take_back_in_server(self) -> None: ...
    def swap(self) -> None:
        """Put the new .env in the place of the old one, in one step. Raises `rotation-cut-across`."""

    def is_swapped(self) -> bool:
        """Whether the new .env is in force, and the old one still there."""

    def swap_back(self) -> None:
        """Put the old .env back; where somebody has edited it since, only the values that were changed here."""

    def hand_over(self) -> None:
        """Start what uses the secrets anew with those that .env says now, and wait until it serves."""

    def hand_back(self) -> None:
        """The same on the way back; nothing where nothing was handed over."""

    def prove(self, roles: Sequence[str]) -> None:
        """Sign in to the server with each new password, and see the old one refused. Raises `rotation-not-proven`."""

    def forget(self) -> None:
        """Delete what lies beside; no error when nothing does."""
