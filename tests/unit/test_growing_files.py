"""What is hashed while it is written has the hash it has when it is read at the end."""

from __future__ import annotations

import hashlib
from pathlib import Path

from stratum.adapters.growing_files import GrowingFiles
from stratum.core.backup import FileFacts


def test_files_that_grow_and_one_that_gets_its_name_at_the_end_are_read_once_to_their_end(tmp_path: Path) -> None:
    growing, tar, aside = GrowingFiles(tmp_path), tmp_path / "base.tar.zst", tmp_path / "manifest.tmp"
    with tar.open("ab", buffering=0) as stream:
        stream.write(b"a" * (3 << 20))
        assert growing.follow() == 3 << 20
        aside.write_bytes(b"half")
        growing.follow()
        stream.write(b"b" * 5)
    aside.rename(tmp_path / "manifest").write_bytes(b"another")

    wanted = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert growing.facts() == tuple(
        FileFacts(path=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in sorted(wanted.items())
    )


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    growing, file = GrowingFiles(tmp_path), tmp_path / "base.tar.zst"
    file.write_bytes(b"first")
    growing.follow()
    with file.open("r+b") as stream:
        stream.write(b"FIRST, and more")
    (found,) = growing.facts()
    assert found.sha256 == hashlib.sha256(b"first, and more").hexdigest()
