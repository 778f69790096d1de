"""What every archive promises, asked of the real directory and of the fake in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stratum.adapters.archive import DirectoryArchive
from stratum.core.backup import CHECKSUMS, Manifest
from stratum.core.errors import StratumError
from stratum.core.proof import Verdict
from stratum.ports import Archive
from tests.fakes.memory_archive import MemoryArchive
from tests.fixtures.manifests import NOW, a_manifest, a_proof, an_identity

ArchiveOf = Callable[[str], Archive]


def _directory(path: Path) -> ArchiveOf:
    data = path / "data"
    return lambda stack: DirectoryArchive(
        path / "archive", stack=stack, data_directory=lambda: data, declared_domain=None
    )


def _memory(path: Path) -> ArchiveOf:
    shared: dict[str, MemoryArchive] = {}

    def of(stack: str) -> Archive:
        first = next(iter(shared.values()), None)
        archive = shared.setdefault(stack, MemoryArchive(path, stack=stack))
        if first is not None:
            archive._initialised = first._initialised
        return archive

    return of


@pytest.fixture(params=[_directory, _memory], ids=["directory", "memory"])
def archive_of(request: pytest.FixtureRequest, tmp_path: Path) -> ArchiveOf:
    """Opens the same archive for a stack of the given name."""
    made: ArchiveOf = request.param(tmp_path)
    return made


@pytest.fixture
def archive(archive_of: ArchiveOf) -> Archive:
    opened = archive_of("led")
    opened.initialise("led")
    return opened


def _publish(archive: Archive, backup_id: str = "b1", *, days: int = 0) -> Manifest:
    aside = archive.begin_backup(backup_id)
    (aside / "app").mkdir()
    (aside / "app" / "toc.dat").write_bytes(b"PGDMP" + backup_id.encode())
    manifest = a_manifest(backup_id, taken_at=NOW + timedelta(days=days), files=archive.measure(aside))
    archive.publish(manifest)
    return manifest


def test_an_archive_that_was_never_laid_down_is_missing(archive_of: ArchiveOf) -> None:
    for ask in (Archive.manifests, Archive.check_writable, Archive.recorded_identity, Archive.lineage, Archive.foreign):
        with pytest.raises(StratumError) as refused:
            getattr(archive_of("led"), ask.__name__)()
        assert refused.value.code == "archive-missing"


def test_laying_an_archive_down_again_keeps_what_is_in_it(archive: Archive) -> None:
    manifest = _publish(archive)

    archive.initialise("led")

    assert archive.manifests() == (manifest,)


def test_another_stacks_archive_is_refused(archive: Archive, archive_of: ArchiveOf) -> None:
    _publish(archive)
    other = archive_of("zeppelin")

    for ask in (other.manifests, other.check_writable, lambda: other.initialise("zeppelin")):
        with pytest.raises(StratumError) as refused:
            ask()
        assert refused.value.code == "wrong-archive"


def test_a_backup_is_invisible_until_it_is_published(archive: Archive) -> None:
    aside = archive.begin_backup("b1")
    (aside / "toc.dat").write_bytes(b"PGDMP")

    assert archive.manifests() == ()
    assert archive.broken() == ()
    with pytest.raises(StratumError) as refused:
        archive.backup_path("b1")
    assert refused.value.code == "unknown-backup"


def test_a_published_backup_is_what_was_written(archive: Archive) -> None:
    manifest = _publish(archive)

    assert archive.manifests() == (manifest,)
    assert (archive.backup_path("b1") / "app" / "toc.dat").read_bytes() == b"PGDMPb1"
    stored = {file.path: file for file in archive.measure(archive.backup_path("b1"))}
    assert tuple(stored[file.path] for file in manifest.files) == manifest.files
    assert set(stored) == {"app/toc.dat", CHECKSUMS}


def test_measuring_sees_every_changed_byte(archive: Archive) -> None:
    manifest = _publish(archive)
    (archive.backup_path("b1") / "app" / "toc.dat").write_bytes(b"PGDMPb2")

    assert archive.measure(archive.backup_path("b1"))[-1] != manifest.files[0]


def test_backups_are_listed_oldest_first_by_their_recovery_point(archive: Archive) -> None:
    late, early = _publish(archive, "a", days=2), _publish(archive, "z", days=1)

    assert archive.manifests() == (early, late)


def test_a_thrown_away_backup_leaves_nothing_and_may_be_thrown_away_twice(archive: Archive) -> None:
    aside = archive.begin_backup("b1")
    (aside / "toc.dat").write_bytes(b"half")

    archive.discard_partial("b1")
    archive.discard_partial("b1")

    assert not aside.exists()
    assert archive.manifests() == ()
    archive.begin_backup("b1")


def test_throwing_the_unfinished_away_keeps_a_whole_backup_of_that_name(archive: Archive) -> None:
    manifest = _publish(archive)

    archive.discard_partial("b1")

    assert archive.manifests() == (manifest,)


def test_a_backup_is_never_begun_over_another_one(archive: Archive) -> None:
    aside = archive.begin_backup("b1")
    (aside / "toc.dat").write_bytes(b"mine")

    with pytest.raises(StratumError):
        archive.begin_backup("b1")

    assert (aside / "toc.dat").read_bytes() == b"mine"


def test_removing_a_backup_removes_it_alone_and_may_be_repeated(archive: Archive) -> None:
    _publish(archive, "b1")
    other = _publish(archive, "b2", days=1)

    archive.remove_backup("b1")
    archive.remove_backup("b1")

    assert archive.manifests() == (other,)


@pytest.mark.parametrize("backup_id", ["", ".", "..", "../b1", "/etc", "a/b", ".hidden", "b1/"])
def test_an_id_that_leaves_the_archive_is_no_id(archive: Archive, backup_id: str) -> None:
    _publish(archive)

    for ask in (
        archive.backup_path,
        archive.begin_backup,
        archive.partial_path,
        archive.discard_partial,
        archive.remove_backup,
    ):
        with pytest.raises(StratumError) as refused:
            ask(backup_id)
        assert refused.value.code == "unknown-backup"
    assert len(archive.manifests()) == 1


def test_an_export_holds_every_file_of_the_backup(archive: Archive, tmp_path: Path) -> None:
    manifest = _publish(archive)

    archive.export_backup("b1", tmp_path / "out")

    assert set(manifest.files) <= set(archive.measure(tmp_path / "out"))


def test_a_pin_holds_until_it_is_taken_off(archive: Archive) -> None:
    _publish(archive)

    archive.pin("b1", pinned=True)
    archive.pin("b1", pinned=True)
    assert archive.pinned() == {"b1"}

    archive.pin("b1", pinned=False)
    archive.pin("b1", pinned=False)
    assert archive.pinned() == frozenset()


def test_only_a_backup_that_is_there_can_be_pinned(archive: Archive) -> None:
    with pytest.raises(StratumError) as refused:
        archive.pin("b9", pinned=True)

    assert refused.value.code == "unknown-backup"
    assert archive.pinned() == frozenset()


def test_proofs_are_kept_in_the_order_they_were_made(archive: Archive) -> None:
    proofs = tuple(
        a_proof("b1", verdict=verdict, finished_at=NOW + timedelta(days=20 * n)) for n, verdict in enumerate(Verdict)
    )

    for proof in proofs:
        archive.record_proof(proof)

    assert archive.proofs() == proofs


def test_the_identity_is_the_last_one_recorded_and_the_lineage_is_all_of_them(archive: Archive) -> None:
    first, second = an_identity(), an_identity(system_identifier="7000000000000000002")

    for identity in (first, second, replace(first, flushed_lsn=5000)):
        archive.record_identity(identity)

    assert archive.recorded_identity() == replace(first, flushed_lsn=5000)
    assert archive.lineage() == (first.system_identifier, second.system_identifier)


def test_forgetting_the_identity_keeps_the_lineage(archive: Archive) -> None:
    archive.record_identity(an_identity())

    archive.forget_identity()

    assert archive.recorded_identity() is None
    assert archive.lineage() == (an_identity().system_identifier,)


def test_a_new_archive_knows_no_identity_no_proof_and_no_pin(archive: Archive) -> None:
    assert archive.recorded_identity() is None
    assert (archive.lineage(), archive.proofs(), archive.pinned(), archive.foreign()) == ((), (), frozenset(), ())
    assert archive.free_bytes() > 0


def test_a_one_time_token_signs_in_once(archive: Archive) -> None:
    archive.add_console_token("first", now=NOW)
    archive.add_console_token("second", now=NOW)

    assert not archive.redeem_console_token("third", now=NOW)
    assert archive.redeem_console_token("first", now=NOW)
    assert not archive.redeem_console_token("first", now=NOW)
    assert archive.redeem_console_token("second", now=NOW)


def test_a_one_time_token_is_good_for_a_quarter_of_an_hour(archive: Archive) -> None:
    archive.add_console_token("token", now=NOW)

    assert not archive.redeem_console_token("token", now=NOW + timedelta(minutes=15))
    assert archive.redeem_console_token("token", now=NOW + timedelta(minutes=14, seconds=59))


def test_the_epoch_is_raised_once_for_each_plan(archive: Archive) -> None:
    first = archive.token_epoch()

    for plan in ("one", "one", "two"):
        archive.raise_token_epoch(because=plan)

    assert archive.token_epoch() == first + 2


def test_tokens_and_the_epoch_do_not_disturb_each_other(archive: Archive) -> None:
    archive.add_console_token("token", now=NOW)
    archive.raise_token_epoch(because="plan")

    assert archive.redeem_console_token("token", now=NOW)
    assert archive.token_epoch() == 2
    assert archive.foreign() == ()
