"""The digest of large objects sees their OIDs, every byte and their length, and says why when it cannot read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stratum.core.backup import DigestMode, LargeObjectFacts
from tests.fixtures.observing import observe
from tests.fixtures.postgresql_majors import MAJORS, MajorServer, ServerUnderTest

MIB = 1024 * 1024
"""The digest reads large objects in chunks of this size."""

Place = tuple[ServerUnderTest, str]


@pytest.fixture
def place(major_server: MajorServer) -> Iterator[Place]:
    server = major_server(17)
    with server.database() as name:
        yield server, name


def digested(
    place: Place, *statements: str, mode: DigestMode = DigestMode.FULL, user: str | None = None
) -> LargeObjectFacts:
    server, database = place
    with server.connect(database) as connection:
        for statement in statements:
            connection.execute(statement.encode())
    return observe(server, database, mode=mode, user=user).large_objects


def store(place: Place, oid: int, content: bytes) -> LargeObjectFacts:
    """Put a large object in the place of the one with this OID."""
    server, database = place
    with server.connect(database) as connection:
        connection.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = %s", (oid,))
        connection.execute("SELECT lo_from_bytea(%s, %s)", (oid, content))
    return observe(server, database).large_objects


def test_none_is_zero_and_not_unknown(place: Place) -> None:
    assert digested(place) == LargeObjectFacts(count=0, digest="0")


@pytest.mark.parametrize("size", [1, 2047, 2048, 2049, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1])
def test_one_byte_changes_the_digest_wherever_it_is(size: int, place: Place) -> None:
    content = bytes(size)
    before = store(place, 5000, content)
    for position in {0, size // 2, size - 1}:
        changed = content[:position] + b"\x01" + content[position + 1 :]
        assert store(place, 5000, changed).digest != before.digest
    assert store(place, 5000, content) == before


@pytest.mark.parametrize("size", [0, 1, 2048, MIB - 1, MIB, 2 * MIB])
def test_a_zero_byte_more_at_the_end_changes_the_digest(size: int, place: Place) -> None:
    assert store(place, 5000, bytes(size)).digest != store(place, 5000, bytes(size + 1)).digest


def test_another_oid_is_another_digest_although_the_bytes_are_the_same(place: Place) -> None:
    before = digested(place, "SELECT lo_from_bytea(5000, '\\xabcd')")
    after = digested(place, "SELECT lo_unlink(5000)", "SELECT lo_from_bytea(5001, '\\xabcd')")
    assert before.count == after.count == 1
    assert before.digest != after.digest


def test_an_empty_large_object_counts(place: Place) -> None:
    one = digested(place, "SELECT lo_create(5000)")
    another = digested(place, "SELECT lo_unlink(5000)", "SELECT lo_create(5001)")
    assert one.count == another.count == 1
    assert len({"0", one.digest, another.digest}) == 3


def test_two_large_objects_cannot_exchange_their_content(place: Place) -> None:
    before = digested(place, "SELECT lo_from_bytea(1, '\\x01'), lo_from_bytea(2, '\\x02')")
    digested(place, "SELECT lo_unlink(1), lo_unlink(2)")
    after = digested(place, "SELECT lo_from_bytea(1, '\\x02'), lo_from_bytea(2, '\\x01')")
    assert before.digest != after.digest


def test_two_chunks_cannot_exchange_their_places(place: Place) -> None:
    one, other = b"a" * MIB, b"b" * MIB
    assert store(place, 5000, one + other).digest != store(place, 5000, other + one).digest


def test_a_hole_is_as_good_as_the_zeros_a_restore_writes_there(place: Place) -> None:
    written = store(place, 5000, bytes(3 * MIB) + b"end")
    digested(place, "SELECT lo_unlink(5000)", "SELECT lo_create(5000)")
    holed = digested(place, f"SELECT lo_put(5000, {3 * MIB}, 'end')")
    assert holed.digest == written.digest


def test_a_sample_reads_some_and_counts_all(place: Place) -> None:
    create = "SELECT count(lo_from_bytea(i::oid, convert_to(i::text, 'UTF8'))) FROM generate_series(1, 160) AS i"
    full = digested(place, create)
    sampled = digested(place, mode=DigestMode.SAMPLED)
    assert full.count == sampled.count == 160
    assert len({"0", full.digest, sampled.digest}) == 3
    assert digested(place, mode=DigestMode.COUNTS) == LargeObjectFacts(count=160, digest=None)


@pytest.mark.parametrize("major", MAJORS)
def test_the_backup_role_reads_them_without_being_a_superuser(major: int, major_server: MajorServer) -> None:
    server = major_server(major)
    with server.role("keeper", grant="pg_read_all_data") as role, server.database() as name:
        digest = digested((server, name), "SELECT lo_from_bytea(5000, '\\x00ff')").digest
        refused = digested((server, name), user=role)
        allowed = digested((server, name), f"ALTER ROLE {role} SET lo_compat_privileges = on", user=role)
    assert (refused.count, refused.digest) == (1, None)
    assert refused.not_digested == "permission denied for large object 5000 (42501)"
    assert (allowed.count, allowed.digest, allowed.not_digested) == (1, digest, None)
