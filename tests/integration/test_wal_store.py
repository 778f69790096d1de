"""WAL in the archive, with files as a real server writes them: filed when closed, found again, damage named."""

from __future__ import annotations

import shutil
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stratum.adapters.shelved_wal import fetch
from stratum.adapters.wal_segments import drop_cut_padding
from stratum.adapters.wal_store import DirectoryWalStore
from stratum.adapters.zstd import open_compressed
from stratum.core.errors import StratumError
from stratum.core.proof import Verdict
from stratum.core.wal import SEGMENT_BYTES, SegmentName, segment_of
from tests.fixtures.stacks import StackUnderTest

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Received:
    """Segments of a real server, in a receiving directory as pg_receivewal leaves it."""

    def __init__(self, stack: StackUnderTest, path: Path, *, segments: int) -> None:
        self.identifier = str(stack.scalar("SELECT system_identifier FROM pg_control_system()"))
        self.store = DirectoryWalStore(path, stack="led")
        path.mkdir()
        for _ in range(segments):
            stack.execute("CREATE TABLE IF NOT EXISTS filler (n int)", "INSERT INTO filler VALUES (1)")
            stack.execute("SELECT pg_switch_wal()")
        stack.execute("INSERT INTO filler VALUES (1)")
        begun = self.store.begin_incarnation(self.identifier, timeline=1, at=NOW)
        self.directory = self.store.receiving_path(self.identifier, begun.name)
        written = sorted(p for p in (stack.data / "pg_wal").iterdir() if len(p.name) == 24)
        current = str(stack.scalar("SELECT pg_walfile_name(pg_current_wal_lsn())"))
        self.closed = [p.name for p in written if p.name < current][-segments:]
        for name in self.closed:
            shutil.copyfile(stack.data / "pg_wal" / name, self.directory / name)
        shutil.copyfile(stack.data / "pg_wal" / current, self.directory / f"{current}.partial")
        self.current = current


def test_closed_segments_are_filed_and_the_newest_stays_for_the_receiver(stack: StackUnderTest, tmp_path: Path) -> None:
    received = Received(stack, tmp_path / "archive", segments=3)

    stored = received.store.store_closed(received.identifier, now=NOW)

    assert [found.segment.file_name() for found in stored] == received.closed
    assert sorted(p.name for p in received.directory.iterdir()) == [received.closed[-1], f"{received.current}.partial"]
    assert received.store.store_closed(received.identifier, now=NOW) == ()
    filed = received.store.wal_path(received.identifier) / "00000001" / f"{received.closed[0]}.zst"
    with open_compressed(filed) as stream:
        assert stream.read() == (stack.data / "pg_wal" / received.closed[0]).read_bytes()
    found = received.store.inventory(received.identifier)
    assert [s.segment.file_name() for s in found.segments] == [*received.closed, received.current]
    assert [s.partial for s in found.segments] == [False, False, False, True]
    assert {s.bytes < SEGMENT_BYTES for s in found.segments[:3]} == {True}


def test_the_last_bytes_of_an_incarnation_are_kept_when_the_next_begins(stack: StackUnderTest, tmp_path: Path) -> None:
    received = Received(stack, tmp_path / "archive", segments=1)

    received.store.store_history(received.identifier, 2, "1\t0/3000000\tbefore 2026-11-01\n")
    received.store.begin_incarnation(received.identifier, timeline=2, at=NOW.replace(hour=1))

    found = received.store.inventory(received.identifier)
    assert not received.directory.exists()
    assert [(s.segment.file_name(), s.partial) for s in found.segments] == [
        (received.closed[0], False),
        (received.current, True),
    ]
    assert [(i.timeline, i.ended_at is None) for i in found.incarnations] == [(1, False), (2, True)]
    assert [(h.timeline, h.ancestors[0].parent, h.ancestors[0].lsn) for h in found.histories] == [(2, 1, 3 << 24)]


def test_a_segment_of_another_cluster_or_another_place_is_not_filed(stack: StackUnderTest, tmp_path: Path) -> None:
    received = Received(stack, tmp_path / "archive", segments=2)
    first, second = (received.directory / name for name in received.closed)

    with pytest.raises(StratumError) as refused:
        DirectoryWalStore(tmp_path / "archive", stack="led")._wal("7000000000000000000").file_closed(
            received.directory, now=NOW
        )
    assert refused.value.code == "wal-damaged"
    assert received.identifier in refused.value.message

    shutil.copyfile(second, first)
    with pytest.raises(StratumError) as refused:
        received.store.store_closed(received.identifier, now=NOW)
    assert (refused.value.code, first.name in refused.value.message) == ("wal-damaged", True)
    assert received.store.inventory(received.identifier).segments[0].sha256 == ""


def test_flipped_bytes_and_missing_files_are_named(stack: StackUnderTest, tmp_path: Path) -> None:
    received = Received(stack, tmp_path / "archive", segments=3)
    received.store.store_closed(received.identifier, now=NOW)
    folder = received.store.wal_path(received.identifier) / "00000001"
    assert [c.verdict for c in received.store.check_wal(received.identifier)] == [Verdict.PROVEN]

    flipped = folder / f"{received.closed[0]}.zst"
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    (folder / f"{received.closed[1]}.zst").unlink()

    found = received.store.check_wal(received.identifier)
    assert [check.verdict for check in found] == [Verdict.FAILED, Verdict.FAILED]
    assert {name in check.reason for name, check in zip(received.closed, found, strict=False)} == {True}


def test_a_share_that_is_read_each_day_comes_round_to_every_file(stack: StackUnderTest, tmp_path: Path) -> None:
    received = Received(stack, tmp_path / "archive", segments=4)
    received.store.store_closed(received.identifier, now=NOW)
    flipped = received.store.wal_path(received.identifier) / "00000001" / f"{received.closed[2]}.zst"
    flipped.write_bytes(flipped.read_bytes()[:-1])

    rounds = [received.store.check_wal(received.identifier, share=0.25)[0].verdict for _ in range(4)]

    assert sorted(rounds) == [Verdict.FAILED, *[Verdict.PROVEN] * 3]


def test_removing_frees_what_is_older_and_nothing_else(stack: StackUnderTest, tmp_path: Path) -> None:
    received = Received(stack, tmp_path / "archive", segments=3)
    received.store.store_closed(received.identifier, now=NOW)
    last = received.store.inventory(received.identifier).segments[2].segment

    freed = received.store.remove_wal(received.identifier, before=SegmentName(timeline=9, number=last.number))

    assert freed > 0
    assert [s.segment for s in received.store.inventory(received.identifier).segments if not s.partial] == [last]
    assert [c.verdict for c in received.store.check_wal(received.identifier)] == [Verdict.PROVEN]


def test_names_and_positions_of_segments_agree_with_the_server(stack: StackUnderTest) -> None:
    lsn, name = (
        str(stack.scalar("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")),
        stack.scalar("SELECT pg_walfile_name(pg_current_wal_lsn())"),
    )
    assert segment_of(int(lsn), timeline=1).file_name() == name


def test_a_segment_whose_filing_was_cut_is_filed_anew_before_the_received_one_goes(
    stack: StackUnderTest, tmp_path: Path
) -> None:
    received = Received(stack, tmp_path / "archive", segments=2)
    received.store.store_closed(received.identifier, now=NOW)
    folder = received.store.wal_path(received.identifier) / "00000001"
    last = received.closed[-1]
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    (folder / "SHA256SUMS").write_text("".join(f"{line}\n" for line in lines if last not in line))
    (received.directory / f"{received.current}.partial").rename(received.directory / received.current)

    received.store.store_closed(received.identifier, now=NOW)

    found = received.store.inventory(received.identifier)
    assert [s.segment.file_name() for s in found.segments] == [*received.closed, received.current]
    assert all(s.sha256 for s in found.segments)
    assert [p.name for p in received.directory.iterdir()] == [received.current]


def test_a_removal_that_was_cut_leaves_nothing_that_counts_and_is_finished_by_the_next(
    stack: StackUnderTest, tmp_path: Path
) -> None:
    received = Received(stack, tmp_path / "archive", segments=3)
    received.store.store_closed(received.identifier, now=NOW)
    folder = received.store.wal_path(received.identifier) / "00000001"
    last = received.store.inventory(received.identifier).segments[2].segment
    left = {name: (folder / f"{name}.zst").read_bytes() for name in received.closed[:1]}
    received.store.remove_wal(received.identifier, before=last)
    for name, content in left.items():
        (folder / f"{name}.zst").write_bytes(content)

    assert [c.verdict for c in received.store.check_wal(received.identifier)] == [Verdict.PROVEN]
    assert received.store.remove_wal(received.identifier, before=last) == sum(map(len, left.values()))
    assert {p.name for p in folder.iterdir()} == {"SHA256SUMS", f"{received.closed[2]}.zst"}


def test_segments_are_listed_by_their_names_alone(tmp_path: Path) -> None:
    store, cluster = DirectoryWalStore(tmp_path, stack="led"), "7000000000000000001"
    folder = store.wal_path(cluster) / "00000001"
    folder.mkdir(parents=True)
    names = [SegmentName(timeline=1, number=number).file_name() for number in range(300)]
    for name in names:
        (folder / f"{name}.zst").write_bytes(b"not read")
    (folder / "SHA256SUMS").write_text("".join(f"{'0' * 64}  {name}.zst\n" for name in names))

    assert [s.segment.file_name() for s in store.inventory(cluster).segments] == names


def test_segments_of_another_size_keep_their_numbers_when_nothing_is_received_any_more(tmp_path: Path) -> None:
    store, cluster, size = DirectoryWalStore(tmp_path, stack="led"), "7000000000000000001", 1 << 20
    begun = store.begin_incarnation(cluster, timeline=1, at=NOW)
    wanted = [SegmentName(timeline=1, number=number) for number in (0x1FFF, 0x2000)]
    for segment in wanted:
        header = struct.pack("=HHIQI4xQII", 0xD116, 2, 1, segment.number * size, 0, int(cluster), size, 8192)
        file = store.receiving_path(cluster, begun.name) / segment.file_name(size)
        file.write_bytes(header.ljust(size, b"\0"))

    store.store_closed(cluster, now=NOW)
    store.begin_incarnation(cluster, timeline=2, at=NOW.replace(hour=1))

    found = store.inventory(cluster)
    assert (found.segment_bytes, [s.segment for s in found.segments]) == (size, wanted)


def test_a_segment_that_a_full_disk_cut_short_counts_for_nothing_and_is_out_of_the_receivers_way(
    stack: StackUnderTest, tmp_path: Path
) -> None:
    received = Received(stack, tmp_path / "archive", segments=1)
    before = received.store.inventory(received.identifier)
    after = SegmentName(timeline=1, number=before.segments[-1].segment.number + 1)
    cut = received.directory / f"{after.file_name()}.partial"
    cut.write_bytes(bytes(1 << 20))

    assert received.store.inventory(received.identifier) == before
    assert not fetch(received.store.wal_path(received.identifier), cut.stem, tmp_path / "asked for")
    drop_cut_padding(received.directory)

    assert sorted(p.name for p in received.directory.iterdir()) == [*received.closed, f"{received.current}.partial"]
