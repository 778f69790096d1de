"""What copies change: the sentence, the checklist, and what retention may remove."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from stratum.core.checklist import LineState
from stratum.core.copies import CopyState, best_copy
from stratum.core.copy_settings import parse_copies, recipients_problem
from stratum.core.protection import describe_protection
from stratum.engine.check_copies import is_copied, look_at_copies, wal_is_copied
from stratum.ports import Ports
from tests.fakes.settable_clock import SettableClock
from tests.fixtures.manifests import a_manifest

_NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _state(name: str, domain: str = "other-host", *, behind: timedelta | None = timedelta(hours=3)) -> CopyState:
    return CopyState(name=name, failure_domain=domain, at=_NOW, safe_at=None if behind is None else _NOW - behind)


def test_the_best_compared_copy_counts_with_its_own_age() -> None:
    manifest = a_manifest(taken_at=_NOW - timedelta(hours=1))
    copies = (_state("near", "other-disk", behind=timedelta(hours=1)), _state("far"), _state("new", behind=None))

    found = describe_protection((manifest,), (), failure_domain="same-disk", now=_NOW, copies=copies)

    assert "you would lose 3 h of writes, by the copy far" in found.sentence
    assert "If only the data directory died: 1 h" in found.sentence
    assert (found.failure_domain, found.loss_seconds) == ("other-host", 3 * 3600)
    alone = describe_protection((manifest,), (), failure_domain="same-disk", now=_NOW, copies=copies[2:])
    assert (alone.failure_domain, "the archive is on the same disk" in alone.sentence) == ("same-disk", True)


def test_a_copy_on_another_machine_is_named_beside_an_archive_on_another_disk() -> None:
    manifest = a_manifest(taken_at=_NOW - timedelta(hours=1))

    found = describe_protection((manifest,), (), failure_domain="other-disk", now=_NOW, copies=(_state("far"),))

    assert "If this machine died you would lose 3 h of writes, by the copy far." in found.sentence
    assert found.loss_seconds == 3600
    assert best_copy((_state("near", "other-disk"),), local="other-disk") is None


def test_retention_waits_for_every_copy_and_wal_for_fresh_ones() -> None:
    held = CopyState(name="far", failure_domain="other-host", at=_NOW, held=("a", "b"), left_out=("old",))

    def ports(now: datetime, *copies: CopyState) -> Ports:
        archive = SimpleNamespace(copies=lambda: copies)
        stack = SimpleNamespace(copies=("far",), sealed=True)
        return cast("Ports", SimpleNamespace(archive=archive, stack=stack, clock=SettableClock(now)))

    there = ports(_NOW, held)
    assert [is_copied(name, there) for name in ("a", "old", "c")] == [True, True, False]
    assert not is_copied("a", ports(_NOW))
    assert wal_is_copied(there)
    assert not wal_is_copied(ports(_NOW))
    assert not wal_is_copied(ports(_NOW, replace(held, missing=1)))
    assert not wal_is_copied(ports(_NOW, replace(held, problem="away")))
    assert not wal_is_copied(ports(_NOW + timedelta(hours=1), held))
    assert look_at_copies(there).state is LineState.HOLDS
    assert "never made" in look_at_copies(ports(_NOW)).details["problem"]
    assert "agent" in look_at_copies(ports(_NOW + timedelta(hours=1), held)).details["problem"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "far"}, "name and url"),
        ({"name": "far", "url": "ftp://host/x"}, "neither s3://"),
        ({"name": "far", "url": "file://host/x"}, "neither s3://"),
        ({"name": "Far!", "url": "s3://b/p"}, "small letters"),
        ({"name": "far", "url": "s3://b/p", "secret_key": "plain"}, "does not stand in this file"),
        ({"name": "far", "url": "s3://b/p", "keep_days": "9"}, "keep_days has to be a number"),
        ({"name": "far", "url": "s3://b/p", "keep_days": -1}, "between 0"),
        ({"name": "far", "url": "s3://b/p", "bucket": "x"}, "'bucket' is not known"),
        ({"name": "far", "url": "s3://b/p", "failure_domain": "moon"}, "other-host"),
    ],
)
def test_a_copy_that_cannot_be_meant_is_refused_and_says_why(entry: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        parse_copies([entry])


def test_two_copies_of_one_name_and_a_private_key_as_recipient_are_refused() -> None:
    entry = {"name": "far", "url": "s3://b/p"}
    with pytest.raises(ValueError, match="two copies"):
        parse_copies([entry, entry])
    assert parse_copies([entry])[0].failure_domain == "other-host"
    assert "private key" in str(recipients_problem(("AGE-SECRET-KEY-1QQ",)))
    assert recipients_problem(("age1" + "q" * 58,)) is None
