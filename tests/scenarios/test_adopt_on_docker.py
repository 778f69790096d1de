"""On real Docker: a server of the user's own behind the stack's containers, and a Compose project that is adopted."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stratum.adapters.env_file import replace_variable
from stratum.adapters.wal_store import DirectoryWalStore
from tests.fixtures.compose_stacks import ComposeStack, ComposeStacks
from tests.fixtures.docker_engine import ContainerUnderTest, DockerUnderTest
from tests.fixtures.ports import own_port
from tests.fixtures.stacks import wait_until

IMAGE = "postgres:16-bookworm"
_PASSWORD = "of-the-application-1"  # noqa: S105 - of a server that lives as long as the test
_STRATUM = str(Path(sys.executable).with_name("stratum"))
_PROJECT = """
name: {name}
services:
  db:
    image: postgres:16-bookworm
    container_name: {name}-db
    environment:
      POSTGRES_USER: shop
      POSTGRES_PASSWORD: CHANGE_ME_STRONG
      POSTGRES_DB: shop
    volumes: ["pg_data:/var/lib/postgresql/data"]
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -U shop -h 127.0.0.1"]
      interval: 500ms
      retries: 120
  app:
    image: debian:bookworm-slim
    container_name: {name}-app
    init: true
    command: ["sleep", "infinity"]
    environment:
      DATABASE_URL: postgres://shop:CHANGE_ME_STRONG@db:5432/shop?schema=public
volumes:
  pg_data:
"""


@contextmanager
def _place(docker: DockerUnderTest, name: str) -> Iterator[ComposeStack]:
    """A directory for a stack, and nothing of it left on the engine afterwards."""
    place = Path(tempfile.mkdtemp(prefix="stratum-adopt-"))
    place.chmod(0o755)
    stack = ComposeStack(docker=docker, name=name, directory=place / "stack", archive=place / "archive")
    stack.directory.mkdir()
    try:
        yield stack
    finally:
        stack.remove()


def _adopt(stack: ComposeStack, *words: str) -> str:
    argv = (_STRATUM, "adopt", str(stack.directory), "--archive", str(stack.archive), "--name", stack.name, *words)
    done = subprocess.run(argv, env=dict(stack.docker.environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _psql(server: ContainerUnderTest, statement: str, *, user: str, database: str) -> str:
    argv = ("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", database, "-c", statement)
    return server.ask(*argv)


def _give_roles(stack: ComposeStack, server: ContainerUnderTest, *, user: str, database: str) -> str:
    """As an administrator does: the printed script, through psql."""
    script = subprocess.run(
        (_STRATUM, "adopt", "--print-roles", str(stack.directory)), capture_output=True, text=True, check=True
    ).stdout
    file = stack.directory / "roles.sql"
    file.write_text(script)
    server.copy_in(file, "/roles.sql")
    return server.ask("psql", "-X", "-U", user, "-d", database, "-f", "/roles.sql")


@pytest.fixture
def behind_the_gateway(docker: DockerUnderTest, compose_stacks: ComposeStacks) -> Iterator[ComposeStack]:
    """A stack whose containers reach a server on this machine as host.docker.internal."""
    gateway = docker.ask("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    port, name = own_port(), docker.name("own")
    options = ("--publish", f"{gateway}:{port}:5432")
    with (
        docker.container(IMAGE, options=options, env={"POSTGRES_PASSWORD": "of-the-administrator"}) as server,
        _place(docker, name) as stack,
    ):
        wait_until(lambda: server.succeeds("pg_isready", "-q", "-h", "127.0.0.1"))
        _psql(server, f"CREATE ROLE shop LOGIN PASSWORD '{_PASSWORD}'", user="postgres", database="postgres")
        _psql(server, "CREATE DATABASE shop OWNER shop", user="postgres", database="postgres")
        _psql(server, "CREATE TABLE orders AS SELECT generate_series(1, 100) AS id", user="shop", database="shop")
        url = f"postgresql://shop:{_PASSWORD}@host.docker.internal:{port}/shop?schema=public"
        (stack.directory / ".env").write_text(f"DATABASE_URL={url}\n")
        _adopt(stack, "--runtime", "compose")
        for variable in ("BACKEND_PORT", "FRONTEND_PORT"):
            replace_variable(stack.env_file, variable, str(own_port()))
        assert "WARNING" not in _give_roles(stack, server, user="postgres", database="shop")
        compose_stacks.give_images(stack)
        stack.stratum("up")
        # For the tests: who administers the server.
        (stack.directory / "server").write_text(server.name)
        yield stack


def _server(stack: ComposeStack) -> ContainerUnderTest:
    return ContainerUnderTest(docker=stack.docker, name=(stack.directory / "server").read_text())


def test_a_server_behind_the_gateway_is_backed_up_proven_restored_and_taken_back(
    behind_the_gateway: ComposeStack,
) -> None:
    stack, server = behind_the_gateway, _server(behind_the_gateway)
    assert "postgres" not in stack.states()
    stack.stratum("backup")
    assert stack.answer("drill")["verdict"] == "proven"
    _psql(server, "DELETE FROM orders", user="shop", database="shop")

    stack.stratum("restore", "--confirm", stack.name)
    assert _psql(server, "SELECT count(*) FROM orders", user="shop", database="shop") == "100"
    stack.stratum("restore", "--undo", "--confirm", stack.name)
    assert _psql(server, "SELECT count(*) FROM orders", user="shop", database="shop") == "0"

    lines = {line["name"]: line for line in json.loads(stack.cli("check", "--json").stdout)["lines"]}
    assert lines["own-server"]["state"] == "holds"
    assert "volume-held" not in lines
    assert stack.refusal("destroy", "--confirm", stack.name) == "not-from-here"
    stack.stratum("down")
    assert _psql(server, "SELECT count(*) FROM orders", user="shop", database="shop") == "0"


@pytest.fixture
def project(docker: DockerUnderTest) -> Iterator[ComposeStack]:
    """A Compose project as people have them, running, with rows in it and no Stratum."""
    docker.require_image(IMAGE)
    docker.require_image("debian:bookworm-slim")
    with _place(docker, docker.name("project")) as stack:
        (stack.directory / "docker-compose.yml").write_text(_PROJECT.format(name=stack.name))
        stack.by_hand("up", "--detach", "--wait")
        _psql(stack.container("db"), "CREATE TABLE orders AS SELECT generate_series(1, 100) AS id",
              user="shop", database="shop")  # fmt: skip
        yield stack


def test_adopting_a_project_says_what_is_at_risk_and_touches_nothing_of_it(project: ComposeStack) -> None:
    database, app = project.container("db"), project.container("app")
    before = [one.inspect()["Id"] for one in (database, app)]
    file = (project.directory / "docker-compose.yml").read_text()

    answer = json.loads(_adopt(project, "--json"))

    risks = {risk["name"]: risk["statement"] for risk in answer["risks"]}
    assert f"{project.name}_pg_data" in risks["volume-deletable"]
    assert "DATABASE_URL, POSTGRES_PASSWORD" in risks["secrets-in-file"]
    assert risks.keys() >= {"no-backup", "weak-secrets", "superuser-application", "no-checksums"}
    assert "published-port" not in risks
    assert [one.inspect()["Id"] for one in (database, app)] == before
    assert (project.directory / "docker-compose.yml").read_text() == file
    assert project.env_file.stat().st_mode & 0o777 == 0o600
    assert json.loads(project.cli("status", "--json").stdout)["backups"] == 0


def test_an_adopted_project_is_backed_up_restored_and_survives_down_v(
    project: ComposeStack, compose_stacks: ComposeStacks
) -> None:
    database = project.container("db")
    made = database.inspect()["Id"]
    _adopt(project)
    _give_roles(project, database, user="shop", database="shop")
    _give_backup_image(project, compose_stacks)

    project.stratum("up")
    _receives_after_a_line_and_a_reload(project, database)
    assert database.inspect()["Id"] == made, "the database was not started anew"
    project.stratum("backup")
    assert project.answer("drill")["verdict"] == "proven"
    _psql(database, "DELETE FROM orders", user="shop", database="shop")
    project.stratum("restore", "--confirm", project.name)
    assert _psql(database, "SELECT count(*) FROM orders", user="shop", database="shop") == "100"

    project.by_hand("down", "--volumes")
    project.by_hand("up", "--detach", "--wait", "db")
    assert _psql(database, "SELECT count(*) FROM orders", user="shop", database="shop") == "100"


def _receives_after_a_line_and_a_reload(project: ComposeStack, database: ContainerUnderTest) -> None:
    """The image's own pg_hba.conf lets nobody replicate over the network; which line it needs is said."""
    wal = DirectoryWalStore(project.archive, stack=project.name)
    wait_until(lambda: (state := wal.receiver()) is not None and "pg_hba" in state.problem)
    refused = json.loads(project.cli("backup", "--kind", "base", "--json").stdout)["error"]
    line = "host replication stratum_replication samenet scram-sha-256"
    assert line in refused["next"], refused
    assert "restart is not needed" in refused["next"]

    database.ask("sh", "-c", f'echo "{line}" >> "$PGDATA/pg_hba.conf"')
    _psql(database, "SELECT pg_reload_conf()", user="shop", database="shop")

    wait_until(lambda: bool(wal.bases()) and (state := wal.receiver()) is not None and state.unprotected_since is None)


def _give_backup_image(project: ComposeStack, compose_stacks: ComposeStacks) -> None:
    """The session's own, under the project's name: what `stratum build` would make, without making it again."""
    if not compose_stacks.has_images:
        project.stratum("build")
        return
    compose_stacks.give_images(project)


def test_a_project_on_alpine_is_told_to_move_first_and_nothing_is_written(docker: DockerUnderTest) -> None:
    with _place(docker, docker.name("alpine")) as stack:
        text = _PROJECT.format(name=stack.name).replace("postgres:16-bookworm", "postgres:16-alpine")
        (stack.directory / "docker-compose.yml").write_text(text)

        answer = json.loads(_adopt(stack, "--json"))

        assert "postgres:16-alpine has to be left first" in answer["not_written"]
        assert answer["written"] == []
        assert "alpine-image" in {risk["name"] for risk in answer["risks"]}
        assert [file.name for file in stack.directory.iterdir()] == ["docker-compose.yml"]


def test_a_project_with_an_override_of_its_own_keeps_it(project: ComposeStack) -> None:
    (project.directory / "docker-compose.override.yml").write_text("services: {}\n")

    answer = json.loads(_adopt(project, "--json"))

    assert "docker-compose.override.yml" in answer["not_written"]
    assert not (project.directory / "stratum.toml").exists()
