"""On real Docker: a project whose data is in a volume without a name, adopted, proven, moved and brought back."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.compose_stacks import ComposeStack, ComposeStacks
from tests.fixtures.docker_engine import ContainerUnderTest, DockerUnderTest

_STRATUM = str(Path(sys.executable).with_name("stratum"))
_PROJECT = """
name: {name}
services:
  store:
    image: postgres:16-bookworm
    container_name: {name}-store
    command: ["postgres", "-c", "synchronous_commit=off"]
    environment:
      POSTGRES_USER: keeper
      POSTGRES_PASSWORD_FILE: /run/secrets/of_the_store
      POSTGRES_DB: shop
    secrets: [of_the_store]
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -U keeper -h 127.0.0.1"]
      interval: 500ms
      retries: 120
  web:
    build: ./web
    image: debian:bookworm-slim
    container_name: {name}-web
    init: true
    command: ["sleep", "infinity"]
    environment:
      DATABASE_URL: postgres://keeper:of-a-secret-file-1@store:5432/shop
secrets:
  of_the_store: {{ file: ./of_the_store }}
"""


@pytest.fixture
def project(docker: DockerUnderTest) -> Iterator[ComposeStack]:
    """It runs, with rows in two databases, and none of its files says where they are."""
    docker.require_image("postgres:16-bookworm")
    docker.require_image("debian:bookworm-slim")
    place = Path(tempfile.mkdtemp(prefix="stratum-nameless-"))
    place.chmod(0o755)
    name = docker.name("nameless")
    stack = ComposeStack(docker=docker, name=name, directory=place / "stack", archive=place / "archive")
    (stack.directory / "web").mkdir(parents=True)
    (stack.directory / "docker-compose.yml").write_text(_PROJECT.format(name=name))
    (stack.directory / "of_the_store").write_text("of-a-secret-file-1")
    (stack.directory / "web" / "alembic.ini").write_text("[alembic]\n")
    (stack.directory / "web" / "Dockerfile").write_text("FROM debian:bookworm-slim\n")
    nameless = ""
    try:
        stack.by_hand("up", "--detach", "--wait", "--no-build")
        store = stack.container("store")
        nameless = _mounted(store)
        _ask(store, "CREATE TABLE orders AS SELECT generate_series(1, 100) AS id")
        _ask(store, "CREATE DATABASE audit")
        yield stack
    finally:
        stack.remove()
        if nameless:
            docker.run("rm", "--force", f"{nameless}-holder")
            docker.run("volume", "rm", nameless)


def _mounted(store: ContainerUnderTest) -> str:
    (mount,) = [one for one in store.inspect()["Mounts"] if one["Type"] == "volume"]
    return str(mount["Name"])


def _ask(store: ContainerUnderTest, statement: str) -> str:
    return store.ask("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "keeper", "-d", "shop", "-c", statement)


def _adopt(stack: ComposeStack, *words: str) -> str:
    argv = (_STRATUM, "adopt", str(stack.directory), *words)
    done = subprocess.run(argv, env=dict(stack.docker.environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_volume_without_a_name_is_held_where_it_is_and_then_left_by_a_plan_with_a_way_back(
    project: ComposeStack, compose_stacks: ComposeStacks
) -> None:
    store = project.container("store")
    nameless, file = _mounted(store), (project.directory / "docker-compose.yml").read_text()
    if compose_stacks.has_images:
        compose_stacks.give_images(project)

    answer = json.loads(_adopt(project, "--archive", str(project.archive), "--name", project.name, "--prove", "--json"))

    assert answer["verdict"] == "proven"
    assert answer["commands"]["migrate"] == ["alembic", "upgrade", "head"]
    risks = {risk["name"]: risk["statement"] for risk in answer["risks"]}
    assert "synchronous_commit = off" in risks["lossy-settings"]
    assert "volume-nameless" in risks
    settings = tomllib.loads((project.directory / "stratum.toml").read_text())
    assert settings["database"]["databases"] == ["shop", "audit"]
    assert _mounted(store) == project.volume == nameless, "no row was copied to be held"
    project.by_hand("down", "--volumes")
    project.by_hand("up", "--detach", "--wait", "--no-build", "store", "backup", "web")
    assert _ask(store, "SELECT count(*) FROM orders") == "100"

    _adopt(project, "--move", "--confirm", project.name)
    assert _mounted(store) == project.volume == f"{project.name}_pg_data"
    assert _ask(store, "SELECT count(*) FROM orders") == "100"
    assert project.states()["web"] == "running"
    _ask(store, "DELETE FROM orders")

    project.stratum("restore", "--undo", "--confirm", project.name)
    assert _mounted(store) == project.volume == nameless
    assert _ask(store, "SELECT count(*) FROM orders") == "100", "the old volume was only read"
    assert (project.directory / "docker-compose.yml").read_text() == file
