"""Copies of an archive: sent once, compared, never overwritten, and never half a backup."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stratum.adapters.archive_copy import ArchiveCopy
from stratum.adapters.places import DirectoryPlace, Place, open_place
from stratum.core.copies import CopyPolicy
from stratum.core.errors import StratumError
from tests.fixtures.s3_stores import KEY, SECRET, S3Store

_NAMED = "$S"
_NOW = datetime(2026, 11, 1, tzinfo=UTC)


def _archive(root: Path) -> Path:
    """An archive with one backup in it; a name has what a database's name may become."""
    archive = root / "archive"
    backup = archive / "dumps" / "20261101T000000Z-aaaa"
    (backup / "%C3%A9t%C3%A9 db").mkdir(parents=True)
    (backup / "%C3%A9t%C3%A9 db" / "toc.dat").write_bytes(b"toc" * 1000)
    (backup / "empty.dat").write_bytes(b"")
    (backup / "large.dat").write_bytes(bytes(range(256)) * 80_000)
    (backup / "manifest.json").write_text("{}")
    sums = "".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(backup)}\n"
                   for f in backup.rglob("*.dat"))  # fmt: skip
    (backup / "SHA256SUMS").write_text(sums)
    (archive / "dumps" / "20261102T000000Z-bbbb.partial").mkdir()
    (archive / "dumps" / "20261102T000000Z-bbbb.partial" / "toc.dat").write_text("half")
    (archive / "archive.json").write_text('{"stack": "led"}')
    (archive / "lock").write_text("")
    return archive


class _Recording:
    """A place that notes what is asked of it, and can fail at one file."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.put_paths: list[str] = []
        self.fails_at = ""
        self.sizes, self.pieces, self.remove = place.sizes, place.pieces, place.remove

    def put(self, path: str, source: Path, *, replace: bool) -> None:
        if self.fails_at and self.fails_at in path:
            raise StratumError("copy-away", copy="far", problem="the network is gone")
        self.put_paths.append(path)
        self._place.put(path, source, replace=replace)


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> _Recording:
    if request.param == "directory":
        (tmp_path / "far").mkdir()
        return _Recording(DirectoryPlace("far", tmp_path / "far"))
    store: S3Store = request.getfixturevalue("s3")
    policy = CopyPolicy(
        name="far", url="s3://copies/pre/fix", endpoint=store.endpoint, access_key=KEY, secret_key=_NAMED
    )
    return _Recording(open_place(policy, {"S": SECRET}))


def _copy(archive: Path, place: Place, **policy: int) -> ArchiveCopy:
    return ArchiveCopy(archive, CopyPolicy(name="far", url="file:///far", **policy), place)  # type: ignore[arg-type]  # the numbers among its fields


def _send_all(copy: ArchiveCopy) -> None:
    for path in copy.pending():
        copy.send(path)


def test_a_copy_is_the_archive_itself_sent_once_with_each_record_after_what_it_speaks_of(
    tmp_path: Path, place: _Recording
) -> None:
    archive = _archive(tmp_path)
    copy = _copy(archive, place)

    place.fails_at = "manifest.json"
    with pytest.raises(StratumError, match="cannot be reached"):
        _send_all(copy)
    assert "manifest.json" not in "".join(place.sizes())
    place.fails_at = ""
    again = _copy(archive, place)  # as after a start: only what is written down is known
    first = list(place.put_paths)
    again.look()
    _send_all(again)

    assert [Path(path).name for path in place.put_paths[len(first) :]] == ["manifest.json"]
    assert place.put_paths[-2:] == [f"dumps/20261101T000000Z-aaaa/{name}" for name in ("SHA256SUMS", "manifest.json")]
    here = {str(f.relative_to(archive)): f.stat().st_size for f in archive.rglob("*") if f.is_file()}
    assert place.sizes() == {p: size for p, size in here.items() if not p.startswith("copies/") and p != "lock"
                             and ".partial" not in p}  # fmt: skip
    assert again.pending() == []
    target = tmp_path / "back"
    large = "dumps/20261101T000000Z-aaaa/large.dat"
    assert again.fetch(large, target, sha256=None)
    assert target.read_bytes() == (archive / large).read_bytes()
    assert not again.fetch(large, tmp_path / "other", sha256="0" * 64)
    assert not again.fetch("dumps/none", tmp_path / "other", sha256=None)
    assert not (tmp_path / "other").exists()


def test_nothing_there_is_overwritten_and_what_is_missing_there_is_sent_again(
    tmp_path: Path, place: _Recording
) -> None:
    archive = _archive(tmp_path)
    path, stranger = "dumps/20261101T000000Z-aaaa/empty.dat", tmp_path / "stranger"
    stranger.write_text("somebody else's")
    place.put(path, stranger, replace=False)
    copy = _copy(archive, place)

    with pytest.raises(StratumError) as refused:
        copy.send(path)
    assert (refused.value.code, path in refused.value.message) == ("copy-not-whole", True)
    assert place.sizes()[path] == len("somebody else's")

    place.remove(path)
    _send_all(copy)
    place.remove(path)
    assert copy.pending() == []
    copy.look()
    assert copy.pending() == [path]


def test_a_damaged_file_is_not_sent_and_a_record_that_grew_is(tmp_path: Path, place: _Recording) -> None:
    archive = _archive(tmp_path)
    (archive / "journal").mkdir()
    journal = archive / "journal" / "2026-11.jsonl"
    journal.write_text("{}\n")
    copy = _copy(archive, place)
    _send_all(copy)
    journal.write_text("{}\n{}\n")
    assert copy.pending() == ["journal/2026-11.jsonl"]
    _send_all(copy)
    assert place.sizes()["journal/2026-11.jsonl"] == 6

    toc = archive / "dumps/20261101T000000Z-aaaa/%C3%A9t%C3%A9 db/toc.dat"
    toc.write_bytes(b"tic" * 1000)
    with pytest.raises(StratumError) as refused:
        _send_all(copy)
    assert refused.value.code == "file-damaged"
    back = tmp_path / "back"
    assert copy.fetch(str(toc.relative_to(archive)), back, sha256=hashlib.sha256(b"toc" * 1000).hexdigest())


def test_a_copy_keeps_what_retention_removed_for_as_long_as_it_is_told_and_all_while_nothing_is_here(
    tmp_path: Path, place: _Recording
) -> None:
    archive = _archive(tmp_path)
    copy = _copy(archive, place, keep_days=30, object_lock_days=40)
    _send_all(copy)
    held = len(place.sizes())
    newer = archive / "dumps" / "20261103T000000Z-cccc"
    (archive / "dumps" / "20261101T000000Z-aaaa").rename(archive / "dumps" / "20261101T000000Z-aaaa.removing")
    assert [copy.let_go(now=_NOW), copy.let_go(now=_NOW + timedelta(days=90))] == [0, 0]
    assert len(place.sizes()) == held
    newer.mkdir()
    (newer / "manifest.json").write_text("{}")
    _send_all(copy)

    assert copy.let_go(now=_NOW) == 0
    assert copy.let_go(now=_NOW + timedelta(days=39)) == 0
    assert copy.let_go(now=_NOW + timedelta(days=41)) == held - 1
    assert set(place.sizes()) == {"archive.json", "dumps/20261103T000000Z-cccc/manifest.json"}


def test_a_place_that_is_away_and_one_of_another_stack_are_named(tmp_path: Path) -> None:
    archive = _archive(tmp_path)
    away = _copy(archive, DirectoryPlace("far", tmp_path / "mount"))
    with pytest.raises(StratumError) as refused:
        _send_all(away)
    assert (refused.value.code, "no directory" in refused.value.message) == ("copy-away", True)
    assert not (tmp_path / "mount").exists()
    (tmp_path / "mount").mkdir()
    (tmp_path / "mount" / "archive.json").write_text('{"stack": "other"}')
    with pytest.raises(StratumError, match="archive of the stack other"):
        away.refuse_another_archive("led")
    closed = CopyPolicy(name="far", url="s3://b/p", endpoint="http://127.0.0.1:1", access_key="k", secret_key=_NAMED)
    with pytest.raises(StratumError) as refused:
        open_place(closed, {})
    assert refused.value.code == "missing-secret"
