"""A caller is taken for granted for a second at most, and never past a change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from stratum.backend.roles import Caller, Role
from stratum.backend.seen_callers import SeenCallers

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ADA = Caller(user_id=uuid4(), name="ada", role=Role.OPERATOR, session_id=uuid4(), read_only=False)


def _seen(*, epoch: int = 1) -> SeenCallers:
    seen = SeenCallers()
    seen.remember("token", ADA, epoch=epoch, now=NOW, generation=seen.generation)
    return seen


def test_who_was_looked_up_a_moment_ago_is_known() -> None:
    assert _seen().recall("token", epoch=1, now=NOW + timedelta(milliseconds=900)) == ADA


def test_after_a_second_the_database_is_asked_again() -> None:
    assert _seen().recall("token", epoch=1, now=NOW + timedelta(seconds=1)) is None
    assert _seen().recall("token", epoch=1, now=NOW - timedelta(seconds=1)) is None


def test_another_token_is_nobody() -> None:
    assert _seen().recall("another", epoch=1, now=NOW) is None


def test_another_epoch_or_none_that_is_known_for_sure_knows_nobody() -> None:
    assert _seen(epoch=1).recall("token", epoch=2, now=NOW) is None
    assert _seen(epoch=1).recall("token", epoch=None, now=NOW) is None


def test_a_change_forgets_everybody() -> None:
    seen = _seen()
    seen.forget()

    assert seen.recall("token", epoch=1, now=NOW) is None


def test_what_was_read_before_a_change_is_not_remembered_after_it() -> None:
    """The look-up began, the session was ended, and only then the look-up came back."""
    seen = SeenCallers()
    before = seen.generation
    seen.forget()
    seen.remember("token", ADA, epoch=1, now=NOW, generation=before)

    assert seen.recall("token", epoch=1, now=NOW) is None
