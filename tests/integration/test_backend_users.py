"""Users: who may manage them, which names and passwords are taken, and the administrator who has to stay."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from stratum.backend.prepare import prepare
from stratum.backend.seed import load_demo_data
from tests.fixtures.console_backend import PASSWORD, Console, read, refusal


def test_a_viewer_and_an_operator_are_refused_every_route_of_users(console: Console) -> None:
    administrator = console.make_first_administrator()
    target = administrator["user"]["id"]
    new = {"name": "Eve", "password": PASSWORD, "role": "administrator"}
    routes = [
        ("GET", "/users", None),
        ("POST", "/users", new),
        ("GET", f"/users/{target}", None),
        ("PATCH", f"/users/{target}", {"role": "viewer"}),
        ("DELETE", f"/users/{target}", None),
    ]
    for role in ("viewer", "operator"):
        token = console.make_user(administrator, role, role)["access_token"]
        assert {refusal(console.ask(*route, token=token)) for route in routes} == {(403, "role-too-low")}
    assert {refusal(console.ask(*route)) for route in routes} == {(401, "sign-in-needed")}


def test_nobody_raises_the_own_role_by_a_field_that_is_not_there(console: Console) -> None:
    tokens = console.make_user(console.make_first_administrator(), "Bob", "viewer")
    change = {"current_password": PASSWORD, "new_password": "another four words", "role": "administrator"}

    answer = console.ask("POST", "/auth/password", change, token=tokens["access_token"])

    assert refusal(answer) == (422, "malformed-request")
    assert console.sign_in("Bob")["user"]["role"] == "viewer"


def test_a_role_that_is_taken_away_counts_from_the_next_request_on(console: Console) -> None:
    administrator = console.make_first_administrator()
    other = console.make_user(administrator, "Bob", "administrator")
    assert console.ask("GET", "/users", token=other["access_token"]).status_code == 200

    change = {"role": "viewer"}
    read(console.ask("PATCH", f"/users/{other['user']['id']}", change, token=administrator["access_token"]))

    assert refusal(console.ask("GET", "/users", token=other["access_token"])) == (403, "role-too-low")


@pytest.mark.parametrize("way", ["DELETE", "PATCH"])
def test_the_tokens_of_a_removed_or_disabled_user_are_good_no_more(console: Console, way: str) -> None:
    administrator = console.make_first_administrator()
    other = console.make_user(administrator, "Bob", "operator")
    change = {"disabled": True} if way == "PATCH" else None

    answer = console.ask(way, f"/users/{other['user']['id']}", change, token=administrator["access_token"])

    assert answer.status_code in {200, 204}
    assert refusal(console.ask("GET", "/auth/me", token=other["access_token"])) == (401, "session-ended")
    body = {"refresh_token": other["refresh_token"]}
    assert refusal(console.ask("POST", "/auth/refresh", body)) == (401, "session-ended")
    sign_in = {"name": "Bob", "password": PASSWORD}
    assert refusal(console.ask("POST", "/auth/login", sign_in)) == (401, "wrong-sign-in")


@pytest.mark.parametrize(
    ("way", "change"), [("DELETE", None), ("PATCH", {"role": "operator"}), ("PATCH", {"disabled": True})]
)
def test_the_last_administrator_stays(console: Console, way: str, change: dict[str, object] | None) -> None:
    tokens = console.make_first_administrator()

    answer = console.ask(way, f"/users/{tokens['user']['id']}", change, token=tokens["access_token"])

    assert refusal(answer) == (409, "last-administrator")
    assert console.ask("GET", "/users", token=tokens["access_token"]).status_code == 200


def test_of_two_administrators_who_remove_each_other_one_stays(console: Console) -> None:
    first = console.make_first_administrator()
    second = console.make_user(first, "Bob", "administrator")
    pairs = [(first, second), (second, first)]

    with ThreadPoolExecutor(2) as pool:
        list(
            pool.map(
                lambda pair: console.ask(
                    "PATCH", f"/users/{pair[1]['user']['id']}", {"role": "viewer"}, token=pair[0]["access_token"]
                ),
                pairs,
            )
        )

    assert console.rows("SELECT count(*) >= 1 FROM users WHERE role = 'administrator'") == [(True,)]


def test_a_name_is_taken_once_whatever_its_capitals_width_and_spaces(console: Console) -> None:
    token = console.make_first_administrator("Straße")["access_token"]

    for name in ("STRASSE", " straße ", "\uff33\uff54\uff52\uff41\u00dfe"):
        body = {"name": name, "password": PASSWORD, "role": "viewer"}
        assert refusal(console.ask("POST", "/users", body, token=token)) == (409, "user-exists")


@pytest.mark.parametrize("name", ["", "   ", "a" * 61, "a\x00b", "a\nb"[:2] + "\x1b", "\u200b", "a\u202eb", "\u0301"])
def test_a_name_that_cannot_be_seen_is_refused(console: Console, name: str) -> None:
    token = console.make_first_administrator()["access_token"]
    body = {"name": name, "password": PASSWORD, "role": "viewer"}

    assert refusal(console.ask("POST", "/users", body, token=token)) == (422, "malformed-request")


@pytest.mark.parametrize("name", ["'; DROP TABLE users; --", "<script>alert(1)</script>", "../../etc", "{0.__class__}"])
def test_a_name_that_looks_like_a_command_is_a_name(console: Console, name: str) -> None:
    token = console.make_first_administrator()["access_token"]
    body = {"name": name, "password": PASSWORD, "role": "viewer"}

    assert read(console.ask("POST", "/users", body, token=token), 201)["name"] == name
    assert name in [u["name"] for u in read(console.ask("GET", "/users", token=token))["users"]]
    again = console.ask("POST", "/users", body, token=token)
    assert refusal(again) == (409, "user-exists")
    assert name in again.json()["error"]["message"]


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "Administrator",
        "password1234",
        "aaaaaaaaaaaaaa",
        "123456789012",
        "Somebody Else",
        "x" * 12,
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused(console: Console, password: str) -> None:
    token = console.make_first_administrator()["access_token"]
    body = {"name": "Somebody Else", "password": password, "role": "viewer"}

    assert refusal(console.ask("POST", "/users", body, token=token)) == (422, "password-too-weak")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Eve", "password": PASSWORD, "role": "root"},
        {"name": "Eve", "password": PASSWORD},
        {"name": "Eve", "password": PASSWORD, "role": "viewer", "id": 1},
        {"name": ["Eve"], "password": PASSWORD, "role": "viewer"},
        [],
        "text",
        None,
    ],
)
def test_a_body_that_is_not_a_user_is_refused(console: Console, body: object) -> None:
    token = console.make_first_administrator()["access_token"]

    assert refusal(console.ask("POST", "/users", body, token=token)) == (422, "malformed-request")


def test_an_unknown_user_is_said_to_be_unknown(console: Console) -> None:
    token = console.make_first_administrator()["access_token"]

    for way, change in (("GET", None), ("PATCH", {"role": "viewer"}), ("DELETE", None)):
        assert refusal(console.ask(way, f"/users/{uuid4()}", change, token=token)) == (404, "unknown-user")
    assert refusal(console.ask("GET", "/users/1", token=token)) == (422, "malformed-request")


def test_the_demo_data_is_loaded_once_and_nobody_can_sign_in_with_it(console: Console) -> None:
    assert load_demo_data(console.identity)
    assert not load_demo_data(console.identity)

    assert console.rows("SELECT count(*), bool_and(disabled), count(password_hash) FROM users") == [(2, True, 0)]
    assert read(console.ask("GET", "/auth/first-run")) == {"needed": True}
    body = {"name": "Demo viewer", "password": PASSWORD}
    assert refusal(console.ask("POST", "/auth/login", body)) == (401, "wrong-sign-in")
    console.server.execute(console.database, "DELETE FROM users")
    prepare(console.identity)
    assert console.rows("SELECT count(*) FROM users") == [(0,)]
