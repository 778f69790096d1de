"""The archive read again: what changed is found, fetched from a copy where one has it whole, and never lost."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from stratum.adapters.archive_notes import read_scrubbed
from stratum.adapters.scrub import SHARES, scrub

_NOW = datetime(2026, 11, 1, tzinfo=UTC)


def _archive(root: Path) -> Path:
    """Two folders with a checksum file each, as a backup and a timeline have."""
    for folder, names in (("dumps/one", ("db/toc.dat", "globals.sql")), ("wal/7/00000001", ("A.zst", "B.zst"))):
        lines = []
        for name in names:
            file = root / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{folder}/{name}")
            lines.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}\n")
        (root / folder / "SHA256SUMS").write_text("".join(lines))
    return root


def _nobody(path: str, target: Path, sha256: str) -> bool:
    del path, target, sha256
    return False


def test_seven_days_read_everything_once_and_find_nothing_wrong(tmp_path: Path) -> None:
    archive = _archive(tmp_path)

    shares = [scrub(archive, now=_NOW, fetch=_nobody, share=share) for share in range(SHARES)]

    assert sum(found.files for found in shares) == 4
    assert {(found.damaged, found.mended) for found in shares} == {((), ())}


def test_damage_without_a_copy_is_named_and_left_as_it_lies(tmp_path: Path) -> None:
    archive = _archive(tmp_path)
    (archive / "dumps/one/globals.sql").write_text("flipped")
    (archive / "wal/7/00000001/B.zst").unlink()

    found = scrub(archive, now=_NOW, fetch=_nobody, share=None)

    assert (found.damaged, found.mended) == (("dumps/one/globals.sql", "wal/7/00000001/B.zst"), ())
    assert (archive / "dumps/one/globals.sql").read_text() == "flipped"
    assert read_scrubbed(archive) == found


def test_damage_is_mended_from_a_copy_and_the_damaged_file_is_kept_aside(tmp_path: Path) -> None:
    archive = _archive(tmp_path)
    asked = []

    def fetch(path: str, target: Path, sha256: str) -> bool:
        asked.append(sha256)
        target.write_text(path)
        return True

    (archive / "dumps/one/db/toc.dat").write_text("flipped")
    (archive / "wal/7/00000001/B.zst").unlink()

    found = scrub(archive, now=_NOW, fetch=fetch, share=None)

    assert (found.damaged, found.mended) == ((), ("dumps/one/db/toc.dat", "wal/7/00000001/B.zst"))
    assert (archive / "dumps/one/db/toc.dat").read_text() == "dumps/one/db/toc.dat"
    assert asked == [hashlib.sha256(path.encode()).hexdigest() for path in found.mended]
    (kept,) = [path for path in (archive / "damaged").rglob("*") if path.is_file()]
    assert (kept.read_text(), kept.name) == ("flipped", "toc.dat")
    assert scrub(archive, now=_NOW, fetch=_nobody, share=None).damaged == ()
