"""What is written is there as a whole or not at all, and the system's refusals become the archive's own errors."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from stratum.adapters import durable
from stratum.adapters.archive import read_lines
from stratum.core.errors import StratumError


def test_a_line_torn_by_a_crash_is_closed_and_swallows_nothing(tmp_path: Path) -> None:
    file = tmp_path / "2026-03.jsonl"
    file.write_bytes(b'{"a": 1}\n{"b": ')

    durable.append_line(file, '{"c": 3}')

    assert list(read_lines(tmp_path)) == ['{"a": 1}', '{"c": 3}']


def test_lines_are_appended_one_after_the_other(tmp_path: Path) -> None:
    file = tmp_path / "2026-03.jsonl"

    for line in ('{"a": 1}', '{"b": "é"}'):
        durable.append_line(file, line)

    assert file.read_text(encoding="utf-8") == '{"a": 1}\n{"b": "é"}\n'


def test_lines_are_read_in_the_order_of_their_files(tmp_path: Path) -> None:
    for name in ("2026-10", "2026-02", "2025-12"):
        durable.append_line(tmp_path / f"{name}.jsonl", f'"{name}"')

    assert list(read_lines(tmp_path)) == ['"2025-12"', '"2026-02"', '"2026-10"']


def test_a_file_is_replaced_in_one_step_and_keeps_its_permissions_private(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    durable.write_file(file, "old", mode=0o600)

    durable.write_file(file, "new", mode=0o600)

    assert file.read_text(encoding="utf-8") == "new"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "stratum.toml"
    durable.write_file(file, "old")

    with pytest.raises(UnicodeEncodeError):
        durable.write_file(file, "new \udcff")

    assert file.read_text(encoding="utf-8") == "old"


def test_a_removal_that_was_cut_half_way_is_finished(tmp_path: Path) -> None:
    tree = tmp_path / "b1"
    for folder in (tree, tmp_path / "b1.removing"):
        folder.mkdir()
        (folder / "file").write_text("x", encoding="utf-8")

    durable.remove_tree(tree)
    durable.remove_tree(tree)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "archive-full"),
        (errno.EDQUOT, "archive-full"),
        (errno.EROFS, "archive-not-writable"),
        (errno.EACCES, "archive-not-writable"),
        (errno.EIO, "archive-unreadable"),
    ],
)
def test_a_refusal_of_the_system_becomes_an_error_of_the_archive(number: int, code: str) -> None:
    with pytest.raises(StratumError) as refused, durable.archive_errors(Path("archive")):
        raise OSError(number, os.strerror(number), "archive/x")

    assert refused.value.code == code


def test_a_new_file_of_lines_is_for_its_owner_and_group_only(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        durable.append_line(tmp_path / "lines.jsonl", "{}")
    finally:
        os.umask(before)

    assert (tmp_path / "lines.jsonl").stat().st_mode & 0o777 == 0o640
