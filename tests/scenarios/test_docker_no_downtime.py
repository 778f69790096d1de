"""`update --no-downtime` on Docker: who comes through nginx notices nothing, whether it is done or taken back."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from stratum.adapters.env_file import replace_variable
from stratum.adapters.journal import JsonLinesJournal
from stratum.core.plan import JournalKind, PlanEnd
from tests.fixtures.compose_stacks import ComposeStack, ComposeStacks
from tests.fixtures.ports import own_port
from tests.fixtures.proxies import NGINX, write_pair
from tests.fixtures.visitors import Visits, visiting

_ROOT = Path(__file__).parents[2]
_STEPS = ("backup", "prove", "keep", "source", "build", "renew", "rehearse", "migrate-beside", "second", "verify",
          "lead", "replace", "release", "own", "tidy")  # fmt: skip
_SECONDS_OF = "label=fr.stratum.role=second"
_ROLE = "stratum_console"
_OVERRIDE = """services:
  backend:
    entrypoint: [sh, -c, 'case $$1 in python) exec "$$@";; *) exec stratum-container "$$@";; esac', "-"]
    command: [backend]
"""
"""Beside its own verbs the backend runs a migration of this test's in its image and with its secrets."""
_MIGRATION = """
import os, pathlib, shlex, psycopg
told = dict(word.split("=", 1) for word in shlex.split(pathlib.Path("/run/secrets/backend.env").read_text()))
url = told["CONSOLE_DATABASE_URL"].rpartition("/")[0] + "/stratum_db"
with psycopg.connect(url) as connection:
    connection.execute(os.environ["MIGRATION"])
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleasedBehindNginx:
    """A stack whose images come in releases."""

    stack: ComposeStack
    port: int
    _plain: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def docker_files(self) -> Path:
        return self.stack.directory / "docker"

    def write_release(self, number: str, *, migration: str = "SELECT 1", frontend: str = "") -> None:
        """Images that differ by a label, statements to migrate with, and lines of the frontend's own."""
        more = {"backend": f'ENV MIGRATION="{migration}"\n', "frontend": frontend}
        for name, lines in more.items():
            file = self.docker_files / f"{name}.Dockerfile"
            plain = self._plain.setdefault(name, file.read_text(encoding="utf-8"))
            file.write_text(f"{plain}\nLABEL release={number}\n{lines}", encoding="utf-8")

    def serves(self) -> set[str]:
        """The releases that the services' own containers run."""
        names = (f"{self.stack.name}-{service}" for service in ("backend", "frontend"))
        label = '{{index .Config.Labels "release"}} {{.State.Health.Status}}'
        return set(self.stack.docker.ask("inspect", "--format", label, *names).splitlines())

    def seconds(self) -> str:
        """The second containers that are there."""
        return self.stack.docker.ask("ps", "--all", "--quiet", "--filter", _SECONDS_OF)

    def visit(self) -> str:
        """A page, and the backend behind it, each on a connection of its own.

        On one that was kept open a request can meet the end of nginx's old worker; browsers then ask again.
        """
        trusted = ssl.create_default_context(cafile=str(self.stack.directory / "tls.crt"))
        for path in ("/sign-in", "/api/v1/health/live"):
            url = f"https://localhost:{self.port}{path}"
            answer = httpx.get(url, verify=trusted, trust_env=False, timeout=30)
            assert answer.status_code in {200, 303}, answer.text
        return "well"

    def ends(self) -> list[PlanEnd | None]:
        entries = JsonLinesJournal(self.stack.archive).entries()
        return [e.end for e in entries if e.verb == "update" and e.kind is JournalKind.PLAN_ENDED]

    def cut_before(self, step: str) -> None:
        """Update without downtime, and be killed when the step took effect and its entry was not written."""
        # The release is noted in the journal as well.
        moment = f"before:{2 * _STEPS.index(step) + (4 if step == 'own' else 3)}"
        argv = (
            sys.executable,
            "-m",
            "tests.fixtures.cut_child",
            str(self.stack.directory),
            "update-no-downtime",
            moment,
        )
        environment = {**os.environ, **self.stack.docker.environment, "LC_ALL": "C.UTF-8"}
        ended = subprocess.run(argv, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]


@pytest.fixture(scope="module")
def released(compose_stacks: ComposeStacks) -> Iterator[ReleasedBehindNginx]:
    """Release 1 with rows, behind nginx."""
    compose_stacks.docker.require_image(NGINX)
    with compose_stacks.made(what="beside") as stack:
        write_pair(stack.directory)
        made = ReleasedBehindNginx(stack=stack, port=own_port())
        ports = {"NGINX_HTTP_PORT": str(own_port()), "NGINX_HTTPS_PORT": str(made.port)}
        pair = {"NGINX_CERT_PATH": "./tls.crt", "NGINX_KEY_PATH": "./tls.key"}
        for name, value in {"NGINX_BIND_ADDRESS": "127.0.0.1", **ports, **pair}.items():
            replace_variable(stack.env_file, name, value)
        (stack.directory / "compose.override.yaml").write_text(_OVERRIDE, encoding="utf-8")
        toml = stack.directory / "stratum.toml"
        text = toml.read_text(encoding="utf-8").replace("[rehearsal]\n", "")
        migrate = f"migrate = ['python', '-c', '''{_MIGRATION}''']"
        toml.write_text(text.replace('migrate = ["migrate"]', migrate), encoding="utf-8")
        made.write_release("1")
        stack.stratum("build")
        stack.stratum("up", "--all")
        stack.fill()
        stack.sql(f"GRANT CONNECT ON DATABASE stratum_db TO {_ROLE}", database="postgres")
        stack.sql(f"GRANT ALL ON SCHEMA public TO {_ROLE}; ALTER TABLE orders OWNER TO {_ROLE}")
        yield made


def _served(visits: Visits) -> None:
    """More visitors were answered, and nobody was turned away."""
    visits.go_on()
    assert visits.failed == []


def _columns(stack: ComposeStack) -> set[str]:
    listed = "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders'"
    return set(stack.sql(listed).split())


def test_visitors_notice_nothing_of_an_update_that_adds(released: ReleasedBehindNginx) -> None:
    stack = released.stack
    released.write_release("2", migration="ALTER TABLE orders ADD COLUMN paid boolean")
    with visiting(released.visit) as visits:
        visits.go_on()
        facts: dict[str, Any] = stack.answer("update", "--no-downtime")["facts"]
        _served(visits)

    assert released.serves() == {"2 healthy"}
    assert (_columns(stack), stack.rows()) == ({"id", "item", "paid"}, 1000)
    assert facts["visits"] > len(visits.answers) / 2
    assert facts["visits_failed"] == 0
    assert "downtime_seconds" not in facts
    assert released.seconds() == ""
    assert stack.refusal("rollback", "--data", "--confirm", stack.name) == "data-not-beside"


def test_a_change_that_the_release_of_before_could_not_live_with_is_refused_before_it_is_made(
    released: ReleasedBehindNginx,
) -> None:
    stack, before = released.stack, released.serves()
    released.write_release("renamed", migration="ALTER TABLE orders RENAME item TO article")
    with visiting(released.visit) as visits:
        done = stack.cli("update", "--no-downtime")
        _served(visits)

    assert "(needs-downtime) and was taken back" in done.stderr
    assert "stratum_db.public.orders.item: the column is gone, or has another name" in done.stderr
    assert (released.serves(), "item" in _columns(stack)) == (before, True)


def test_a_new_release_that_never_gets_well_beside_the_old_one_is_taken_back_and_nobody_notices(
    released: ReleasedBehindNginx,
) -> None:
    stack, before = released.stack, released.serves()
    migration = "ALTER TABLE orders ADD COLUMN IF NOT EXISTS seen boolean"
    released.write_release("ill", migration=migration, frontend='ENTRYPOINT ["false"]\n')
    with visiting(released.visit) as visits:
        assert stack.refusal("update", "--no-downtime") == "update-migration-stays"
        _served(visits)

    assert (released.serves(), released.seconds(), released.ends()[-1]) == (before, "", PlanEnd.COMPENSATED)
    assert (stack.rows(), "seen" in _columns(stack)) == (1000, True)


@pytest.mark.torture
@pytest.mark.parametrize("step", ["migrate-beside", "second", "lead", "replace"])
def test_an_update_beside_that_is_killed_is_taken_back_by_the_next_start_and_nobody_notices(
    released: ReleasedBehindNginx, step: str
) -> None:
    before = released.serves()
    released.write_release(f"killed-{step}")
    with visiting(released.visit) as visits:
        released.cut_before(step)
        _served(visits)
        released.stack.stratum("up")
        _served(visits)

    assert (released.serves(), released.seconds(), released.ends()[-1]) == (before, "", PlanEnd.COMPENSATED)
    assert released.stack.rows() == 1000


@pytest.mark.torture
def test_an_update_beside_that_is_killed_after_its_commit_is_finished_by_the_next_start_and_nobody_notices(
    released: ReleasedBehindNginx,
) -> None:
    released.write_release("committed")
    with visiting(released.visit) as visits:
        released.cut_before("own")
        _served(visits)
        released.stack.stratum("up")
        _served(visits)

    assert (released.serves(), released.seconds(), released.ends()[-1]) == ({"committed healthy"}, "", PlanEnd.DONE)


def test_it_is_refused_where_nobody_could_be_led(released: ReleasedBehindNginx) -> None:
    stack = released.stack
    assert stack.refusal("update", "--no-downtime", "--accept", "orders.item") == "no-downtime-impossible"

    stack.by_hand("stop", "nginx")
    try:
        assert stack.refusal("update", "--no-downtime") == "no-downtime-impossible"
    finally:
        stack.by_hand("start", "nginx")
