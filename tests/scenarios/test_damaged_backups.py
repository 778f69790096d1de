"""What a restore refuses, or passes over, before it touches anything: damage, another version, too small a disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from stratum.core.errors import StratumError
from stratum.engine.restore import Target, restore
from stratum.ports import Runtime
from tests.fixtures.stacks import DATABASE, StackUnderTest


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallDisk:
    """The stack's own runtime, on a disk with this much room."""

    runtime: Runtime
    free: int

    def free_bytes(self) -> int:
        return self.free

    def __getattr__(self, name: str) -> object:
        return getattr(self.runtime, name)


def _dump_file(stack: StackUnderTest, backup_id: str) -> Path:
    """The largest file of a backup's dump."""
    files = (path for path in (stack.archive / "dumps" / backup_id).rglob("*.dat*") if path.is_file())
    return max(files, key=lambda path: path.stat().st_size)


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [_flip_a_byte, _truncate, Path.unlink])
def test_when_the_newest_backup_is_damaged_the_next_older_one_is_used_and_said(
    stack: StackUnderTest, damage: Callable[[Path], None]
) -> None:
    (older,) = (manifest.id for manifest in stack.ports().archive.manifests())
    stack.execute("DELETE FROM orders WHERE id <= 20")
    newest = stack.backup()
    damage(_dump_file(stack, newest))
    outcome = stack.restore()
    assert outcome.plan.params["backup_id"] == older
    assert any(newest in note and "damaged" in note for note in outcome.plan.notes)
    assert stack.scalar("SELECT count(*) FROM orders") == 200


def test_a_damaged_backup_asked_for_by_name_is_refused_and_the_older_proven_one_named(stack: StackUnderTest) -> None:
    (older,) = (manifest.id for manifest in stack.ports().archive.manifests())
    stack.drill(older)
    newest = stack.backup()
    _flip_a_byte(_dump_file(stack, newest))
    with pytest.raises(StratumError) as refused:
        stack.restore(newest)
    assert (refused.value.code, refused.value.exit) == ("backup-damaged", 10)
    assert f"stratum restore {older}" in refused.value.next
    assert stack.databases() == {"postgres", DATABASE}


def test_with_every_backup_damaged_there_is_nothing_to_restore(stack: StackUnderTest) -> None:
    _flip_a_byte(_dump_file(stack, stack.ports().archive.manifests()[0].id))
    with pytest.raises(StratumError) as refused:
        stack.restore()
    assert refused.value.code == "nothing-to-restore"
    assert stack.scalar("SELECT count(*) FROM orders") == 200


def test_a_disk_too_small_is_refused_with_the_numbers(stack: StackUnderTest) -> None:
    ports = stack.ports()
    small = cast("Runtime", SmallDisk(runtime=ports.runtime, free=3 << 20))
    with pytest.raises(StratumError) as refused:
        restore(stack.ports(runtime=small), Target())
    assert (refused.value.code, refused.value.exit) == ("disk-too-small", 10)
    assert "3.0 MiB are free" in refused.value.message
    assert stack.databases() == {"postgres", DATABASE}
