"""Replay is refused where it could write into a tablespace that another cluster still has."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from stratum.adapters.base_unpack import refuse_younger_tablespaces
from stratum.core.base_backup import TablespaceFacts
from stratum.core.errors import StratumError
from tests.fixtures.base_manifests import a_base

_BASE = a_base()


def _data_with_tablespace(place: Path, *, made_after: timedelta) -> Path:
    """A data directory whose tablespace 16400 was made that long after the base backup began."""
    link = place / "pg_tblspc" / "16400"
    link.parent.mkdir(parents=True)
    link.symlink_to(place / "fast")
    at = (_BASE.started_at + made_after).timestamp()
    os.utime(link, (at, at), follow_symlinks=False)
    return place


def test_a_kept_cluster_keeps_its_younger_tablespace_to_itself(tmp_path: Path) -> None:
    kept = _data_with_tablespace(tmp_path / "kept", made_after=timedelta(hours=1))
    with pytest.raises(StratumError, match="fast"):
        refuse_younger_tablespaces(_BASE, tmp_path / "data", (kept,))


def test_what_a_kept_cluster_had_before_the_base_backup_is_not_made_again(tmp_path: Path) -> None:
    kept = _data_with_tablespace(tmp_path / "kept", made_after=timedelta(hours=-1))
    refuse_younger_tablespaces(_BASE, tmp_path / "data", (kept,))


def test_a_tablespace_that_the_base_backup_holds_has_a_place_of_its_own(tmp_path: Path) -> None:
    living = _data_with_tablespace(tmp_path / "data", made_after=timedelta(hours=1))
    refuse_younger_tablespaces(a_base(tablespaces=(TablespaceFacts(oid=16400, location="/fast"),)), living)
