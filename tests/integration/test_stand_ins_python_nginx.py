"""The python and nginx images that the tests run on keep the promises of the official ones that Stratum relies on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.docker_engine import DockerUnderTest
from tests.fixtures.stacks import wait_until

PYTHON = "python:3.12-slim-bookworm"
NGINX = "nginx:1.28-bookworm"


@pytest.mark.parametrize("program", ["python", "python3", "pip"])
def test_python_and_pip_have_their_usual_names(docker: DockerUnderTest, program: str) -> None:
    docker.require_image(PYTHON)

    found = docker.ask(
        "run", "--rm", "--name", docker.name("program"), PYTHON, f"/usr/local/bin/{program}", "--version"
    )

    assert found.lower().startswith((f"{program.removesuffix('3')} 3.", "pip "))


def test_python_makes_environments_and_pip_installs_without_being_asked_twice(docker: DockerUnderTest) -> None:
    with docker.container(PYTHON, "sleep", "600") as container:
        container.ask("python3", "-m", "venv", "--without-pip", "/opt/made")
        container.ask("python3", "-m", "pip", "--python", "/opt/made", "--version")
        done = container.run("pip", "install", "--no-index", "no-such-package")

    assert "externally-managed" not in done.stderr
    assert "no-such-package" in done.stderr


def test_nginx_makes_its_configuration_of_templates_and_leaves_its_own_variables(
    docker: DockerUnderTest, tmp_path: Path
) -> None:
    template = "server {{ listen 8080; location / {{ return 200 '{}'; }} }}".format("${WHO} at $host")
    (tmp_path / "site.conf.template").write_text(template)
    container = docker.create(NGINX, env={"WHO": "ada"})
    container.copy_in(tmp_path, "/etc/nginx/templates")
    container.start()
    wait_until(lambda: container.succeeds("curl", "-sf", "http://localhost:8080"))

    assert container.ask("curl", "-s", "http://localhost:8080") == "ada at localhost"
    assert container.stop() == 0
    assert container.inspect()["Config"]["StopSignal"] == "SIGQUIT"


def test_the_account_of_nginx_has_the_official_number(docker: DockerUnderTest) -> None:
    docker.require_image(NGINX)

    assert docker.ask("run", "--rm", "--name", docker.name("program"), NGINX, "id", "-u", "nginx") == "101"
