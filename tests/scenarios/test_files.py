"""File sets on a real stack: uploads are in every backup, proven by drills, and come back on their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from stratum.adapters.file_contents import contents_of_directory
from stratum.adapters.file_set_directories import HIDDEN, FileSetDirectories
from stratum.core.errors import StratumError
from stratum.core.file_sets import FileContents
from stratum.core.proof import Verdict
from stratum.engine.prune import prune
from stratum.engine.restore_files import restore_files, undo_files
from stratum.engine.verify_backup import verify_backup
from tests.fakes.settable_clock import SettableClock
from tests.fixtures.cut_stacks import CutStack
from tests.fixtures.stacks import Asked, StackUnderTest

NAME = "uploads"


@pytest.fixture
def uploads(stack: StackUnderTest) -> Path:
    """A directory that stratum.toml names, with something in it."""
    place = stack.directory / "uploads"
    (place / "2026").mkdir(parents=True)
    (place / "2026" / "invoice é.pdf").write_bytes(os.urandom(50_000))
    (place / "logo.svg").write_text("<svg/>\n", encoding="utf-8")
    _name_in_toml(stack, "uploads")
    return place


def _name_in_toml(stack: StackUnderTest, path: str) -> None:
    with (stack.directory / "stratum.toml").open("a", encoding="utf-8") as toml:
        toml.write(f'\n[[files]]\nname = "{NAME}"\npath = "{path}"\n')


def test_uploads_are_backed_up_proven_lost_and_brought_back(stack: StackUnderTest, uploads: Path) -> None:
    whole = contents_of_directory(uploads)
    backup = stack.backup()
    (facts,) = stack.ports().archive.manifests()[-1].file_sets
    assert (facts.name, facts.contents, facts.changed) == (NAME, whole, False)

    assert f"files {NAME}: {whole.entries} entries" in stack.cli("backups", "show", backup).stdout

    proof = stack.drill(backup)
    assert proof.verdict is Verdict.PROVEN
    assert {check.name: check.verdict for check in proof.checks}[f"files {NAME}"] is Verdict.PROVEN

    shutil.rmtree(uploads / "2026")
    (uploads / "since").write_text("written since\n", encoding="utf-8")
    lost = contents_of_directory(uploads)

    done = stack.cli("restore", "--files", NAME, "--confirm", "led")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stratum restore --files uploads --undo" in done.stdout
    assert contents_of_directory(uploads, leaving_out=HIDDEN) == whole

    undone = stack.cli("restore", "--files", NAME, "--undo", "--confirm", "led")
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert contents_of_directory(uploads, leaving_out=HIDDEN) == lost
    undo_files(stack.ports(), NAME)
    assert contents_of_directory(uploads, leaving_out=HIDDEN) == whole


def test_who_says_no_keeps_what_is_in_place(stack: StackUnderTest, uploads: Path) -> None:
    stack.backup()
    (uploads / "logo.svg").unlink()
    before = contents_of_directory(uploads)
    asked = Asked(answer=False)
    with pytest.raises(StratumError) as caught:
        restore_files(stack.ports(asked=asked), NAME, backup_id=None)
    assert caught.value.code == "declined"
    assert any("in place now: 2 entries" in line for line in asked.shown), asked.shown
    assert contents_of_directory(uploads) == before


def test_without_the_directory_there_is_no_backup_that_lacks_it(stack: StackUnderTest, uploads: Path) -> None:
    before = len(stack.ports().archive.manifests())
    uploads.rename(stack.directory / "elsewhere")
    with pytest.raises(StratumError) as caught:
        stack.backup()
    assert caught.value.code == "files-away"
    assert len(stack.ports().archive.manifests()) == before


def test_an_empty_directory_where_files_were_is_no_backup_of_them(stack: StackUnderTest, uploads: Path) -> None:
    """As a disk that is not mounted looks, and a volume that was removed and made anew."""
    stack.backup()
    before = len(stack.ports().archive.manifests())
    shutil.rmtree(uploads)
    uploads.mkdir()

    refused = stack.cli("backup")
    assert refused.returncode == 13, refused.stdout + refused.stderr
    assert "error[files-collapsed]" in refused.stderr
    assert "holds 0 entries" in refused.stderr
    assert len(stack.ports().archive.manifests()) == before

    assert stack.cli("backup", "--accept-fewer-rows").returncode == 0
    restore_files(stack.ports(), NAME, backup_id=stack.ports().archive.manifests()[-2].id)
    assert (uploads / "logo.svg").exists()


@pytest.mark.parametrize("path", [".", "archive", "archive/dumps", ".stratum"])
def test_a_set_that_would_hold_the_archive_or_the_cluster_is_refused(stopped_stack: StackUnderTest, path: str) -> None:
    toml = stopped_stack.directory / "stratum.toml"
    before = toml.read_text(encoding="utf-8")
    _name_in_toml(stopped_stack, path)
    with pytest.raises(StratumError) as caught:
        stopped_stack.ports()
    toml.write_text(before, encoding="utf-8")
    assert caught.value.code == "invalid-setting"
    assert "lie in each other" in caught.value.message


def test_a_backup_from_before_the_set_was_named_does_not_have_it(stack: StackUnderTest, uploads: Path) -> None:
    del uploads
    older = stack.ports().archive.manifests()[-1].id
    for backup_id in (older, None):
        with pytest.raises(StratumError) as caught:
            restore_files(stack.ports(), NAME, backup_id=backup_id)
        assert caught.value.code == "files-not-in-backup"
    with pytest.raises(StratumError) as caught:
        restore_files(stack.ports(), "photos", backup_id=None)
    assert caught.value.code == "unknown-files"


def test_a_tar_that_was_exchanged_is_found_by_verify_drill_and_restore(stack: StackUnderTest, uploads: Path) -> None:
    backup = stack.backup()
    (uploads / "logo.svg").write_text("<other/>\n", encoding="utf-8")
    other = stack.backup()
    dumps = stack.archive / "dumps"
    shutil.copyfile(dumps / other / "file-sets" / "uploads.tar.zst", dumps / backup / "file-sets" / "uploads.tar.zst")
    ports = stack.ports()
    manifest = next(found for found in ports.archive.manifests() if found.id == backup)
    assert verify_backup(manifest, ports).verdict is Verdict.FAILED
    assert stack.drill(backup).verdict is Verdict.FAILED
    with pytest.raises(StratumError) as caught:
        restore_files(ports, NAME, backup_id=backup)
    assert caught.value.code == "backup-damaged"
    assert contents_of_directory(uploads).entries == 3


def test_prune_deletes_what_was_replaced_once_nobody_can_want_it_back(stack: StackUnderTest, uploads: Path) -> None:
    stack.backup()
    stack.drill()
    restore_files(stack.ports(), NAME, backup_id=None)
    prune(stack.ports())
    assert list(uploads.glob(f"{HIDDEN}before-*"))
    ports = stack.ports()
    later = ports.clock.now() + ports.stack.restore.undo_window + timedelta(hours=1)
    prune(stack.ports(clock=SettableClock(later)))
    assert not list(uploads.glob(f"{HIDDEN}*"))
    with pytest.raises(StratumError) as caught:
        undo_files(stack.ports(), NAME)
    assert caught.value.code == "nothing-to-undo"


def test_the_page_in_the_archive_brings_them_back_with_stock_tools(
    stack: StackUnderTest, uploads: Path, tmp_path: Path
) -> None:
    stack.backup()
    page = (stack.archive / "RESTORE.md").read_text(encoding="utf-8")
    commands = next(block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "file-sets" in block)
    done = subprocess.run(
        ("sh", "-e", "-c", commands), cwd=stack.archive, env=os.environ | {"FILES": str(tmp_path / "files")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert contents_of_directory(tmp_path / "files" / NAME) == contents_of_directory(uploads)


def test_a_database_may_be_called_like_the_directory_of_file_sets(stack: StackUnderTest, uploads: Path) -> None:
    stack.execute('CREATE DATABASE "file-sets"')
    toml = stack.directory / "stratum.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(re.sub(r"(?m)^databases = .*$", 'databases = ["stratum_db", "file-sets"]', text), encoding="utf-8")
    assert stack.ports().stack.databases == ("stratum_db", "file-sets")
    assert stack.drill(stack.backup()).verdict is Verdict.PROVEN
    assert contents_of_directory(uploads).entries == 3


@pytest.mark.parametrize("verb", ["restore-files", "undo-restore-files"])
def test_a_restore_of_files_that_is_killed_anywhere_leaves_one_of_the_two_whole(cut_stack: CutStack, verb: str) -> None:
    stack, place = cut_stack.stack, cut_stack.stack.directory / "uploads"
    _name_in_toml(stack, "uploads")
    whole = _fill(place, "whole")
    stack.backup()
    lost = _begin(cut_stack, verb)
    first = len(cut_stack.entries())
    cut_stack.finish(verb)
    count = len(cut_stack.entries()) - first
    for moment in (*(f"{when}:{n}" for n in range(1, count + 1) for when in ("before", "after")), "inside:renames"):
        _begin(cut_stack, verb)
        cut_stack.cut(verb, moment)
        cut_stack.recover()
        cut_stack.assert_nothing_is_left_over()
        held = contents_of_directory(place, leaving_out=HIDDEN)
        assert held in (whole, lost), moment
        hidden = [contents_of_directory(path / "content") for path in place.glob(f"{HIDDEN}before-*")]
        assert lost in (held, *hidden), moment
        assert verb == "restore-files" or whole in (held, *hidden), moment
        assert [path.name for path in place.glob(f"{HIDDEN}*") if "before" not in path.name] == [], moment


def test_half_of_the_files_is_in_no_backup_where_the_cut_restore_cannot_be_finished(
    cut_stack: CutStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Docker, where the service that backs up sees the sets read-only."""
    stack, place = cut_stack.stack, cut_stack.stack.directory / "uploads"
    _name_in_toml(stack, "uploads")
    whole = _fill(place, "whole")
    stack.backup()
    lost = _begin(cut_stack, "restore-files")
    cut_stack.cut("restore-files", "inside:renames")
    with monkeypatch.context() as patched:
        patched.setattr(FileSetDirectories, "writable", lambda _, name: name != NAME)
        for verb in (stack.backup, lambda: restore_files(stack.ports(), NAME, backup_id=None)):
            with pytest.raises(StratumError) as caught:
                verb()
            assert caught.value.code == "files-cut"
    cut_stack.recover()
    cut_stack.assert_nothing_is_left_over()
    assert contents_of_directory(place, leaving_out=HIDDEN) in (whole, lost)
    stack.backup()


def test_a_set_that_is_not_named_any_more_after_a_crash_keeps_nobody_out(cut_stack: CutStack) -> None:
    stack, place = cut_stack.stack, cut_stack.stack.directory / "uploads"
    toml = stack.directory / "stratum.toml"
    before = toml.read_text(encoding="utf-8")
    _name_in_toml(stack, "uploads")
    _fill(place, "whole")
    stack.backup()
    cut_stack.cut("restore-files", "inside:renames")
    toml.write_text(before, encoding="utf-8")
    cut_stack.recover()
    cut_stack.assert_nothing_is_left_over()
    assert len(list(place.rglob("c"))) == 2, "what was in place and what came back still lie there"


def _begin(cut: CutStack, verb: str) -> FileContents:
    """What was written since the backup is in place; for an undo, a restore has replaced it."""
    place = cut.stack.directory / "uploads"
    shutil.rmtree(place)
    lost = _fill(place, "lost")
    if verb == "undo-restore-files":
        cut.finish("restore-files")
    return lost


def _fill(place: Path, text: str) -> FileContents:
    (place / "folder").mkdir(parents=True)
    for name in ("a", "b", "folder/c", text):
        (place / name).write_text(f"{text} {name}\n", encoding="utf-8")
    return contents_of_directory(place)
