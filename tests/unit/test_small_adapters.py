"""Failure domains, the stack's own files, and messages in the reader's language."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stratum.adapters import failure_domain, messages
from stratum.adapters.failure_domain import observe_failure_domain
from stratum.adapters.stack_files import StackFilesOnDisk, lay_down
from stratum.config import load_settings
from stratum.core.errors import KINDS, StratumError


def test_two_directories_of_one_file_system_share_its_disk(tmp_path: Path) -> None:
    assert observe_failure_domain(tmp_path / "archive", tmp_path / "data" / "that" / "was" / "lost") == "same-disk"


def _disks(monkeypatch: pytest.MonkeyPatch, **disks: str | None) -> None:
    monkeypatch.setattr(failure_domain, "_device", lambda path: hash(path.name))
    monkeypatch.setattr(failure_domain, "_disk", lambda device: {hash(k): v for k, v in disks.items()}[device])


@pytest.mark.parametrize(
    ("archive", "data", "domain"),
    [
        ("sdb", "sda", "other-disk"),
        ("sda", "sda", "same-disk"),
        ("vda", "vdb", "unknown"),
        ("nvme0n1", "dm-0", "unknown"),
        (None, "sda", "unknown"),
        ("sda", None, "unknown"),
    ],
)
def test_only_disks_that_the_kernel_tells_apart_are_other_disks(
    monkeypatch: pytest.MonkeyPatch, archive: str | None, data: str | None, domain: str
) -> None:
    _disks(monkeypatch, archive=archive, data=data)

    assert observe_failure_domain(Path("archive"), Path("data")) == domain


@pytest.mark.parametrize("disk", ["sda", "nvme0n1"])
def test_a_partition_belongs_to_its_disk_and_a_disk_to_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, disk: str
) -> None:
    partition = tmp_path / "devices" / disk / f"{disk}p1"
    partition.mkdir(parents=True)
    (partition / "partition").write_text("1", encoding="ascii")
    (tmp_path / "8:0").symlink_to(partition.parent)
    (tmp_path / "8:1").symlink_to(partition)
    monkeypatch.setattr(failure_domain, "_SYSFS", tmp_path)

    found = [failure_domain._disk(os.makedev(8, minor)) for minor in (0, 1, 2)]

    assert found == [disk, disk, None]


def _lay_down(directory: Path) -> tuple[Path, ...]:
    return lay_down(directory, name="led", database_directory=".stratum", archive="archive", console=False)


def test_a_new_stack_has_strong_private_secrets_and_settings_that_load(tmp_path: Path) -> None:
    _lay_down(tmp_path / "led")

    settings = load_settings(tmp_path / "led")
    state = StackFilesOnDisk(directory=tmp_path / "led", environment=settings.environment).observe()
    assert settings.stack.name == "led"
    assert (state.env_mode, state.weak_secrets) == (0o600, ())


def test_no_two_stacks_share_a_secret(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _lay_down(tmp_path / name)

    first, second = (load_settings(tmp_path / name).environment for name in ("a", "b"))
    assert [name for name in first if "PASSWORD" in name and first[name] == second[name]] == []


@pytest.mark.parametrize("file", ["stratum.toml", ".env"])
def test_a_stack_is_never_laid_down_over_another(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text("mine", encoding="utf-8")

    with pytest.raises(StratumError) as refused:
        _lay_down(tmp_path)

    assert refused.value.code == "stack-exists"
    assert [path.name for path in tmp_path.iterdir()] == [file]
    assert (tmp_path / file).read_text(encoding="utf-8") == "mine"


def test_files_that_were_there_are_kept_and_only_added_to(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.pyc\n.env", encoding="utf-8")
    (tmp_path / "Makefile").write_text("all:\n", encoding="utf-8")

    _lay_down(tmp_path)

    assert (tmp_path / ".gitignore").read_text(encoding="utf-8") == "*.pyc\n.env\n.stratum/\narchive/\n"
    assert (tmp_path / "Makefile").read_text(encoding="utf-8") == "all:\n"


@pytest.mark.parametrize("value", ["", "short", "CHANGE_ME_STRONG", "postgres"])
def test_a_weak_secret_is_named(tmp_path: Path, value: str) -> None:
    files = StackFilesOnDisk(directory=tmp_path, environment={"POSTGRES_PASSWORD": value})

    assert "POSTGRES_PASSWORD" in files.observe().weak_secrets


def test_an_env_that_others_can_read_is_seen_and_mended(tmp_path: Path) -> None:
    files = StackFilesOnDisk(directory=tmp_path, environment={})
    (tmp_path / ".env").write_text("", encoding="utf-8")
    (tmp_path / ".env").chmod(0o644)
    seen = files.observe().env_mode

    files.protect_env()

    assert (seen, files.observe().env_mode) == (0o644, 0o600)


@pytest.mark.skipif(shutil.which("git") is None, reason="git answers this question")
def test_git_itself_says_whether_env_is_ignored(tmp_path: Path) -> None:
    files = StackFilesOnDisk(directory=tmp_path, environment={})
    assert files.observe().env_ignored_by_git is None
    subprocess.run(("git", "init", "--quiet", str(tmp_path)), check=True)
    before = files.observe().env_ignored_by_git

    files.ignore_env()

    assert (before, files.observe().env_ignored_by_git) == (False, True)


def _reader(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_a_sentence_without_a_translation_is_said_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    _reader(monkeypatch, LANG="fr_FR.UTF-8")

    assert messages.say("a sentence nobody translated: {name}", {"name": "x"}) == "a sentence nobody translated: x"


@pytest.mark.parametrize(
    "environment", [{}, {"LANG": "C"}, {"LANG": "tlh_KX.UTF-8"}, {"LC_ALL": "C.UTF-8", "LANG": "fr_FR"}]
)
def test_a_reader_of_no_known_language_is_spoken_to_in_english(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    _reader(monkeypatch, **environment)

    assert messages.say(KINDS["port-taken"].message, {"port": "1"}) == "port 1 on 127.0.0.1 is taken by another program"


@pytest.mark.parametrize(
    ("environment", "languages"),
    [
        ({"LANG": "fr_FR.UTF-8"}, ("fr_FR.UTF-8",)),
        ({"LANG": "de", "LC_MESSAGES": "fr"}, ("fr",)),
        ({"LANG": "de", "LC_ALL": "fr"}, ("fr",)),
        ({"LANG": "de", "LANGUAGE": "fr:en"}, ("fr", "en")),
        ({}, ("C",)),
    ],
)
def test_the_reader_is_asked_in_the_order_gettext_asks(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], languages: tuple[str, ...]
) -> None:
    _reader(monkeypatch, **environment)

    assert messages.observe_languages() == languages


@pytest.mark.parametrize("language", ["en", "fr_FR.UTF-8"])
def test_an_error_in_any_language_keeps_its_code_and_its_values(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    _reader(monkeypatch, LANGUAGE=language)

    spoken = messages.speak_error(StratumError("port-taken", port=5433))

    assert spoken.code == "port-taken"
    assert "5433" in spoken.message
    assert spoken.details == {"port": "5433"}
