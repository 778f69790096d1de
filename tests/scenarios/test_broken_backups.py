"""A corpus of broken backups: each must produce its finding, and the same backup unbroken must not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stratum.core.backup import CHECKSUMS
from stratum.core.proof import Verdict, newest_proven
from tests.fixtures.archived_stacks import ArchivedStack, StoredBackup, findings, flip_a_byte

Break = Callable[[StoredBackup], object]


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


_STORED: dict[str, tuple[Break, str]] = {
    "a data file is empty": (lambda b: b.data_file().write_bytes(b""), "has 0 bytes instead of"),
    "a data file is truncated": (lambda b: _truncate(b.data_file()), " bytes instead of "),
    "a byte of the data is flipped": (lambda b: flip_a_byte(b.data_file()), "has changed content"),
    "a byte of the table of contents is flipped": (lambda b: flip_a_byte(b.toc()), "toc.dat has changed content"),
    "the table of contents is empty": (lambda b: b.toc().write_bytes(b""), "toc.dat has 0 bytes instead of"),
    "a byte of the globals is flipped": (
        lambda b: flip_a_byte(b.path / "globals.sql"),
        "globals.sql has changed content",
    ),
    "a byte of the checksums is flipped": (
        lambda b: flip_a_byte(b.path / CHECKSUMS),
        "SHA256SUMS has changed content",
    ),
    "the checksums are missing": (lambda b: (b.path / CHECKSUMS).unlink(), "SHA256SUMS is missing"),
    "a data file is missing": (lambda b: b.data_file().unlink(), "is missing"),
    "the globals are missing": (lambda b: (b.path / "globals.sql").unlink(), "globals.sql is missing"),
    "the dump is missing": (lambda b: shutil.rmtree(b.toc().parent), "toc.dat is missing"),
    "a file is there that does not belong": (
        lambda b: (b.path / "note.txt").write_text("hello"),
        "note.txt does not belong to the backup",
    ),
    "the manifest names no file": (
        lambda b: b.edit_manifest(lambda plain: plain.update(files=[])),
        "does not belong to the backup",
    ),
}


@pytest.mark.parametrize(("damage", "reason"), _STORED.values(), ids=_STORED)
def test_what_is_stored_and_not_what_was_written_is_found_by_reading_it(
    archived: ArchivedStack, damage: Break, reason: str
) -> None:
    assert archived.newer.verify().verdict is Verdict.PROVEN

    damage(archived.newer)

    found = archived.newer.verify()
    assert found.verdict is Verdict.FAILED
    assert reason in findings(found)["stored-files"]
    assert archived.older.verify().verdict is Verdict.PROVEN, "the other backup is not blamed"


@pytest.mark.parametrize("damage", [_STORED["a byte of the data is flipped"][0]], ids=["flipped"])
def test_a_drill_finds_stored_damage_before_it_restores_anything(archived: ArchivedStack, damage: Break) -> None:
    damage(archived.newer)

    found = archived.newer.drill()

    assert found.verdict is Verdict.FAILED
    assert set(findings(found)) == {"stored-files"}
    assert found.restore_seconds is None


def _as_another(backup: StoredBackup) -> None:
    backup.edit_manifest(lambda plain: plain.update(id="2020-01-01T00-00-00Z-zzzz"))


_UNREADABLE: dict[str, tuple[Break, str]] = {
    "no manifest": (lambda b: b.manifest_file.unlink(), "No such file"),
    "an empty manifest": (lambda b: b.manifest_file.write_bytes(b""), "not JSON"),
    "a truncated manifest": (lambda b: _truncate(b.manifest_file), "not JSON"),
    "a manifest that is not text": (lambda b: b.manifest_file.write_bytes(b"\xff\xfe\x00"), "not JSON"),
    "a manifest that is a list": (lambda b: b.manifest_file.write_text("[]"), "manifest.json"),
    "a manifest nested without end": (lambda b: b.manifest_file.write_text("[" * 100_000), "not JSON"),
    "the manifest of another backup": (_as_another, "its manifest is of 2020-01-01T00-00-00Z-zzzz"),
    "the manifest of another stack": (
        lambda b: b.edit_manifest(lambda plain: plain.update(stack="zeppelin")),
        "a backup of stack zeppelin",
    ),
    "a manifest of a newer format": (
        lambda b: b.edit_manifest(lambda plain: plain.update(format=99)),
        "has format 99, and this Stratum reads up to 1",
    ),
    "a manifest without its files": (lambda b: b.edit_manifest(lambda plain: plain.pop("files")), "files"),
    "a manifest with a time that is none": (
        lambda b: b.edit_manifest(lambda plain: plain.update(taken_at="yesterday")),
        "taken_at",
    ),
}


@pytest.mark.parametrize(("damage", "why"), _UNREADABLE.values(), ids=_UNREADABLE)
def test_a_backup_whose_manifest_cannot_be_trusted_is_no_backup_and_is_named(
    archived: ArchivedStack, damage: Break, why: str
) -> None:
    assert [m.id for m in archived.stack.ports().archive.manifests()] == [archived.older.id, archived.newer.id]

    damage(archived.newer)

    archive = archived.stack.ports().archive
    assert [m.id for m in archive.manifests()] == [archived.older.id]
    (broken,) = archive.broken()
    assert broken.id == archived.newer.id
    assert why in broken.why


def test_verify_all_reads_every_backup_and_names_the_damaged_ones(archived: ArchivedStack) -> None:
    whole = archived.stack.cli("verify", "--all")
    archived.older.manifest_file.write_text("{", encoding="utf-8")
    unreadable = archived.stack.cli("verify", "--all")
    flip_a_byte(archived.newer.data_file())
    both = archived.stack.cli("verify", "--all")

    assert whole.returncode == 0, whole.stderr
    assert unreadable.returncode == 13
    assert f"{archived.older.id}: damaged" in unreadable.stdout
    assert both.returncode == 13
    assert "has changed content" in both.stdout


def _header(backup: StoredBackup) -> None:
    content = bytearray(backup.toc().read_bytes())
    content[6] = 13
    backup.toc().write_bytes(content)


_REHASHED: dict[str, tuple[Break, str]] = {
    "a truncated data file": (lambda b: _truncate(b.data_file()), "dump stratum_db"),
    "an empty data file": (lambda b: b.data_file().write_bytes(b""), "dump stratum_db"),
    "a missing data file": (lambda b: b.data_file().unlink(), "dump stratum_db"),
    "another archive version": (_header, "dump stratum_db"),
    "a file that is no dump": (lambda b: b.toc().write_bytes(b"hello, world"), "dump stratum_db"),
    "an empty table of contents": (lambda b: b.toc().write_bytes(b""), "dump stratum_db"),
}


@pytest.mark.parametrize(("damage", "check"), _REHASHED.values(), ids=_REHASHED)
def test_a_dump_that_was_broken_when_it_was_hashed_is_found_by_reading_its_data(
    archived: ArchivedStack, damage: Break, check: str
) -> None:
    archived.newer.record_hashes()
    assert archived.newer.verify().verdict is Verdict.PROVEN

    damage(archived.newer)
    archived.newer.record_hashes()

    found = archived.newer.verify()
    assert found.verdict is Verdict.FAILED
    assert set(findings(found)) == {check}


def test_a_table_the_manifest_promises_and_the_dump_has_not_is_found(archived: ArchivedStack) -> None:
    def promise(facts: dict[str, Any]) -> None:
        facts["tables"].append(facts["tables"][0] | {"name": "promised"})

    archived.newer.edit_facts(promise)

    found = archived.newer.verify()
    assert findings(found) == {"contents stratum_db": "no data in the dump for public.promised"}


def test_an_unbroken_backup_is_proven_and_its_verdict_is_an_exit_code(archived: ArchivedStack) -> None:
    done = archived.stack.cli("drill", archived.newer.id)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{archived.newer.id}: proven; 1001 rows restored" in done.stdout


def test_an_older_dump_under_a_newer_manifest_is_found_by_its_rows_and_its_content(archived: ArchivedStack) -> None:
    """Every hash agrees: only the rows tell the two states apart."""
    old, new = archived.older.toc().parent, archived.newer.toc().parent
    shutil.rmtree(new)
    shutil.copytree(old, new)
    archived.newer.record_hashes()
    assert set(findings(archived.newer.verify())) == {"contents stratum_db"}

    found = archived.newer.drill()

    assert found.verdict is Verdict.FAILED
    assert findings(found)["row-counts"] == "public.receipt: 501 expected, 500 found"
    assert "public.account" in findings(found)["content"], "as many rows, and one of them another"


def test_a_digit_of_a_row_count_in_the_manifest_is_found_by_verification_and_by_the_drill(
    archived: ArchivedStack,
) -> None:
    archived.newer.edit_facts(lambda facts: facts["tables"][0].update(rows=600))

    verified, drilled = archived.newer.verify(), archived.newer.drill()

    assert findings(verified) == {"contents stratum_db": "public.account: 600 rows expected, 500 in the dump"}
    assert findings(drilled) == {"row-counts": "public.account: 600 expected, 500 found"}
    assert verified.verdict is drilled.verdict is Verdict.FAILED


def test_what_the_manifest_knows_and_the_restored_database_lacks_is_found(archived: ArchivedStack) -> None:
    head = {"tool": "alembic", "table": "public.alembic_version", "head": "a1", "applied": None}
    sequence = {"schema": "public", "name": "gone_seq", "last_value": 1, "table": None, "column": None, "behind": False}

    def expect_more(facts: dict[str, Any]) -> None:
        facts["extensions"].append({"name": "pg_trgm", "version": "1.6", "schema": "public"})
        facts["materialized_views"].append("public.totals")
        facts["migrations"].append(head)
        facts["sequences"].append(sequence)
        facts["large_objects"]["count"] = 1

    archived.newer.edit_facts(expect_more)
    ghost = {"name": "ghost", "can_login": True, "superuser": False}
    archived.newer.edit_manifest(lambda plain: plain["roles"].append(ghost))

    found = archived.newer.drill()

    assert found.verdict is Verdict.FAILED
    assert findings(found) == {
        "extensions": "missing: pg_trgm",
        "materialized-views": "missing: public.totals",
        "migration-head": "alembic a1 on one side only",
        "sequences": "missing: public.gone_seq",
        "large-objects": "1 expected, 0 found",
        "roles": "missing: ghost",
    }


def test_a_failed_drill_is_no_proof_and_takes_the_one_before_it_back(archived: ArchivedStack) -> None:
    assert archived.newer.drill().verdict is Verdict.PROVEN
    flip_a_byte(archived.newer.data_file())

    done = archived.stack.cli("drill")

    assert done.returncode == 13
    archive = archived.stack.ports().archive
    assert newest_proven(archive.manifests(), archive.proofs()) is None
