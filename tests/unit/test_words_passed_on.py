"""What a command that goes on inside a container says there: the same words, with the file's name as it is there."""

from __future__ import annotations

import pytest

from stratum.wiring import with_file

_THERE = "/archive/incoming.dump"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("--file", "./a.dump"), ("--file", _THERE)),
        (("--file", "dumps//a.dump"), ("--file", _THERE)),
        (("--file=./a.dump", "--dry-run"), (f"--file={_THERE}", "--dry-run")),
        (("--database", "shop", "--file", "shop"), ("--database", "shop", "--file", _THERE)),
        (("--file", "a", "--database=data"), ("--file", _THERE, "--database=data")),
    ],
)
def test_only_the_file_is_called_otherwise_inside(typed: tuple[str, ...], told: tuple[str, ...]) -> None:
    assert with_file(("restore", *typed), _THERE) == ("restore", *told)
