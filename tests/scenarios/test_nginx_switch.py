"""Visitors are led from one container to another while they ask, and none of them notices."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.fixtures.proxies import ProxyUnderTest
from tests.fixtures.stacks import wait_until
from tests.fixtures.visitors import visiting

_SWITCH = ("exec", "-T", "nginx", "bash", "/etc/stratum-nginx/switch.sh")


@contextmanager
def _second(proxy: ProxyUnderTest, service: str, port: int) -> Iterator[str]:
    """Another container of this service, which says so."""
    name = f"{proxy.project}-{service}-second"
    command = ("python3", "/echo_service.py", f"second {service}", str(port))
    proxy.compose("run", "--detach", "--no-deps", "--name", name, service, *command)
    try:
        connects = f"import socket; socket.create_connection(('localhost', {port}))"
        wait_until(lambda: proxy.docker.run("exec", name, "python3", "-c", connects).returncode == 0)
        yield name
    finally:
        proxy.docker.run("rm", "--force", name)


@contextmanager
def _seconds(proxy: ProxyUnderTest) -> Iterator[tuple[str, str]]:
    with _second(proxy, "frontend", 3000) as frontend, _second(proxy, "backend", 4001) as backend:
        yield frontend, backend


def _listens(proxy: ProxyUnderTest, service: str) -> bool:
    """Whether the service's own container takes requests again."""
    try:
        port = {"frontend": 3000, "backend": 4001}[service]
        return httpx.get(f"http://{proxy.address_of(service)}:{port}/", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _refused(proxy: ProxyUnderTest, *words: str) -> str:
    argv = ("compose", "--project-name", proxy.project, "--profile", "nginx", *_SWITCH, *words)
    done: subprocess.CompletedProcess[str] = proxy.docker.run(*argv, env=proxy.environment, cwd=proxy.directory)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize(("path", "service"), [("/", "frontend"), ("/api/v1/x", "backend")])
def test_nobody_is_turned_away_while_visitors_are_led_to_a_second_container_and_back(
    proxy: ProxyUnderTest, path: str, service: str
) -> None:
    trusted = ssl.create_default_context(cafile=str(proxy.certificate))
    url = f"https://localhost:{proxy.https_port}{path}"

    def ask() -> str:
        answer = httpx.get(url, verify=trusted, trust_env=False, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["service"])

    with _seconds(proxy) as (frontend, backend), visiting(ask) as visits:
        visits.go_on()
        assert set(visits.answers) == {service}
        assert proxy.compose(*_SWITCH, frontend, backend, "20") == "0"
        led = len(visits.answers)
        with proxy.without(service):
            visits.go_on()
        wait_until(lambda: _listens(proxy, service))
        leading_back = len(visits.answers)
        assert proxy.compose(*_SWITCH, "frontend", "backend", "20") == "0"
        back = len(visits.answers)
        visits.go_on()

    assert visits.failed == []
    # Who had asked before may hear the answer of before.
    assert set(visits.answers[led + 3 : leading_back]) == {f"second {service}"}
    assert set(visits.answers[back + 3 :]) == {service}


def test_who_listens_to_events_is_waited_for_no_longer_than_said(proxy: ProxyUnderTest) -> None:
    with _seconds(proxy) as (frontend, backend), proxy.visitor() as visitor, proxy.visitor() as another:
        try:
            with visitor.stream("GET", "/api/v1/jobs/1/events") as stream:
                lines = stream.iter_lines()
                assert next(lines) == "data: first"
                # Long enough for the worker that has nothing to do.
                assert proxy.compose(*_SWITCH, frontend, backend, "5") == "1"
                assert another.get("/api/v1/x").json()["service"] == "second backend"
                to_the_first = f"http://{proxy.address_of('backend')}:4001/go-on"
                assert httpx.post(to_the_first, trust_env=False).status_code == 200
                assert "data: second" in list(lines)
        finally:
            proxy.compose(*_SWITCH, "frontend", "backend", "20")


def test_a_container_that_does_not_answer_leaves_everything_as_it_was(proxy: ProxyUnderTest) -> None:
    assert "nothing answers at nobody:3000" in _refused(proxy, "nobody", "backend", "5")
    assert "this names no container" in _refused(proxy, "frontend; rm", "backend", "5")

    with proxy.visitor() as visitor:
        assert visitor.get("/").json()["service"] == "frontend"


def test_what_nginx_would_not_load_is_found_before_and_leaves_everything_as_it_was(proxy: ProxyUnderTest) -> None:
    whole = proxy.certificate.read_bytes()
    with _seconds(proxy) as (frontend, backend):
        proxy.certificate.write_bytes(b"no certificate")
        try:
            assert "would not take the configuration" in _refused(proxy, frontend, backend, "5")
            assert proxy.compose(*_SWITCH, "frontend", "backend", "5") == "0", "they are led there: nothing is to do"
        finally:
            proxy.certificate.write_bytes(whole)
        with proxy.visitor() as visitor:
            assert visitor.get("/").json()["service"] == "frontend"
