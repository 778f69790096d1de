"""What compose.yaml says once Compose has read it: who is published where, and what no container is given."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dotenv import dotenv_values

from tests.architecture.sources import ROOT
from tests.fixtures.docker_engine import DockerUnderTest


def test_the_database_is_published_nowhere_by_default(docker: DockerUnderTest) -> None:
    assert "ports" not in _read(docker)["services"]["postgres"]


@pytest.mark.parametrize("profile", ["", "nginx"])
def test_a_port_for_the_database_is_one_of_this_machine_only(docker: DockerUnderTest, profile: str) -> None:
    postgres = _read(docker, profile=profile, POSTGRES_PORT="5499")["services"]["postgres"]

    assert [(port["host_ip"], port["published"]) for port in postgres["ports"]] == [("127.0.0.1", "5499")]
    assert set(postgres["networks"]) == {"data", "published"}


def test_the_containers_have_the_seeds_names_and_come_back_with_the_machine(docker: DockerUnderTest) -> None:
    services = _read(docker, profile="nginx")["services"]

    assert {name: service["container_name"] for name, service in services.items()} == {
        name: f"stratum-{name}" for name in services
    }
    # The guard is asked anew at each start of the project; it has nothing to come back for.
    assert {name: service["restart"] for name, service in services.items()} == {
        name: "no" if name == "guard" else "unless-stopped" for name in services
    }


def test_the_variables_of_the_seed_reach_the_services_under_their_names(docker: DockerUnderTest) -> None:
    given = {"JWT_ACCESS_TTL": "5m", "JWT_REFRESH_TTL_MS": "3d", "AUTORUN_MIGRATIONS": "false", "SEED_ON_START": "true"}
    address = "http://console.example.org/api/v1"

    services = _read(docker, NEXT_PUBLIC_API_URL=address, **given)["services"]

    backend, frontend = services["backend"]["environment"], services["frontend"]["environment"]
    assert {name: backend[name] for name in (*given, "PORT")} == {**given, "PORT": "4001"}
    assert (frontend["NEXT_PUBLIC_API_URL"], frontend["PORT"]) == (address, "3000")


def test_the_data_volume_is_the_seeds_and_not_the_projects_to_delete(docker: DockerUnderTest) -> None:
    assert _read(docker)["volumes"]["pg_data"] == {"name": "stratum_pg_data", "external": True}


def test_the_network_of_the_data_has_no_way_out(docker: DockerUnderTest) -> None:
    project = _read(docker)

    assert project["networks"]["data"]["internal"] is True
    assert set(project["services"]["postgres"]["networks"]) == {"data"}


def test_the_console_is_published_on_this_machine_on_the_ports_that_the_settings_name(docker: DockerUnderTest) -> None:
    services = _read(docker, BACKEND_PORT="4411", FRONTEND_PORT="3411")["services"]

    published = {name: [(p["host_ip"], p["published"]) for p in services[name]["ports"]] for name in _CONSOLE}
    assert published == {"backend": [("127.0.0.1", "4411")], "frontend": [("127.0.0.1", "3411")]}


def test_no_container_may_do_more_than_its_work_needs(docker: DockerUnderTest) -> None:
    services = _read(docker, profile="nginx")["services"]

    assert set(services) == {"postgres", "guard", "backup", "backend", "frontend", "nginx"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"] not in {"", "root", "0", "0:0"}, name
        assert service["logging"]["options"]["max-size"], name


def test_no_container_holds_the_socket_of_the_engine(docker: DockerUnderTest) -> None:
    assert "docker.sock" not in json.dumps(_read(docker, profile="nginx"))


def test_the_backend_waits_for_the_guard_and_the_backup_service_does_not(docker: DockerUnderTest) -> None:
    """A refused cluster is brought back from the backup service."""
    services = _read(docker)["services"]

    assert services["guard"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert services["backend"]["depends_on"]["guard"]["condition"] == "service_completed_successfully"
    assert "guard" not in services["backup"]["depends_on"]


def test_no_password_of_the_settings_is_written_into_the_project(docker: DockerUnderTest) -> None:
    names = ("POSTGRES_PASSWORD", "POSTGRES_SUPERUSER_PASSWORD", "BACKUP_PASSWORD", "CONSOLE_PASSWORD", "JWT_SECRET")

    project = json.dumps(_read(docker, **{name: f"hidden-{name}" for name in names}))

    assert "hidden-" not in project


def test_the_example_of_the_settings_holds_no_secret() -> None:
    found = dotenv_values(ROOT / ".env.example", interpolate=False)

    secrets = {name: value for name, value in found.items() if name.endswith(("PASSWORD", "SECRET"))}
    assert len(secrets) >= 5
    assert set(secrets.values()) == {""}


_CONSOLE = ("backend", "frontend")


def _read(docker: DockerUnderTest, profile: str = "", **environment: str) -> dict[str, Any]:
    """The project as Compose hands it to the engine, with these variables instead of a .env file."""
    options = ("--file", str(ROOT / "compose.yaml"), "--env-file", "/dev/null")
    profiles = ("--profile", profile) if profile else ()
    answer = docker.ask("compose", *options, *profiles, "config", "--format", "json", env=environment)
    found: dict[str, Any] = json.loads(answer)
    return found
