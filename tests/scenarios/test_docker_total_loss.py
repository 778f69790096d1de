"""Volumes that are lost, damaged or deleted on Docker, what the archive brings back, and the lines that say it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from stratum.core.plan import JournalKind, PlanEnd
from tests.fixtures.database_stacks import ROWS, DatabaseStack, laid_down_database_stack
from tests.fixtures.docker_engine import DockerUnderTest
from tests.fixtures.released_stacks import ReleasedStack

_USERS = "SELECT count(*) FROM kept_users"


@pytest.fixture(scope="module")
def kept(
    docker: DockerUnderTest, shared_libraries: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DatabaseStack]:
    """Rows in the application's database and in the console's, in a proven backup."""
    with laid_down_database_stack(docker, shared_libraries, tmp_path_factory.mktemp("loss")) as stack:
        stack.done("up")
        stack.fill()
        stack.sql("CREATE TABLE kept_users AS SELECT 1 AS id", user="postgres", database="stratum_console")
        stack.done("backup")
        stack.done("drill")
        yield stack


@pytest.fixture
def stack(kept: DatabaseStack) -> DatabaseStack:
    """The module's stack, running and whole, whatever the scenario before did."""
    kept.done("up")
    _is_whole(kept)
    return kept


def _is_whole(stack: DatabaseStack) -> None:
    assert stack.sql("SELECT count(*) FROM orders") == str(ROWS)
    assert stack.sql(_USERS, user="postgres", database="stratum_console") == "1"


def _newest(stack: DatabaseStack) -> str:
    found = json.loads(stack.done("backups", "list", "--json"))["backups"]
    return str(max(backup["id"] for backup in found))


def _lose(stack: DatabaseStack) -> None:
    """What it takes to lose the volume: its containers, its holder, and then itself."""
    volume = stack.setting("POSTGRES_VOLUME")
    stack.done("down")
    stack.docker.ask("rm", "--force", f"{volume}-holder")
    stack.docker.ask("volume", "rm", volume)


def _damage(stack: DatabaseStack) -> None:
    """A file without which no server starts is gone from the volume; the server is killed, as in a crash."""
    stack.docker.ask("kill", f"{stack.name}-postgres")
    stack.done("down")
    _in_volume(stack, stack.setting("POSTGRES_VOLUME"), "rm", "/data/global/pg_control")


def _in_volume(stack: DatabaseStack, volume: str, *argv: str) -> str:
    return stack.docker.ask(
        "run", "--rm", "--user=0:0", "--volume", f"{volume}:/data", "--entrypoint", argv[0], "postgres:16-bookworm",
        *argv[1:],
    )  # fmt: skip


def _line(stack: DatabaseStack, name: str) -> dict[str, object]:
    """One line of the checklist; with lines that do not hold, it ends with a code of its own."""
    lines = json.loads(stack.run("check", "--json").stdout)["lines"]
    found: dict[str, object] = next(line for line in lines if line["name"] == name)
    return found


def test_a_lost_volume_is_refused_by_up_and_comes_back_with_every_database(stack: DatabaseStack) -> None:
    _lose(stack)
    assert stack.refusal("up")["code"] == "cluster-absent"
    assert stack.refusal("restore")["code"] == "confirmation-needed"
    assert stack.refusal("restore", "--confirm", "another")["code"] == "declined"

    stack.done("restore", "--confirm", stack.name)

    _is_whole(stack)
    stack.done("up")
    assert _line(stack, "identity")["state"] == "holds"
    assert _line(stack, "volume-held")["state"] == "holds"


def test_a_damaged_volume_is_left_as_it_is_and_a_new_one_takes_its_place(stack: DatabaseStack) -> None:
    before = stack.setting("POSTGRES_VOLUME")
    _damage(stack)

    stack.done("restore", "--confirm", stack.name)

    _is_whole(stack)
    assert stack.setting("POSTGRES_VOLUME") != before
    assert before in stack.volumes()
    assert "PG_VERSION" in _in_volume(stack, before, "ls", "/data").split()
    stack.done("backup")


@pytest.mark.torture
def test_a_damaged_newest_backup_is_passed_over_and_named(stack: DatabaseStack) -> None:
    older = _newest(stack)
    stack.done("backup")
    newest = _newest(stack)
    assert newest != older
    folder = stack.directory.parent / "archive" / "dumps" / newest
    dump = max(folder.rglob("*.dat*"), key=lambda file: file.stat().st_size)
    dump.write_bytes(dump.read_bytes()[:-100] + b"\0" * 100)
    _lose(stack)

    ended = stack.run("restore", "--confirm", stack.name)

    assert ended.returncode == 0, ended.stderr
    assert f"restore {older}" in ended.stdout
    assert newest in ended.stderr
    assert "damaged" in ended.stderr
    _is_whole(stack)
    stack.done("backup")


@pytest.mark.parametrize("moment", [pytest.param("before:5", marks=pytest.mark.torture), "before:9"])
def test_a_restore_into_a_new_volume_that_is_killed_is_done_again(stack: DatabaseStack, moment: str) -> None:
    """Killed with a cluster that nobody knows of yet, and with every database in it."""
    killed = ReleasedStack(stack=stack)
    _lose(stack)
    killed.cut("rebuild-volume", moment)

    assert stack.refusal("up")["code"] == "cluster-absent"
    stack.done("restore", "--confirm", stack.name)

    _is_whole(stack)
    ends = [e.end for e in killed.entries("rebuild-volume") if e.kind is JournalKind.PLAN_ENDED]
    assert ends[-2:] == [PlanEnd.COMPENSATED, PlanEnd.DONE]


def test_destroying_asks_three_times_and_the_archive_brings_all_of_it_back(stack: DatabaseStack) -> None:
    name = stack.name
    assert stack.refusal("destroy")["code"] == "confirmation-needed"
    assert stack.refusal("destroy", "--confirm", name, "--confirm", name)["code"] == "declined"
    _is_whole(stack)

    stack.done("destroy", *("--confirm", name) * 3)

    assert stack.containers() == set()
    assert stack.setting("POSTGRES_VOLUME") not in stack.volumes()
    assert stack.refusal("up")["code"] == "cluster-absent"
    stack.done("restore", "--confirm", name)
    _is_whole(stack)


def test_a_stack_without_a_proven_backup_is_not_destroyed(stack: DatabaseStack) -> None:
    proofs = stack.directory.parent / "archive" / "proofs"
    aside = proofs.with_name("proofs.aside")
    proofs.rename(aside)
    proofs.mkdir()
    try:
        refused = stack.refusal("destroy", *("--confirm", stack.name) * 3)
    finally:
        proofs.rmdir()
        aside.rename(proofs)

    assert refused["code"] == "no-proven-backup"
    _is_whole(stack)


# --- the checklist ----------------------------------------------------------------------------------------------------


def test_a_volume_without_a_holder_is_red_until_it_is_mended(stack: DatabaseStack) -> None:
    holder = f"{stack.setting('POSTGRES_VOLUME')}-holder"
    stack.docker.ask("rm", "--force", holder)
    assert _line(stack, "volume-held")["state"] == "red"

    stack.run("check", "--fix")

    assert _line(stack, "volume-held")["state"] == "holds"
    assert stack.docker.ask("inspect", "--format", "{{.State.Running}}", holder) == "true"


def test_a_volume_that_nothing_protects_is_named_until_it_is_accepted(stack: DatabaseStack) -> None:
    override, toml = stack.directory / "compose.override.yaml", stack.directory / "stratum.toml"
    before, settings = override.read_text(encoding="utf-8"), toml.read_text(encoding="utf-8")
    service = '  files:\n    image: postgres:16-bookworm\n    profiles: []\n    volumes: ["uploads:/uploads"]\n'
    override.write_text(f"{before}{service}volumes:\n  uploads: {{}}\n", encoding="utf-8")
    try:
        line = _line(stack, "other-volumes")
        assert line["state"] == "red"
        assert "uploads" in str(line)

        toml.write_text(settings.replace("accept = []", 'accept = ["other-volumes"]'), encoding="utf-8")
        assert _line(stack, "other-volumes")["state"] == "accepted"
    finally:
        override.write_text(before, encoding="utf-8")
        toml.write_text(settings, encoding="utf-8")


def test_an_env_file_that_others_may_read_or_commit_is_red_until_it_is_mended(stack: DatabaseStack) -> None:
    env, ignored = stack.directory / ".env", stack.directory / ".gitignore"
    env.chmod(0o644)
    ReleasedStack(stack=stack).git("init", "--quiet")
    ignored.write_text("", encoding="utf-8")
    assert _line(stack, "env-private")["state"] == "red"
    assert _line(stack, "env-ignored")["state"] == "red"

    stack.run("check", "--fix")

    assert _line(stack, "env-private")["state"] == "holds"
    assert _line(stack, "env-ignored")["state"] == "holds"
    assert env.stat().st_mode & 0o777 == 0o600
