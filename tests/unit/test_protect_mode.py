"""stratum.toml is changed in one line, and not at all where more would change."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratum.adapters.protect_mode import write_mode
from stratum.core.errors import StratumError
from stratum.core.receiving import ProtectMode

_REST = '[stack]\nname = "led"  # ours\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '\n[protect]\nmode = "zero-loss"\n'),
        (
            '[protect]\nmode = "dumps"  # for now\ncanary_seconds = 2\n[drill]\nschedule = ""\n',
            '[protect]\nmode = "zero-loss"  # for now\ncanary_seconds = 2\n[drill]\nschedule = ""\n',
        ),
        ("[protect]  # ours\ncanary_seconds = 2\n", '[protect]  # ours\nmode = "zero-loss"\ncanary_seconds = 2\n'),
    ],
)
def test_only_the_mode_changes_and_remarks_stay(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "stratum.toml"
    file.write_text(_REST + before)

    write_mode(file, ProtectMode.ZERO_LOSS)

    assert file.read_text() == _REST + after


def test_what_is_written_in_an_uncommon_way_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "stratum.toml"
    text = 'protect = { mode = "dumps" }\n' + _REST
    file.write_text(text)

    with pytest.raises(StratumError) as refused:
        write_mode(file, ProtectMode.ZERO_LOSS)

    assert refused.value.code == "mode-not-written"
    assert file.read_text() == text
