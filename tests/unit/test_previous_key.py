"""The key before the present one counts until the longest session is over, and for reading alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stratum.adapters.database_url import ServerAddress
from stratum.adapters.stack_secrets import BACKEND_ENV, FRONTEND_ENV, StackSecrets
from stratum.core.lifetimes import previous_key, session_lifetime
from stratum.frontend.sessions import Tokens, User, Visit

_NOW = datetime(2026, 5, 1, tzinfo=UTC)
_OLD, _NEW = "old", "new"
_USER = User(id="1", name="ada", role="viewer")


def _cookies(visit: Visit) -> dict[str, str]:
    return {"cookie": "; ".join(value.decode().split(";")[0] for _, value in visit.headers())}


def test_who_was_signed_in_under_the_key_before_stays_signed_in_and_is_sealed_with_the_new_one() -> None:
    tokens = Tokens(access="a", refresh="r", seconds=60, user=_USER)
    before = Visit({}, secret=_OLD, secure=False)
    before.sign_in(tokens)
    cookies, form = _cookies(before), before.csrf

    after = Visit(cookies, secret=_NEW, previous=_OLD, secure=False)

    assert after.user == _USER
    assert after.sent_from_here(form)
    after.keep(tokens)
    assert Visit(_cookies(after), secret=_NEW, secure=False).user == _USER
    assert Visit(cookies, secret=_NEW, secure=False).user is None


@pytest.mark.parametrize(
    ("until", "found"),
    [(None, "k"), ("2026-05-01T00:00:01+00:00", "k"), ("2026-05-01T00:00:00+00:00", None), ("soon", "k")],
)
def test_a_key_counts_until_its_end(until: str | None, found: str | None) -> None:
    environment = {"JWT_SECRET_PREVIOUS": "k"} | ({"JWT_SECRET_PREVIOUS_UNTIL": until} if until else {})

    assert previous_key(environment, _NOW) == found
    assert previous_key({}, _NOW) is None


@pytest.mark.parametrize(("text", "days"), [("", 90), ("30d", 30), ("86400000", 1), ("never", 90)])
def test_a_session_lives_as_long_as_the_backend_lets_it(text: str, days: int) -> None:
    assert session_lifetime({"JWT_REFRESH_TTL_MS": text}) == timedelta(days=days)


def test_containers_are_told_of_the_key_before_while_it_counts(tmp_path: Path) -> None:
    environment = {"CONSOLE_PASSWORD": "c", "JWT_SECRET": "n" * 40, "JWT_SECRET_PREVIOUS": "o" * 40}

    def told(until: datetime, **more: str) -> dict[str, str]:
        more["JWT_SECRET_PREVIOUS_UNTIL"] = until.isoformat()
        return StackSecrets(
            directory=tmp_path,
            environment=environment | more,
            address=ServerAddress(host="postgres", port=5432),
            console_database="stratum_console",
            owner=(0, 0),
        ).render()

    counting, over = told(datetime.now(UTC) + timedelta(days=1)), told(datetime.now(UTC) - timedelta(days=1))

    assert f"JWT_SECRET_PREVIOUS='{'o' * 40}'" in counting[BACKEND_ENV]
    before = told(datetime.now(UTC), JWT_SECRET="o" * 40)[FRONTEND_ENV].partition("=")[2]
    assert f"FRONTEND_SECRET_PREVIOUS={before}" in counting[FRONTEND_ENV]
    assert "PREVIOUS" not in over[BACKEND_ENV] + over[FRONTEND_ENV]
