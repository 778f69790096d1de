"""rotate: new secrets in the server, in .env and in what runs, all together or, cut anywhere, not at all."""

from __future__ import annotations

import json
import re

import httpx
import psycopg
import pytest

from stratum.adapters.env_file import replace_variable
from stratum.config import read_environment
from stratum.core.proof import Verdict
from tests.fixtures.consoles import PASSWORD, ConsoleStack
from tests.fixtures.cut_stacks import CutStack
from tests.fixtures.own_servers import OwnServerStack
from tests.fixtures.stacks import OWNER, StackUnderTest

_HELD = {
    OWNER: "POSTGRES_PASSWORD",
    "stratum_backup": "BACKUP_PASSWORD",
    "stratum_replication": "REPLICATION_PASSWORD",
    "postgres": "POSTGRES_SUPERUSER_PASSWORD",
}
_OWNERS = "# the owner's own words\nNOTE='one\nPOSTGRES_PASSWORD=two'\n"


def test_new_passwords_let_in_and_old_ones_do_not_and_no_other_line_of_env_changes(stack: StackUnderTest) -> None:
    env = stack.directory / ".env"
    before = read_environment(env)
    address = f"postgresql://{OWNER}:{before['POSTGRES_PASSWORD']}@127.0.0.1:1/app?schema=public"
    env.write_text(
        f'{_OWNERS}export DATABASE_URL="{address}" # of the application\n{env.read_text()}', encoding="utf-8"
    )
    lines = env.read_text(encoding="utf-8").splitlines()

    done = stack.cli("rotate", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    after = read_environment(env)
    for role, variable in _HELD.items():
        assert lets_in(stack, role, after[variable])
        assert not lets_in(stack, role, before[variable])
    assert after["DATABASE_URL"] == address.replace(before["POSTGRES_PASSWORD"], after["POSTGRES_PASSWORD"])
    changed = [old for old, new in zip(lines, env.read_text("utf-8").splitlines(), strict=True) if old != new]
    assert {line.split("=")[0].removeprefix("export ") for line in changed} == {*_HELD.values(), "DATABASE_URL"}
    assert not (stack.directory / ".rotation").exists()
    assert_no_secret_is_written(stack, [*before.values(), *after.values()], done.stdout + done.stderr)
    stack.backup()


def test_one_secret_changes_alone(stack: StackUnderTest) -> None:
    before = read_environment(stack.directory / ".env")

    assert stack.cli("rotate", "backup").returncode == 0

    after = read_environment(stack.directory / ".env")
    assert {name for name in before if before[name] != after[name]} == {"BACKUP_PASSWORD"}


def test_a_copy_of_the_password_that_would_not_follow_is_refused(stack: StackUnderTest) -> None:
    before = (stack.directory / ".env").read_bytes()
    toml = stack.directory / "stratum.toml"
    password = read_environment(stack.directory / ".env")["POSTGRES_PASSWORD"]
    toml.write_text(f"{toml.read_text()}# {password}\n", encoding="utf-8")

    said = json.loads(stack.cli("rotate", "application", "--json").stdout)["error"]

    assert (said["code"], said["details"]["place"]) == ("rotation-not-followed", "stratum.toml")
    assert (stack.directory / ".env").read_bytes() == before
    assert lets_in(stack, OWNER, password)
    assert not (stack.directory / ".rotation").exists()


def test_a_server_that_takes_any_password_is_no_proof_and_leads_back(stack: StackUnderTest) -> None:
    before = (stack.directory / ".env").read_bytes()
    hba = stack.data / "pg_hba.conf"
    hba.write_text(f"host all {OWNER} 127.0.0.1/32 trust\n{hba.read_text()}", encoding="utf-8")
    stack.rows("SELECT pg_reload_conf()")

    said = json.loads(stack.cli("rotate", "--json").stdout)["error"]

    assert said["code"] == "rotation-not-proven"
    assert (stack.directory / ".env").read_bytes() == before
    assert lets_in(stack, "postgres", read_environment(stack.directory / ".env")["POSTGRES_SUPERUSER_PASSWORD"])
    assert lets_in(stack, "stratum_backup", read_environment(stack.directory / ".env")["BACKUP_PASSWORD"])


@pytest.mark.parametrize(
    ("moment", "is_new"),
    [
        ("before:3", False),
        ("before:5", False),
        ("before:7", True),
        ("before:13", True),
    ],
    ids=["laid out", "in the server alone", "in .env too", "before the end is noted"],
)
def test_cut_anywhere_all_secrets_are_old_or_all_are_new(cut_stack: CutStack, moment: str, is_new: bool) -> None:
    stack = cut_stack.stack
    before = read_environment(stack.directory / ".env")

    cut_stack.cut("rotate", moment)
    cut_stack.recover()

    after = read_environment(stack.directory / ".env")
    assert {name for name in before if before[name] != after[name]} == (set(_HELD.values()) if is_new else set())
    assert all(lets_in(stack, role, after[variable]) for role, variable in _HELD.items())
    assert not (stack.directory / ".rotation").exists()
    cut_stack.assert_nothing_is_left_over()


def test_a_way_back_that_is_cut_locks_nobody_out(cut_stack: CutStack) -> None:
    stack = cut_stack.stack
    before = read_environment(stack.directory / ".env")
    hba = stack.data / "pg_hba.conf"
    text = hba.read_text(encoding="utf-8")
    hba.write_text(f"host all {OWNER} 127.0.0.1/32 trust\n{text}", encoding="utf-8")
    stack.rows("SELECT pg_reload_conf()")

    cut_stack.cut("rotate", "before:13")
    assert read_environment(stack.directory / ".env") == before, "put back, and not noted yet"
    hba.write_text(text, encoding="utf-8")
    stack.kill()
    stack.cli("up")  # it began with a .env that changes under it
    cut_stack.recover()

    after = read_environment(stack.directory / ".env")
    assert all(lets_in(stack, role, after[variable]) for role, variable in _HELD.items())
    assert not (stack.directory / ".rotation").exists()


def lets_in(stack: StackUnderTest, role: str, password: str) -> bool:
    port = stack.ports().runtime.observe().port
    try:
        with psycopg.connect(host="127.0.0.1", port=port, user=role, password=password, dbname="postgres"):
            return True
    except psycopg.OperationalError:
        return False


def assert_no_secret_is_written(stack: StackUnderTest, values: list[str], said: str) -> None:
    """Neither in the journal nor in the server's log nor in what was said."""
    secrets = [value for value in values if len(value) > 30]
    files = [*stack.archive.rglob("*.jsonl"), *(stack.directory / ".stratum" / "logs").glob("*")]
    texts = [said, *(file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file())]
    assert len(secrets) >= 8
    assert [secret for secret in secrets for text in texts if secret in text] == []


def test_the_console_goes_on_with_new_secrets_and_nobody_has_to_sign_in_again(console_stack: ConsoleStack) -> None:
    stack, env = console_stack.stack, console_stack.stack.directory / ".env"
    access = console_stack.sign_up()
    with httpx.Client(base_url=console_stack.frontend, trust_env=False, timeout=30) as browser:
        form = re.search(r'name="csrf" value="([^"]+)"', browser.get("/sign-in").text)
        browser.post("/sign-in", data={"csrf": form[1] if form else "", "name": "ada", "password": PASSWORD})
        assert (browser.get("/").status_code, httpx.get(console_stack.frontend).status_code) == (200, 303)
        before = read_environment(env)

        done = stack.cli("rotate")

        assert done.returncode == 0, done.stderr
        after = read_environment(env)
        assert after["JWT_SECRET_PREVIOUS"] == before["JWT_SECRET"]
        assert {after["JWT_SECRET"], after["CONSOLE_PASSWORD"]}.isdisjoint(before.values())
        assert console_stack.api("GET", "/auth/me", token=access)["name"] == "ada"
        assert browser.get("/").status_code == 200
    said = json.loads(stack.cli("rotate", "jwt", "--json").stdout)["error"]
    assert said["code"] == "rotated-lately"
    assert "jwt" not in stack.cli("rotate", "--dry-run").stdout.splitlines()[0]

    replace_variable(env, "JWT_SECRET_PREVIOUS_UNTIL", "2026-01-01T00:00:00+00:00")
    CutStack(stack=stack).cut("rotate-console", "before:7")
    cut = stack.cli("up")

    assert cut.returncode == 0, cut.stderr
    assert "it is finished now" in cut.stderr
    assert "JWT_SECRET_PREVIOUS" not in read_environment(env)
    assert read_environment(env)["CONSOLE_PASSWORD"] != after["CONSOLE_PASSWORD"]
    with pytest.raises(AssertionError, match="token-refused"):
        console_stack.api("GET", "/auth/me", token=access)
    signed_in = console_stack.api("POST", "/auth/login", {"name": "ada", "password": PASSWORD})

    assert stack.cli("rotate", "jwt", "--at-once").returncode == 0
    assert "JWT_SECRET_PREVIOUS" not in read_environment(env)
    with pytest.raises(AssertionError, match="session-ended"):
        console_stack.api("POST", "/auth/refresh", {"refresh_token": signed_in["refresh_token"]})


def test_on_a_server_of_the_users_own_each_role_changes_its_own_password(own_server_stack: OwnServerStack) -> None:
    stack = own_server_stack.stack
    before = read_environment(stack.directory / ".env")

    done = stack.cli("rotate")

    assert done.returncode == 0, done.stdout + done.stderr
    after = read_environment(stack.directory / ".env")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"DATABASE_URL", "BACKUP_PASSWORD", "REPLICATION_PASSWORD", "MAINTENANCE_PASSWORD"}
    assert stack.drill(stack.backup()).verdict is Verdict.PROVEN


def test_a_role_that_may_not_change_its_password_leads_all_of_them_back(own_server_stack: OwnServerStack) -> None:
    stack = own_server_stack.stack
    before = (stack.directory / ".env").read_bytes()
    own_server_stack.server.execute("postgres", "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    granted = "GRANT CONNECT ON DATABASE postgres TO stratum_backup, stratum_maintenance"
    own_server_stack.server.execute("postgres", granted)

    said = json.loads(stack.cli("rotate", "--json").stdout)["error"]

    assert (said["code"], said["details"]["role"]) == ("rotation-not-permitted", "stratum_replication")
    assert (stack.directory / ".env").read_bytes() == before
    assert stack.drill(stack.backup()).verdict is Verdict.PROVEN
