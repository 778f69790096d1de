"""A tar that streams by is unpacked whole, or it is said why not; nothing goes on reading after that."""

from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path

import pytest

from stratum.adapters.tar_unpack import settling, unpack


def _a_tar(content: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


class _Torn(io.BytesIO):
    """A stream whose end cannot be read."""

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        if not piece:
            raise EOFError("it was cut")
        return piece


def test_every_file_of_a_tar_is_there_byte_for_byte(tmp_path: Path) -> None:
    content = {"large": bytes(range(256)) * 40_000, "small": b"x", "empty": b""}
    unpack(io.BytesIO(_a_tar(content)), tmp_path, run_as=None, log=tmp_path / "log")
    assert {name: (tmp_path / name).read_bytes() for name in content} == content


def test_a_fault_of_reading_is_raised_as_it_is_and_no_thread_is_left(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(EOFError, match="cut"):
        unpack(_Torn(_a_tar({"a": b"b" * 9_000_000})[:8_000_000]), tmp_path, run_as=None, log=tmp_path / "log")
    assert threading.active_count() == before


def test_what_is_no_tar_is_refused_with_the_words_of_tar_however_much_of_it_there_is(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="tar"):
        unpack(io.BytesIO(b"no tar at all " * 2_000_000), tmp_path, run_as=None, log=tmp_path / "log")
    assert threading.active_count() == before


def test_settling_ends_with_the_tree_on_disk_and_says_what_stands_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[Path] = []
    monkeypatch.setattr("stratum.adapters.durable.sync_tree", settled.append)
    with settling(tmp_path):
        pass
    assert settled == [tmp_path]

    def refuse(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("stratum.adapters.durable.sync_tree", refuse)
    with pytest.raises(OSError, match="Input/output error"), settling(tmp_path):
        pass
