"""The accidents of the story: each one really happens to a running stack under live writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_TRIES = 20
"""The clients write to the very tables an accident takes, so the two may wait for each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What an accident can reach: the owner's connection, the data directory, and how to take one more backup."""

    dsn: str
    data_directory: Path
    take_backup: Callable[[], Path]
    """Takes a backup and returns its directory in the archive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disaster:
    """One way to lose data: told first, then done for real to the demo's own stack."""

    name: str
    told: str
    """What happens, in one sentence for the reader."""
    strike: Callable[[Scene], None]
    damages_newest_backup: bool = False
    """Whether the recovery has to notice a damaged backup and use an older one."""


def _delete_data_directory(scene: Scene) -> None:
    shutil.rmtree(scene.data_directory)


def _drop_table(scene: Scene) -> None:
    _execute(scene, "DROP TABLE public.transfers CASCADE")


def _delete_without_where(scene: Scene) -> None:
    _execute(scene, "DELETE FROM public.transfers")


def _migrate_column_away(scene: Scene) -> None:
    _execute(scene, "ALTER TABLE public.accounts DROP COLUMN balance CASCADE")


def _truncate_backup(scene: Scene) -> None:
    file = _largest_file(scene.take_backup())
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)
    _delete_without_where(scene)


def _flip_byte_of_backup(scene: Scene) -> None:
    file = _largest_file(scene.take_backup())
    middle = file.stat().st_size // 2
    with file.open("r+b") as stream:
        stream.seek(middle)
        flipped = stream.read(1)[0] ^ 0x01
        stream.seek(middle)
        stream.write(bytes([flipped]))
    _delete_without_where(scene)


DISASTERS: tuple[Disaster, ...] = (
    Disaster(
        name="data-directory-deleted",
        told="somebody deletes the data directory beneath the running server",
        strike=_delete_data_directory,
    ),
    Disaster(name="table-dropped", told="somebody drops the table of transfers", strike=_drop_table),
    Disaster(
        name="delete-without-where",
        told="somebody runs DELETE FROM transfers and forgets the WHERE",
        strike=_delete_without_where,
    ),
    Disaster(
        name="destructive-migration",
        told="a migration drops the column of balances",
        strike=_migrate_column_away,
    ),
    Disaster(
        name="backup-truncated",
        told="the newest backup is cut in half, and then the transfers are deleted",
        strike=_truncate_backup,
        damages_newest_backup=True,
    ),
    Disaster(
        name="backup-byte-flipped",
        told="one bit of the newest backup turns over, and then the transfers are deleted",
        strike=_flip_byte_of_backup,
        damages_newest_backup=True,
    ),
)


def _execute(scene: Scene, statement: str) -> None:
    """Run the statement as somebody in a hurry would: when the server ends it to break a deadlock, again."""
    import psycopg

    for attempt in range(1, _TRIES + 1):
        try:
            with psycopg.connect(scene.dsn, connect_timeout=10) as connection:
                connection.execute(statement.encode())
            return
        except psycopg.errors.DeadlockDetected:
            if attempt == _TRIES:
                raise


def _largest_file(backup: Path) -> Path:
    return max((path for path in backup.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
