"""nginx as compose.yaml runs it: who gets through, what is added on the way, and what is said while nobody answers."""

from __future__ import annotations

import os
import socket
import ssl
import warnings
from pathlib import Path

import httpx
import pytest

from stratum.adapters.messages import speak_error
from stratum.adapters.records import parse
from stratum.backend.errors import MOST_BYTES
from stratum.core.answers import ErrorAnswer
from stratum.core.errors import StratumError
from stratum.frontend.guarding import _HEADERS
from tests.fixtures.docker_engine import DockerUnderTest
from tests.fixtures.proxies import NGINX, PYTHON, ProxyUnderTest, stack_account, write_pair
from tests.fixtures.stacks import wait_until

_FILES = Path(__file__).parents[2] / "docker" / "nginx"
_ADDED = ("x-content-type-options", "x-frame-options", "referrer-policy", "content-security-policy")


# --- the way in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "console.example.org"])
def test_plain_http_leads_to_the_same_address_over_tls_whatever_the_ports(proxy: ProxyUnderTest, host: str) -> None:
    answer = httpx.get(
        f"http://127.0.0.1:{proxy.http_port}/backups?a=1&b=%20c",
        headers={"Host": f"{host}:{proxy.http_port}"},
        trust_env=False,
    )

    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{host}:{proxy.https_port}/backups?a=1&b=%20c"


def test_plain_http_to_the_port_of_tls_leads_to_tls(proxy: ProxyUnderTest) -> None:
    answer = httpx.get(f"http://localhost:{proxy.https_port}/jobs?a=1", trust_env=False)

    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://localhost:{proxy.https_port}/jobs?a=1"


def test_with_the_default_port_the_redirect_names_none_and_browsers_are_told_to_stay_with_tls(
    docker: DockerUnderTest, tmp_path: Path
) -> None:
    write_pair(tmp_path)
    request = r"GET /a?b=c HTTP/1.1\r\nHost: console.example.org:80\r\nConnection: close\r\n\r\n"
    options = _as_in_the_stack(tmp_path)
    with docker.container(NGINX, "/etc/stratum-nginx/start.sh", options=options) as nginx:
        wait_until(lambda: nginx.succeeds("bash", "/etc/stratum-nginx/health.sh"))
        answer = nginx.ask("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/8080; printf '{request}' >&3; cat <&3")
        told = nginx.ask("cat", "/tmp/nginx/published.conf")  # noqa: S108  in the container

    assert "Location: https://console.example.org/a?b=c" in answer
    assert "max-age=31536000" in told


def test_each_address_is_answered_by_its_service(proxy: ProxyUnderTest) -> None:
    with proxy.visitor() as visitor:
        answers = {path: visitor.get(path).json() for path in ("/", "/apixy", "/api/v1/jobs?limit=5", "/api/")}
        assert visitor.get("/api").headers["location"] == "/api/"

    assert {path: answer["service"] for path, answer in answers.items()} == {
        "/": "frontend",
        "/apixy": "frontend",
        "/api/v1/jobs?limit=5": "backend",
        "/api/": "backend",
    }
    assert all(answer["path"] == path for path, answer in answers.items())


# --- TLS ------------------------------------------------------------------------------------------------------------


def _greet(proxy: ProxyUnderTest, version: ssl.TLSVersion) -> str | None:
    """The version that was agreed on with a client that speaks this one only."""
    client = ssl.create_default_context(cafile=str(proxy.certificate))
    # Else this machine's own settings keep the client from speaking the old versions at all.
    client.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = client.maximum_version = version
    plain = socket.create_connection(("127.0.0.1", proxy.https_port), timeout=30)
    with plain, client.wrap_socket(plain, server_hostname="localhost") as secured:
        return secured.version()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_an_old_version_of_tls_is_refused(proxy: ProxyUnderTest, version: ssl.TLSVersion) -> None:
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        _greet(proxy, version)


def test_the_two_present_versions_of_tls_are_spoken(proxy: ProxyUnderTest) -> None:
    assert _greet(proxy, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert _greet(proxy, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


def test_http_2_is_offered(proxy: ProxyUnderTest) -> None:
    client = ssl.create_default_context(cafile=str(proxy.certificate))
    client.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", proxy.https_port), timeout=30)
    with plain, client.wrap_socket(plain, server_hostname="localhost") as secured:
        assert secured.selected_alpn_protocol() == "h2"


# --- what passes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "go_on"), [("/jobs/j-1/events", "/go-on"), ("/api/v1/jobs/j-1/events", "/api/go-on")])
def test_an_event_arrives_before_the_stream_ends(proxy: ProxyUnderTest, path: str, go_on: str) -> None:
    with proxy.visitor() as visitor, visitor.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as stream:
        parts = stream.iter_raw()
        assert next(parts) == b"data: first\n\n"

        # Nothing more is sent before this: the first event is here although the stream has no end yet.
        visitor.post(go_on)
        assert b"".join(parts) == b"data: second\n\n"


def test_where_a_request_came_from_is_said_by_nginx_alone(proxy: ProxyUnderTest) -> None:
    claims = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "elsewhere.example",
        "X-Real-IP": "203.0.113.7",
        "Forwarded": "for=203.0.113.7",
    }
    with proxy.visitor() as visitor:
        found = [visitor.get(path, headers=claims).json()["headers"] for path in ("/", "/api/")]

    host = f"localhost:{proxy.https_port}"
    for headers in ([(name.lower(), value) for name, value in pairs] for pairs in found):
        assert not [pair for pair in headers if "203.0.113.7" in pair[1] or "elsewhere" in pair[1]]
        assert [name for name, _ in headers].count("x-forwarded-for") == 1
        assert {"host": host, "x-forwarded-proto": "https", "x-forwarded-host": host}.items() <= dict(headers).items()


@pytest.mark.parametrize(("path", "by_itself"), [("/", True), ("/api/", False)])
def test_each_security_header_comes_once_and_a_service_s_own_stays(
    proxy: ProxyUnderTest, path: str, by_itself: bool
) -> None:
    with proxy.visitor() as visitor:
        headers = visitor.get(path).headers

    assert {name: len(headers.get_list(name)) for name in _ADDED} == dict.fromkeys(_ADDED, 1)
    own = {name: headers.get(name) for name in _HEADERS}
    assert (own == _HEADERS) is by_itself
    # A browser would keep to TLS on every port of this host, and here the others speak plain HTTP.
    assert "strict-transport-security" not in headers
    assert headers.get_list("server") == ["nginx"]


def test_the_api_s_long_answers_are_compressed(proxy: ProxyUnderTest) -> None:
    with proxy.visitor() as visitor:
        answer = visitor.get("/api/large", headers={"Accept-Encoding": "gzip"})

    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers.get_list("vary") == ["Accept-Encoding"]
    assert len(answer.json()["large"]) == 100_000


@pytest.mark.parametrize("path", ["/restore", "/api/v1/backups"])
def test_a_body_as_large_as_the_services_take_passes(proxy: ProxyUnderTest, path: str) -> None:
    with proxy.visitor() as visitor:
        assert visitor.post(path, content=b"x" * MOST_BYTES).json()["bytes"] == MOST_BYTES


def test_a_larger_body_is_refused_in_the_shape_of_each_service(proxy: ProxyUnderTest) -> None:
    with proxy.visitor() as visitor:
        page = visitor.post("/restore", content=b"x" * (MOST_BYTES + 1))
        answer = visitor.post("/api/v1/backups", content=b"x" * (MOST_BYTES + 1))

    assert (page.status_code, answer.status_code) == (413, 413)
    assert "larger than 1 MiB" in page.text
    said = parse(ErrorAnswer, answer.content, file="nginx's answer").error
    assert said == speak_error(StratumError("body-too-large", most=MOST_BYTES))


# --- while a service is away ----------------------------------------------------------------------------------------


def test_while_a_service_is_away_a_plain_page_says_so_in_its_shape(proxy: ProxyUnderTest) -> None:
    with proxy.visitor() as visitor:
        with proxy.without("frontend"):
            page = visitor.get("/jobs")
            assert visitor.get("/api/").status_code == 200
        with proxy.without("backend"):
            answer = visitor.get("/api/v1/jobs")

    assert (page.status_code, answer.status_code) == (502, 502)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "The console does not answer" in page.text
    assert "La console ne répond pas" in page.text
    said = parse(ErrorAnswer, answer.content, file="nginx's answer").error
    assert said == speak_error(StratumError("console-unreachable", problem=said.details["problem"]))
    for headers in (page.headers, answer.headers):
        assert {name: len(headers.get_list(name)) for name in _ADDED} == dict.fromkeys(_ADDED, 1)


def test_a_service_that_was_made_anew_at_another_address_is_found_again(
    proxy: ProxyUnderTest, docker: DockerUnderTest
) -> None:
    before = proxy.address_of("frontend")
    with proxy.visitor() as visitor:
        assert visitor.get("/").json()["service"] == "frontend"
        proxy.compose("rm", "--stop", "--force", "frontend")
        # Somebody else gets its address meanwhile.
        options = ("--network", f"{proxy.project}_web", "--init")
        with docker.container(PYTHON, "sleep", "infinity", options=options):
            proxy.compose("up", "--detach", "--no-deps", "frontend")
            assert proxy.address_of("frontend") != before

            # nginx forgets a name that nobody asks for after half a minute anyhow.
            wait_until(lambda: visitor.get("/").status_code == 200, seconds=15)
            assert visitor.get("/").json()["service"] == "frontend"


# --- how it runs ----------------------------------------------------------------------------------------------------


def _as_in_the_stack(directory: Path) -> tuple[str, ...]:
    volumes = (
        f"{_FILES}:/etc/stratum-nginx:ro",
        f"{directory / 'tls.crt'}:/run/tls/certificate.pem:ro",
        f"{directory / 'tls.key'}:/run/tls/key.pem:ro",
    )
    return (
        f"--user={stack_account()}:{stack_account()}",
        "--read-only",
        "--cap-drop=ALL",
        "--tmpfs=/tmp:mode=1777",
        "--entrypoint=/bin/sh",
        *(f"--volume={volume}" for volume in volumes),
    )


def test_it_runs_as_the_stack_s_account_without_rights_and_writes_nowhere_but_to_tmp(proxy: ProxyUnderTest) -> None:
    status = proxy.compose("exec", "nginx", "cat", "/proc/1/status")
    described = dict(line.split(":", 1) for line in status.splitlines())

    assert described["Uid"].split() == [str(stack_account())] * 4
    assert int(described["CapEff"], 16) == 0
    assert described["NoNewPrivs"].strip() == "1"
    assert proxy.docker.run("exec", f"{proxy.project}-nginx", "touch", "/etc/nginx/x").returncode != 0


def test_what_people_typed_into_an_address_is_not_logged_and_the_health_check_is_no_visit(
    proxy: ProxyUnderTest,
) -> None:
    with proxy.visitor() as visitor:
        visitor.get("/backups?search=hidden-words")

    wait_until(lambda: '"GET /backups" 200' in proxy.compose("logs", "nginx"))
    log = proxy.compose("logs", "nginx")
    assert "hidden-words" not in log
    assert "127.0.0.1 [" not in log


@pytest.mark.skipif(os.geteuid() != 0, reason="this account may not give a file to another")
def test_a_key_that_the_account_may_not_read_is_said_in_three_parts(docker: DockerUnderTest, tmp_path: Path) -> None:
    write_pair(tmp_path)
    os.chown(tmp_path / "tls.key", 0, 0)
    nginx = docker.create(NGINX, "/etc/stratum-nginx/start.sh", options=_as_in_the_stack(tmp_path))
    nginx.start()

    assert nginx.wait() == 1
    said = nginx.logs().splitlines()
    assert [line.split(":")[0] for line in said] == ["error", "data", "next"]
    assert said[0] == "error: account 10001 may not read the file NGINX_KEY_PATH of .env names"


@pytest.mark.parametrize("port", ["https", "44 3", "-1"])
def test_a_port_that_is_none_is_refused(docker: DockerUnderTest, tmp_path: Path, port: str) -> None:
    write_pair(tmp_path)
    nginx = docker.create(
        NGINX,
        "/etc/stratum-nginx/start.sh",
        options=_as_in_the_stack(tmp_path),
        env={"NGINX_HTTPS_PORT": port},
    )
    nginx.start()

    assert nginx.wait() == 1
    assert f"NGINX_HTTPS_PORT is {port}, which is no port" in nginx.logs()
