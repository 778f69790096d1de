"""The whole stack behind nginx: the services see who really asks, and believe nobody else about it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.fixtures.docker_engine import DockerUnderTest
from tests.fixtures.ports import own_port
from tests.fixtures.proxies import NGINX, PYTHON, write_pair
from tests.fixtures.stacks import wait_until

_CLAIMED = "203.0.113.7"
_VISITOR = """
import json, re, socket, ssl, sys, urllib.error, urllib.parse, urllib.request as web
trusted = ssl.create_default_context(cafile="/tls.crt")
trusted.check_hostname = False
claims = {"X-Forwarded-For": sys.argv[1], "X-Forwarded-Proto": "https"}

def ask(url, body=None, kind="application/json", cookie=""):
    headers = {**claims, "Content-Type": kind, "Cookie": cookie}
    request = web.Request(url, data=body, headers=headers)
    try:
        answer = web.urlopen(request, context=trusted)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    return answer.status, answer.headers.get_all("Set-Cookie") or [], answer.read().decode()

found = {"address": socket.gethostbyname(socket.gethostname()), "cookies": {}}
for base in ("https://nginx:8443", "http://backend:4001"):
    status, _, _ = ask(base + "/api/v1/auth/login", json.dumps({"name": "eve", "password": "wrong"}).encode())
    assert status == 401, (base, status)
for base in ("https://nginx:8443", "http://frontend:3000"):
    status, cookies, page = ask(base + "/first-run")
    assert status == 200, (base, status)
    found["cookies"][base] = cookies
    token = re.search('name="csrf" value="([^"]+)"', page)[1]
    form = {"csrf": token, "token": "wrong", "name": "eve", "password": "a long passphrase of the tests"}
    body = urllib.parse.urlencode(form).encode()
    ask(base + "/first-run", body, "application/x-www-form-urlencoded", cookies[0].partition(";")[0])
print(json.dumps(found))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """A stack that runs with `stratum up --all`."""

    name: str
    directory: Path
    backend_port: int

    def addresses(self, docker: DockerUnderTest, path: str) -> list[str]:
        """Of whom the backend's log says that they posted there, in order."""
        done = docker.run("logs", f"{self.name}-backend")
        return re.findall(rf'(\S+):\d+ - "POST {path} ', done.stdout + done.stderr)


def _stratum(*words: str) -> None:
    argv = (str(Path(sys.executable).with_name("stratum")), *words)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def stack(docker: DockerUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    for image in (NGINX, PYTHON, "postgres:16-bookworm"):
        docker.require_image(image)
    parent = tmp_path_factory.mktemp("visitors")
    made = Stack(name=docker.name("tls"), directory=parent / "stack", backend_port=own_port())
    words = ("--runtime", "compose", "--name", made.name, "--archive", str(parent / "archive"))
    _stratum("init", *words, str(made.directory))
    write_pair(made.directory)
    _set(made.directory / ".env", _settings(made))
    try:
        _stratum("up", "--all", "--stack", str(made.directory))
        yield made
    finally:
        _stratum("down", "--stack", str(made.directory))


def _settings(stack: Stack) -> dict[str, str]:
    http_port, https_port, frontend_port = own_port(), own_port(), own_port()
    return {
        "BACKEND_PORT": str(stack.backend_port),
        "FRONTEND_PORT": str(frontend_port),
        "NGINX_BIND_ADDRESS": "127.0.0.1",
        "NGINX_HTTP_PORT": str(http_port),
        "NGINX_HTTPS_PORT": str(https_port),
        "NGINX_CERT_PATH": "./tls.crt",
        "NGINX_KEY_PATH": "./tls.key",
    }


def _set(env: Path, values: dict[str, str]) -> None:
    kept = [line for line in env.read_text().splitlines() if line.partition("=")[0] not in values]
    env.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in values.items()), ""]))


def test_a_visitor_is_seen_as_who_it_is_through_nginx_and_past_it_whatever_it_claims(
    stack: Stack, docker: DockerUnderTest
) -> None:
    options = ("--network", f"{stack.name}_web", "--volume", f"{stack.directory}/tls.crt:/tls.crt:ro")
    visitor = docker.create(PYTHON, "python3", "-c", _VISITOR, _CLAIMED, options=options)
    visitor.start()
    assert visitor.wait() == 0, visitor.logs()
    found = json.loads(visitor.logs())

    # Once through nginx and once to the service itself; then through the frontend with and without nginx before it.
    assert stack.addresses(docker, "/api/v1/auth/login") == [found["address"]] * 2
    assert stack.addresses(docker, "/api/v1/auth/first-run") == [found["address"]] * 2
    assert all("; Secure" in cookie for cookie in found["cookies"]["https://nginx:8443"])
    assert not [cookie for cookie in found["cookies"]["http://frontend:3000"] if "; Secure" in cookie]


def test_somebody_at_the_published_port_cannot_choose_an_address(stack: Stack, docker: DockerUnderTest) -> None:
    url = f"http://127.0.0.1:{stack.backend_port}/api/v1/auth/refresh"
    httpx.post(url, json={"refresh_token": "none"}, headers={"X-Forwarded-For": _CLAIMED}, trust_env=False)

    wait_until(lambda: len(stack.addresses(docker, "/api/v1/auth/refresh")) == 1)
    assert stack.addresses(docker, "/api/v1/auth/refresh") != [_CLAIMED]
