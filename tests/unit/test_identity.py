"""A cluster is told from each of its look-alikes by name."""

from __future__ import annotations

import pytest

from stratum.core.identity import DatabaseIdentity, Identity, Likeness, compare_identity, recreated_databases
from tests.fixtures.manifests import an_identity

_EMPTY = (DatabaseIdentity(name="app", oid=16384, has_rows=False),)
_OTHER = "7000000000000000002"

_LOOK_ALIKES: dict[str, tuple[Identity | None, Identity | None, Likeness]] = {
    "nothing recorded": (None, an_identity(), Likeness.UNRECORDED),
    "nothing recorded, nothing there": (None, None, Likeness.UNRECORDED),
    "the same": (an_identity(), an_identity(), Likeness.SAME),
    "the same, later": (an_identity(), an_identity(flushed_lsn=2000), Likeness.SAME),
    "gone": (an_identity(), None, Likeness.ABSENT),
    "new and empty": (an_identity(), an_identity(system_identifier=_OTHER, databases=_EMPTY), Likeness.FRESH),
    "new without databases": (an_identity(), an_identity(system_identifier=_OTHER, databases=()), Likeness.FRESH),
    "another with rows": (an_identity(), an_identity(system_identifier=_OTHER), Likeness.FOREIGN),
    "an older copy": (an_identity(), an_identity(flushed_lsn=999), Likeness.OLDER),
    "an older timeline": (an_identity(timeline=2, flushed_lsn=10), an_identity(flushed_lsn=2000), Likeness.OLDER),
    "restored to an earlier point": (an_identity(), an_identity(timeline=2, flushed_lsn=10), Likeness.SAME),
    "the database is missing": (an_identity(), an_identity(databases=()), Likeness.RECREATED),
    "the database was emptied": (an_identity(), an_identity(databases=_EMPTY), Likeness.RECREATED),
    "the database was created anew": (
        an_identity(),
        an_identity(databases=(DatabaseIdentity(name="app", oid=20000, has_rows=True),)),
        Likeness.RECREATED,
    ),
    "older wins over emptied": (an_identity(), an_identity(flushed_lsn=1, databases=_EMPTY), Likeness.OLDER),
}


@pytest.mark.parametrize(("recorded", "observed", "likeness"), _LOOK_ALIKES.values(), ids=_LOOK_ALIKES)
def test_each_look_alike_is_called_by_its_name(
    recorded: Identity | None, observed: Identity | None, likeness: Likeness
) -> None:
    assert compare_identity(recorded=recorded, observed=observed) is likeness


def test_a_database_that_was_empty_when_recorded_may_still_be_empty() -> None:
    recorded = an_identity(databases=_EMPTY)

    assert recreated_databases(recorded=recorded, observed=an_identity(databases=_EMPTY)) == ()


def test_the_databases_that_changed_are_named_and_no_other() -> None:
    two = (
        DatabaseIdentity(name="app", oid=1, has_rows=True),
        DatabaseIdentity(name="queue", oid=2, has_rows=True),
    )
    now = (two[0], DatabaseIdentity(name="queue", oid=3, has_rows=True))

    assert recreated_databases(recorded=an_identity(databases=two), observed=an_identity(databases=now)) == ("queue",)


def test_the_major_is_read_from_the_version_number() -> None:
    assert an_identity(server_version_num=140023).major == 14
