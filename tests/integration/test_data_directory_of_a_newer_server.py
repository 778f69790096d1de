"""A data directory that a newer PostgreSQL wrote is neither started nor taken for a damaged one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratum.adapters.embedded_postgresql import EmbeddedPostgresql, EmbeddedSettings
from stratum.core.errors import StratumError
from stratum.ports import RunState


def test_a_data_directory_of_a_newer_server_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "global").mkdir(parents=True)
    (data / "PG_VERSION").write_text("99\n", encoding="ascii")
    (data / "global" / "pg_control").write_bytes(b"\0")
    settings = EmbeddedSettings(
        directory=tmp_path, stack_directory=tmp_path, port=5999, owner="app", database="app", passwords={}
    )
    runtime = EmbeddedPostgresql(settings)

    with pytest.raises(StratumError) as refused:
        runtime.start()

    assert refused.value.code == "server-newer-than-tools"
    assert "99" in refused.value.next
    assert runtime.observe().state is RunState.STOPPED
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
