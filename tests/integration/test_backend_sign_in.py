"""Signing in, going on and ending: what a token is good for, and when it is not any more."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from stratum.backend.first_run import make_first_run_token
from stratum.backend.tokens import ISSUER, key_id
from tests.fixtures.console_backend import PASSWORD, Console, read, refusal, settings_for


def _claims(console: Console, tokens: dict[str, Any], **changes: object) -> dict[str, Any]:
    payload = tokens["access_token"].split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["iss"] == ISSUER
    assert claims["epoch"] == console.agent.epoch
    return claims | changes


def _signed(console: Console, claims: dict[str, Any], **header: object) -> str:
    secret = console.identity.settings.jwt_secret
    head = {"alg": "HS256", "kid": key_id(secret), **header}
    return jwt.encode(head, claims, OctKey.import_key(secret), algorithms=["HS256", "HS512"])


def _me(console: Console, token: str) -> tuple[int, str]:
    answer = console.ask("GET", "/auth/me", token=token)
    return (200, answer.json()["name"]) if answer.status_code == 200 else refusal(answer)


def test_the_first_administrator_is_made_once_with_the_token_of_the_newest_start(console: Console) -> None:
    older = make_first_run_token(console.identity)
    body = {"token": older, "name": "Ada", "password": PASSWORD}
    newest = make_first_run_token(console.identity)

    assert read(console.ask("GET", "/auth/first-run")) == {"needed": True}
    assert refusal(console.ask("POST", "/auth/first-run", body)) == (403, "first-run-token-refused")
    signed_in = read(console.ask("POST", "/auth/first-run", body | {"token": newest}))
    assert signed_in["user"]["role"] == "administrator"
    assert signed_in["expires_in"] == 900
    assert read(console.ask("GET", "/auth/first-run")) == {"needed": False}
    assert refusal(console.ask("POST", "/auth/first-run", body | {"token": newest})) == (409, "first-run-over")
    assert make_first_run_token(console.identity) is None


def test_of_two_who_hold_the_first_run_token_one_gets_in(console: Console) -> None:
    token = make_first_run_token(console.identity)
    bodies = [{"token": token, "name": name, "password": PASSWORD} for name in ("Ada", "Eve")]

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda body: console.ask("POST", "/auth/first-run", body).status_code, bodies))

    assert sorted(answers) == [200, 409]


@pytest.mark.parametrize("name", ["a\0b", "\x07", "'; DROP TABLE users; --", "<script>"])
def test_a_name_that_nobody_can_have_is_a_wrong_sign_in_like_any_other(console: Console, name: str) -> None:
    answer = console.ask("POST", "/auth/login", {"name": name, "password": PASSWORD})

    assert refusal(answer) == (401, "wrong-sign-in")


def test_no_secret_is_kept_in_the_database_as_it_is(console: Console) -> None:
    first_run = str(make_first_run_token(console.identity))
    kept = console.rows("SELECT t::text FROM first_run_token t")
    tokens = console.make_first_administrator()
    kept += console.rows("SELECT t::text FROM refresh_tokens t UNION ALL SELECT u::text FROM users u")

    text = str(kept)
    assert "$argon2id$" in text
    for secret in (first_run, tokens["refresh_token"], tokens["access_token"], PASSWORD):
        assert secret not in text


def test_an_access_token_says_who_asks_until_it_expires_with_half_a_minute_of_leeway(console: Console) -> None:
    token = console.make_first_administrator()["access_token"]

    assert _me(console, token) == (200, "Ada")
    console.clock.ahead = timedelta(minutes=15, seconds=20)
    assert _me(console, token) == (200, "Ada")
    console.clock.ahead = timedelta(minutes=15, seconds=40)
    assert _me(console, token) == (401, "token-expired")


def test_a_token_from_a_clock_a_little_ahead_is_taken_and_one_far_ahead_is_not(console: Console) -> None:
    claims = _claims(console, console.make_first_administrator())
    now = int(datetime.now(UTC).timestamp())

    assert _me(console, _signed(console, claims | {"iat": now + 15}))[0] == 200
    assert _me(console, _signed(console, claims | {"iat": now + 300})) == (401, "token-refused")


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "another"},
        {"iss": "another"},
        {"exp": None},
        {"jti": None},
        {"kind": "root"},
        {"sid": "x"},
        {"epoch": "1"},
    ],
    ids="-".join,
)
def test_a_signed_token_with_a_wrong_or_missing_claim_is_refused(console: Console, change: dict[str, Any]) -> None:
    claims = _claims(console, console.make_first_administrator()) | change

    assert _me(console, _signed(console, {k: v for k, v in claims.items() if v is not None})) == (401, "token-refused")


def test_the_algorithm_and_the_key_are_never_taken_from_the_token(console: Console) -> None:
    tokens = console.make_first_administrator()
    claims = _claims(console, tokens)
    _, payload, signature = tokens["access_token"].split(".")
    kid = key_id(console.identity.settings.jwt_secret)
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": kid}).encode()).decode().rstrip("=")
    by_rsa = jwt.encode({"alg": "RS256", "kid": kid}, claims, RSAKey.generate_key(2048), algorithms=["RS256"])
    stranger = jwt.encode({"alg": "HS256", "kid": kid}, claims, OctKey.generate_key(256), algorithms=["HS256"])

    forged = [
        f"{unsigned}.{payload}.",
        f"{unsigned}.{payload}.{signature}",
        by_rsa,
        stranger,
        _signed(console, claims, alg="HS512"),
        _signed(console, claims, kid="another"),
        jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(console.identity.settings.jwt_secret)),
        tokens["access_token"][:-6] + "AAAAAA",
        "x",
        "a.b.c",
        "é" * 10,
        "a" * 9000,
    ]

    assert _me(console, _signed(console, claims)) == (200, "Ada")
    headers = [{"Authorization": b"Bearer " + token.encode()} for token in forged]
    assert [refusal(console.client.get("/auth/me", headers=h)) for h in headers] == [(401, "token-refused")] * len(
        forged
    )


def test_a_token_of_the_secret_before_is_taken_and_new_ones_are_signed_with_the_newest(console: Console) -> None:
    from dataclasses import replace

    old = console.identity.mint
    new = replace(old, secret="n" * 40, previous=old.secret)
    claims = old.read(console.make_first_administrator()["access_token"])

    assert new.read(old.sign(claims, timedelta(minutes=1))) == claims
    with pytest.raises(Exception, match="not one of this console's"):
        old.read(new.sign(claims, timedelta(minutes=1)))


def test_a_refresh_token_is_good_once_and_its_second_use_ends_the_session(console: Console) -> None:
    first = console.make_first_administrator()
    second = read(console.ask("POST", "/auth/refresh", {"refresh_token": first["refresh_token"]}))
    assert _me(console, second["access_token"])[0] == 200

    reused = console.ask("POST", "/auth/refresh", {"refresh_token": first["refresh_token"]})

    assert refusal(reused) == (401, "refresh-token-reused")
    assert _me(console, second["access_token"]) == (401, "session-ended")
    assert _me(console, first["access_token"]) == (401, "session-ended")
    again = console.ask("POST", "/auth/refresh", {"refresh_token": second["refresh_token"]})
    assert refusal(again) == (401, "session-ended")
    assert console.rows("SELECT count(*) FROM events WHERE kind = 'refresh-token-reused'") == [(1,)]


def test_a_refresh_token_expires_and_an_unknown_one_is_refused(console: Console) -> None:
    tokens = console.make_first_administrator()
    body = {"refresh_token": tokens["refresh_token"]}
    console.clock.ahead = timedelta(days=90, minutes=1)

    assert refusal(console.ask("POST", "/auth/refresh", body)) == (401, "session-ended")
    assert refusal(console.ask("POST", "/auth/refresh", {"refresh_token": "x"})) == (401, "session-ended")


def test_another_token_epoch_ends_every_session_and_an_agent_that_is_away_none(console: Console) -> None:
    tokens = console.make_first_administrator()
    console.agent.away = True
    assert _me(console, tokens["access_token"]) == (200, "Ada")
    console.agent.away, console.agent.epoch = False, 2

    assert _me(console, tokens["access_token"]) == (401, "session-ended")
    body = {"refresh_token": tokens["refresh_token"]}
    assert refusal(console.ask("POST", "/auth/refresh", body)) == (401, "session-ended")
    assert _me(console, console.sign_in("Ada")["access_token"]) == (200, "Ada")


def test_nobody_signs_in_before_the_agent_has_told_the_epoch_once(console: Console) -> None:
    console.agent.away = True

    answer = console.ask("POST", "/auth/login", {"name": "Ada", "password": PASSWORD})

    assert refusal(answer) == (503, "token-epoch-unknown")


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(console: Console) -> None:
    console.make_first_administrator()

    wrong = console.ask("POST", "/auth/login", {"name": "Ada", "password": "not the password"})
    unknown = console.ask("POST", "/auth/login", {"name": "Eve", "password": "not the password"})

    assert refusal(wrong) == refusal(unknown) == (401, "wrong-sign-in")
    assert wrong.json() == unknown.json()
    assert console.rows("SELECT who FROM events WHERE kind = 'sign-in-failed' ORDER BY at") == [("Ada",), ("Eve",)]


def test_the_sixth_try_of_a_name_in_a_minute_has_to_wait_whatever_the_password(console: Console) -> None:
    console.make_first_administrator()
    wrong = {"name": "Ada", "password": "not the password"}
    tries = [console.ask("POST", "/auth/login", wrong).status_code for _ in range(5)]

    throttled = console.ask("POST", "/auth/login", {"name": " ADA", "password": PASSWORD})

    assert tries == [401] * 5
    assert refusal(throttled) == (429, "too-many-tries")
    assert 0 < int(throttled.headers["Retry-After"]) <= 60


def test_a_success_forgets_the_failures_of_the_name_before_it(console: Console) -> None:
    console.make_first_administrator()
    for _ in range(3):
        for _ in range(3):
            assert console.ask("POST", "/auth/login", {"name": "Ada", "password": "x"}).status_code == 401
        console.sign_in("Ada")


def test_an_address_that_tries_many_names_has_to_wait(console: Console) -> None:
    answers = [console.ask("POST", "/auth/login", {"name": f"n{n}", "password": "x"}) for n in range(31)]

    assert [answer.status_code for answer in answers] == [401] * 30 + [429]


def test_sessions_are_listed_ended_and_ended_everywhere(console: Console) -> None:
    here = console.make_first_administrator()
    there, third = console.sign_in("Ada"), console.sign_in("ada ")
    token = here["access_token"]
    listed = read(console.ask("GET", "/auth/sessions", token=token))["sessions"]
    assert [s["current"] for s in listed].count(True) == 1
    assert {s["address"] for s in listed} == {"127.0.0.1"}

    current = next(s["id"] for s in read(console.ask("GET", "/auth/sessions", token=there["access_token"]))["sessions"]
                   if s["current"])  # fmt: skip
    assert console.ask("DELETE", f"/auth/sessions/{current}", token=token).status_code == 204
    assert _me(console, there["access_token"]) == (401, "session-ended")
    assert refusal(console.ask("DELETE", f"/auth/sessions/{uuid4()}", token=token)) == (404, "unknown-session")
    assert console.ask("POST", "/auth/logout-everywhere", token=token).status_code == 204
    assert _me(console, token) == _me(console, third["access_token"]) == (401, "session-ended")


def test_signing_out_ends_this_session_and_its_refresh_token(console: Console) -> None:
    tokens = console.make_first_administrator()
    other = console.sign_in("Ada")

    assert console.ask("POST", "/auth/logout", token=tokens["access_token"]).status_code == 204

    assert _me(console, tokens["access_token"]) == (401, "session-ended")
    body = {"refresh_token": tokens["refresh_token"]}
    assert refusal(console.ask("POST", "/auth/refresh", body)) == (401, "session-ended")
    assert _me(console, other["access_token"]) == (200, "Ada")


def test_a_new_password_ends_the_other_sessions_and_the_old_one_is_good_no_more(console: Console) -> None:
    here, there = console.make_first_administrator(), console.sign_in("Ada")
    change = {"current_password": "wrong", "new_password": "another four words for her"}
    token = here["access_token"]

    assert refusal(console.ask("POST", "/auth/password", change, token=token)) == (401, "wrong-sign-in")
    change["current_password"] = PASSWORD
    assert console.ask("POST", "/auth/password", change, token=token).status_code == 204
    assert _me(console, token) == (200, "Ada")
    assert _me(console, there["access_token"]) == (401, "session-ended")
    old = console.ask("POST", "/auth/login", {"name": "Ada", "password": PASSWORD})
    assert refusal(old) == (401, "wrong-sign-in")
    console.sign_in("Ada", "another four words for her")


def test_a_console_token_gives_half_an_hour_of_reading_without_any_database(console: Console) -> None:
    console.agent.tokens.add("good")
    console.identity.prepared.clear()
    tokens = read(console.ask("POST", "/auth/console-token", {"token": "good"}))
    token = tokens["access_token"]

    assert (tokens["refresh_token"], tokens["expires_in"], tokens["user"]["role"]) == (None, 1800, "viewer")
    assert read(console.ask("GET", "/auth/me", token=token))["read_only"] is True
    assert refusal(console.ask("GET", "/users", token=token)) == (403, "role-too-low")
    change = {"current_password": PASSWORD, "new_password": PASSWORD}
    assert refusal(console.ask("POST", "/auth/password", change, token=token)) == (403, "role-too-low")
    again = console.ask("POST", "/auth/console-token", {"token": "good"})
    assert refusal(again) == (403, "console-token-refused")
    console.agent.epoch = 2
    assert _me(console, token) == (401, "session-ended")


def test_a_password_hash_with_older_parameters_is_renewed_at_the_next_sign_in(console: Console) -> None:
    from argon2 import PasswordHasher

    console.make_first_administrator()
    weak = PasswordHasher(time_cost=1, memory_cost=1024).hash(PASSWORD)
    console.server.execute(console.database, f"UPDATE users SET password_hash = '{weak}'")

    console.sign_in("Ada")

    assert console.rows("SELECT password_hash LIKE '%m=1024%' FROM users") == [(False,)]
    console.sign_in("Ada")


def test_the_settings_never_show_a_secret(console: Console) -> None:
    settings = settings_for(console.server, console.database).settings

    assert settings.jwt_secret not in repr(console.identity)
    assert console.server.password not in repr(console.identity)
