"""File sets as directories: what is packed is what comes back, and a swap is whole or taken back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stratum.adapters.file_contents import contents_of_directory
from stratum.adapters.file_set_directories import HIDDEN, FileSetDirectories
from stratum.core.errors import StratumError
from stratum.core.file_sets import FileContents, FileSetFacts, parse_file_sets
from stratum.core.proof import Verdict
from stratum.engine.run_drill import bytes_for_drill
from tests.fixtures.manifests import a_manifest

NAME = "uploads"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with what a directory of uploads may hold."""
    place = tmp_path / "uploads"
    (place / "2026" / "11").mkdir(parents=True)
    (place / "2026" / "11" / "photo é.jpg").write_bytes(os.urandom(70_000))
    (place / "2026" / "empty").write_bytes(b"")
    (place / "a line\nbreak").write_text("odd\n", encoding="utf-8")
    (place / os.fsdecode(b"no utf-8 \xff")).write_text("old\n", encoding="utf-8")
    (place / ("long" * 40)).write_text("a name of more than a hundred bytes\n", encoding="utf-8")
    (place / "nothing below").mkdir(mode=0o750)
    (place / "dangling").symlink_to("../nowhere")
    os.symlink("11//.", place / "2026" / "this month")  # noqa: PTH211 - a Path would write it in another way
    (place / "secret").write_text("for one\n", encoding="utf-8")
    (place / "secret").chmod(0o600)
    os.link(place / "secret", place / "secret again")
    return place


@pytest.fixture
def sets(tmp_path: Path, place: Path) -> FileSetDirectories:
    return FileSetDirectories({NAME: place}, workspace=tmp_path / "scratch")


@pytest.fixture
def packed(tmp_path: Path, sets: FileSetDirectories) -> Path:
    packed = tmp_path / "uploads.tar.zst"
    assert not sets.pack(NAME, packed, on_bytes=lambda _: None)
    return packed


def test_a_tar_and_the_directory_it_was_made_of_hold_the_same(
    sets: FileSetDirectories, place: Path, packed: Path
) -> None:
    assert sets.read(packed) == sets.contents(NAME)
    assert sets.read(packed).entries == sum(len(folders) + len(files) for _, folders, files in os.walk(place))


@pytest.mark.parametrize(
    "change",
    [
        lambda place: (place / "secret").chmod(0o640),
        lambda place: (place / "2026" / "empty").unlink(),
        lambda place: (place / "2026" / "empty").rename(place / "2026" / "void"),
        lambda place: (place / "a line\nbreak").write_text("ODD\n", encoding="utf-8"),
        lambda place: (place / "new").mkdir(),
        lambda place: _led_elsewhere(place / "dangling"),
    ],
    ids=["mode", "gone", "renamed", "content", "new", "link"],
)
def test_whatever_changes_is_seen(place: Path, change: Callable[[Path], object]) -> None:
    before = contents_of_directory(place)
    change(place)
    assert contents_of_directory(place).digest != before.digest


def _led_elsewhere(link: Path) -> None:
    link.unlink()
    link.symlink_to("../elsewhere")


def test_what_comes_back_is_proven_and_thrown_away(sets: FileSetDirectories, packed: Path, tmp_path: Path) -> None:
    assert sets.prove(packed, sets.read(packed)).verdict is Verdict.PROVEN
    assert not list((tmp_path / "scratch").iterdir())
    other = FileContents(entries=1, bytes=1, digest="0")
    assert sets.prove(packed, other).verdict is Verdict.FAILED


def test_a_damaged_tar_is_told_and_nothing_comes_in_place(sets: FileSetDirectories, packed: Path, place: Path) -> None:
    before = contents_of_directory(place)
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 0xFF
    packed.write_bytes(content)
    for look in (sets.read, lambda file: sets.unpack(NAME, file, "new")):
        with pytest.raises(StratumError) as caught:
            look(packed)
        assert caught.value.code == "files-damaged"
    sets.discard(NAME, "new")
    assert contents_of_directory(place) == before
    assert sets.prove(packed, before).verdict is Verdict.FAILED


def test_a_swap_keeps_what_it_replaces_and_can_be_swapped_again(
    sets: FileSetDirectories, packed: Path, place: Path
) -> None:
    place.chmod(0o751)
    sets.pack(NAME, packed, on_bytes=lambda _: None)
    then = sets.contents(NAME)
    shutil.rmtree(place / "2026")
    (place / "since").write_text("written since\n", encoding="utf-8")
    place.chmod(0o700)
    now = sets.contents(NAME)

    assert sets.unpack(NAME, packed, "new") == then
    assert sets.contents(NAME) == now
    sets.swap(NAME, "new", keep="before")
    assert sets.is_swapped(NAME, "new", keep="before")
    assert sets.contents(NAME) == then
    assert place.stat().st_mode & 0o777 == 0o751, "the directory itself comes back as well"
    assert sets.has(NAME, "before")
    assert (place / f"{HIDDEN}before").stat().st_mode & 0o777 == 0o700

    sets.swap(NAME, "before", keep="again")
    assert sets.contents(NAME) == now
    assert place.stat().st_mode & 0o777 == 0o700
    sets.discard(NAME, "again")
    assert not [path for path in place.iterdir() if path.name.startswith(HIDDEN)]


def test_what_was_replaced_goes_into_no_backup(sets: FileSetDirectories, packed: Path, tmp_path: Path) -> None:
    sets.unpack(NAME, packed, "new")
    sets.swap(NAME, "new", keep="before")
    sets.pack(NAME, tmp_path / "second.tar.zst", on_bytes=lambda _: None)
    assert sets.read(tmp_path / "second.tar.zst") == sets.read(packed)


@pytest.mark.parametrize("renames", range(1, 16))
def test_a_swap_that_breaks_off_at_any_rename_is_finished_or_taken_back(
    sets: FileSetDirectories, packed: Path, place: Path, renames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = sets.contents(NAME)
    shutil.rmtree(place / "2026")
    now = sets.contents(NAME)
    sets.unpack(NAME, packed, "new")
    _break_off_after(renames, monkeypatch)
    with pytest.raises(StratumError) as caught:
        sets.swap(NAME, "new", keep="before")
    monkeypatch.undo()
    assert caught.value.code == "files-not-writable"
    assert not sets.is_swapped(NAME, "new", keep="before")

    sets.swap_back(NAME, "new", keep="before")
    sets.discard(NAME, "new")
    assert sets.contents(NAME) == now

    sets.unpack(NAME, packed, "second")
    _break_off_after(renames, monkeypatch)
    with pytest.raises(StratumError):
        sets.swap(NAME, "second", keep="kept")
    monkeypatch.undo()
    sets.swap(NAME, "second", keep="kept")
    assert sets.is_swapped(NAME, "second", keep="kept")
    assert sets.contents(NAME) == then


def _break_off_after(renames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, left = Path.rename, [renames]

    def counted(path: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", counted)


@pytest.mark.parametrize("goes_on", [True, False], ids=["finished", "taken-back"])
def test_what_an_application_writes_between_the_renames_is_kept(
    sets: FileSetDirectories, packed: Path, place: Path, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    entries = len(list(place.iterdir()))
    sets.unpack(NAME, packed, "new")
    _break_off_after(entries + 1, monkeypatch)
    with pytest.raises(StratumError):
        sets.swap(NAME, "new", keep="before")
    monkeypatch.undo()
    (place / "secret").write_text("meanwhile\n", encoding="utf-8")
    (place / "only now").write_text("meanwhile\n", encoding="utf-8")

    if goes_on:
        sets.swap(NAME, "new", keep="before")
    else:
        sets.swap_back(NAME, "new", keep="before")
        sets.discard(NAME, "new")

    assert (place / "secret").read_text(encoding="utf-8") == "for one\n"
    found = [path for path in place.rglob("secret") if path.read_text(encoding="utf-8") == "meanwhile\n"]
    assert len(found) == 1
    assert len(list(place.rglob("only now"))) == 1
    sets.discard(NAME, "before")
    assert len(list(place.rglob("only now"))) == 1, "nobody was told of it yet"
    told = {path for kept in sets.written_meanwhile(NAME) for path in kept.rglob("secret")}
    assert {path.read_text(encoding="utf-8") for path in told} >= {"meanwhile\n"}


def test_what_tar_cannot_read_is_no_backup(sets: FileSetDirectories, place: Path, tmp_path: Path) -> None:
    shutil.rmtree(place)
    with pytest.raises(StratumError) as caught:
        sets.pack(NAME, tmp_path / "packed", on_bytes=lambda _: None)
    assert caught.value.code == "files-unreadable"
    assert str(place) in caught.value.message


def test_a_drill_has_room_for_the_databases_and_the_largest_set() -> None:
    contents = (FileContents(entries=1, bytes=size, digest="0") for size in (5 << 30, 9 << 30))
    sets = tuple(FileSetFacts(name="a", path="a", contents=one, changed=False) for one in contents)
    assert bytes_for_drill(a_manifest(file_sets=sets)) - bytes_for_drill(a_manifest()) == 9 << 30


def test_a_set_whose_directory_is_away_is_named(tmp_path: Path) -> None:
    sets = FileSetDirectories({NAME: tmp_path / "nowhere"}, workspace=tmp_path)
    with pytest.raises(StratumError) as caught:
        sets.refuse_away()
    assert caught.value.code == "files-away"
    assert not sets.writable(NAME)
    with pytest.raises(StratumError) as caught:
        sets.free_bytes("other")
    assert caught.value.code == "unknown-files"


@pytest.mark.parametrize(
    ("entries", "is_compose", "said"),
    [
        ([{"name": "uploads"}], False, "path has to be set"),
        ([{"name": "uploads", "path": "x"}], True, "mount it at /files/uploads"),
        ([{"name": "Uploads", "path": "x"}], False, "small letters"),
        ([{"path": "x"}], False, "small letters"),
        ([{"name": "a", "path": "x"}, {"name": "a", "path": "y"}], False, "two sets are called 'a'"),
        ([{"name": "a", "paht": "x"}], False, "'paht' is not known"),
        ([{"name": "a", "path": 1}], False, "path has to be a text"),
        ({"name": "a"}, False, "a table of its own"),
        (["a"], False, "'it' is not known"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(entries: object, is_compose: bool, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_file_sets(entries, is_compose=is_compose)
