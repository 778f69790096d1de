"""A new cluster whose making was cut is taken for none, and the next try ends what the first one began."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stratum.adapters import data_volume, volume_cluster
from stratum.adapters.data_volume import parse_look
from stratum.adapters.postgresql_installation import find_installation
from stratum.adapters.volume_cluster import ClusterOrder, cluster_directory, make_cluster
from stratum.core.errors import StratumError

_OLD_MAJOR = 16
"""Of those whose files lie in the volume itself, so that they are moved there one by one."""


def _is_empty(volume: Path) -> bool:
    """What the script that looks into a volume says of this one."""
    script = data_volume._LOOK.replace("/look", str(volume))
    argv = ("sh", "-c", script)
    return "entries" not in parse_look(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


def _write(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{_OLD_MAJOR}\n", encoding="ascii")


def test_a_volume_with_a_cluster_cut_while_it_was_made_is_empty(tmp_path: Path) -> None:
    assert _is_empty(tmp_path)
    _write(tmp_path / ".stratum-new" / "PG_VERSION")
    assert _is_empty(tmp_path)

    _write(tmp_path / "notes.txt")
    assert not _is_empty(tmp_path), "a file that nobody knows is somebody's"


def test_a_volume_with_a_cluster_cut_on_its_way_into_place_is_empty_until_it_is_there(tmp_path: Path) -> None:
    _write(tmp_path / ".stratum-whole" / "PG_VERSION", tmp_path / "base" / "1")
    assert _is_empty(tmp_path)

    (tmp_path / ".stratum-whole" / "PG_VERSION").rename(tmp_path / "PG_VERSION")
    assert not _is_empty(tmp_path)


def test_a_damaged_cluster_is_not_taken_for_one_that_was_never_made(tmp_path: Path) -> None:
    _write(tmp_path / "base" / "1")

    assert not _is_empty(tmp_path)


def test_a_cluster_cut_on_its_way_into_place_is_put_there_by_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume_cluster, "cluster_directory", lambda mount, _: cluster_directory(mount, _OLD_MAJOR))
    whole = tmp_path / ".stratum-whole"
    _write(tmp_path / "base" / "1", whole / "global" / "2", whole / "PG_VERSION")
    order = ClusterOrder(superuser="postgres", owner="app", database="app", passwords={})
    assert find_installation(None).major

    make_cluster(order, tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["PG_VERSION", "base", "global"]
    with pytest.raises(StratumError, match="already"):
        make_cluster(order, tmp_path)
