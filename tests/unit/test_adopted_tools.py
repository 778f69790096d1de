"""Which migrate and health commands adopt finds: from the names of the files a service is built from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stratum.adapters.source_look import observe_sources
from stratum.core.adopted_tools import ServiceSource, find_health, find_migrate, plan_commands, render_sql_runner

_NODE = "FROM node:22\nCMD node server.js\n"


def _source(*files: str, dockerfile: str = "", text: str = "", **more: object) -> ServiceSource:
    return ServiceSource(
        service="app", files=frozenset(files), dockerfile=dockerfile, read=lambda _: text, **more  # type: ignore[arg-type]  # the fields' own types
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "tool", "argv"),
    [
        (_source("prisma/schema.prisma", "prisma/migrations/1_a/migration.sql"), "Prisma", "npx prisma migrate deploy"),
        (_source("db/schema.prisma", "db/migrations/1_a/migration.sql"), "Prisma",
         "npx prisma migrate deploy --schema db/schema.prisma"),
        (_source("prisma/schema/a.prisma", "prisma/migrations/1/migration.sql"), "Prisma",
         "npx prisma migrate deploy --schema prisma/schema/a.prisma"),
        (_source("alembic.ini"), "Alembic", "alembic upgrade head"),
        (_source("api/alembic.ini", "alembic/env.py"), "Alembic", "alembic -c api/alembic.ini upgrade head"),
        (_source("pyproject.toml", text="[tool.alembic]\n"), "Alembic", "alembic upgrade head"),
        (_source("alembic.ini", dockerfile='CMD ["uv", "run", "app"]'), "Alembic", "uv run alembic upgrade head"),
        (_source("manage.py", text="import django"), "Django", "python manage.py migrate --noinput"),
        (_source("config/application.rb", "bin/rails", "db/migrate/1_a.rb"), "Rails", "bin/rails db:migrate"),
        (_source("knexfile.js", "package.json"), "Knex", "npx knex migrate:latest"),
        (_source(image="flyway/flyway:10"), "Flyway", "migrate"),
        (_source(image="liquibase/liquibase", command=("update", "--log-level=info")), "Liquibase",
         "update --log-level=info"),
        (_source(image="migrate/migrate", command=("-path", "/m", "up")), "golang-migrate", "-path /m up"),
        (_source("migrations/1_a.up.sql", dockerfile="RUN go install github.com/golang-migrate/migrate/v4/cmd/migrate"),
         "golang-migrate", 'sh -c exec migrate -path migrations -database "$DATABASE_URL" up'),
    ],
)  # fmt: skip
def test_each_tool_is_known_by_its_files(source: ServiceSource, tool: str, argv: str) -> None:
    found, words, said = find_migrate(source)

    assert (found, " ".join(words), said) == (tool, argv, "")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (_source("prisma/schema.prisma"), "db push"),
        (_source("src/main/resources/db/migration/V1__a.sql"), "inside the application"),
        (_source("migrations/1_a.up.sql"), "the image no `migrate`"),
        (_source("migrations/001_a.sql", dockerfile=_NODE), "the image no psql"),
    ],
)
def test_what_cannot_be_run_safely_is_said_and_not_guessed(source: ServiceSource, said: str) -> None:
    _, words, note = find_migrate(source)

    assert words == ()
    assert said in note


def test_a_manage_py_of_something_else_is_not_taken_for_django() -> None:
    assert find_migrate(_source("manage.py", text="print()")) == ("", (), "")


def test_sql_files_run_once_each_and_those_of_before_not_at_all(tmp_path: Path) -> None:
    """A psql that keeps its table in a file stands in for the server; the script is the one that is written."""
    source = _source("migrations/001_a.sql", "migrations/002_b.sql", "migrations/001_a.down.sql",
                     dockerfile="RUN apt-get install -y postgresql-client")  # fmt: skip
    tool, words, _ = find_migrate(source)
    assert (tool, words[2]) == ("SQL files", render_sql_runner("migrations", last="002_b.sql"))
    _write_psql(tmp_path)
    for name in ("001_a.sql", "002_b.sql"):
        (tmp_path / "migrations" / name).write_text("")
    assert _applied(tmp_path, words) == []
    (tmp_path / "migrations" / "003_c.sql").write_text("")
    (tmp_path / "migrations" / "003_c.down.sql").write_text("")

    assert _applied(tmp_path, words) == ["003_c.sql"]
    assert _applied(tmp_path, words) == ["003_c.sql"], "a second time nothing is run"
    assert (tmp_path / "names").read_text().split() == ["001_a.sql", "002_b.sql", "003_c.sql"]


def _write_psql(place: Path) -> None:
    (place / "migrations").mkdir()
    psql = place / "psql"
    psql.write_text(f"""#!/bin/sh
cd {place}
for word in "$@"; do case "$word" in
  *to_regclass*) if [ -e names ]; then echo f; else echo t; fi ;;
  *CREATE*) echo "$word" | tr ';' '\\n' | sed -n "s/.*VALUES ('//; s/').*//p" > names ;;
  --file=*) echo "${{word#--file=}}" >> ran ;;
  *INSERT*) echo "$word" | sed "s/.*('//; s/').*//" >> names ;;
  *count*) grep -c "^$(echo "$word" | sed "s/.* = '//; s/'.*//")\\$" names || true ;;
esac; done
""")
    psql.chmod(0o755)


def _applied(place: Path, words: tuple[str, ...]) -> list[str]:
    done = subprocess.run(words, cwd=place, env={"PATH": f"{place}:/usr/bin:/bin"}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    ran = place / "ran"
    return ran.read_text().split() if ran.exists() else []


def test_a_health_check_is_asked_from_a_container_of_its_own() -> None:
    checked = _source(healthcheck=("CMD", "curl", "-f", "http://localhost:8000/health"))
    shell = _source(healthcheck=("CMD-SHELL", "wget -qO- http://127.0.0.1:3000/ || exit 1"))

    assert find_health(checked) == (("curl", "-f", "http://app:8000/health"), "")
    assert find_health(shell) == (("sh", "-c", "wget -qO- http://app:3000/ || exit 1"), "")


def test_a_route_that_the_files_name_is_asked_with_what_the_image_holds() -> None:
    node = _source("package.json", "server.js", text='app.get("/api/healthz", ok)', ports=(3000,))
    python = _source("pyproject.toml", "app.py", text="@app.get('/health')", ports=(8000,))

    assert find_health(node)[0][-1] == "http://app:3000/api/healthz"
    assert find_health(node)[0][0] == "node"
    assert find_health(python)[0][:2] == ("python", "-c")


def test_a_health_check_that_asks_no_address_is_left_to_docker() -> None:
    words, said = find_health(_source(healthcheck=("CMD", "pg_isready")))
    assert words == ()
    assert "Docker's to run" in said


def test_the_service_that_reaches_the_database_counts() -> None:
    files = frozenset({"alembic.ini"})
    worker = ServiceSource(service="worker", files=files)
    web = ServiceSource(service="web", files=files, ports=(80,), reaches_database=True)

    assert plan_commands((worker, web)).service == "web"


def test_the_files_of_a_build_context_are_looked_at_without_its_dependencies(tmp_path: Path) -> None:
    (tmp_path / "node_modules" / "x" / "prisma").mkdir(parents=True)
    (tmp_path / "node_modules" / "x" / "prisma" / "schema.prisma").write_text("")
    (tmp_path / "alembic.ini").write_text("")
    (tmp_path / "Dockerfile").write_text("FROM python:3.12\nCMD uv run app\n")
    web = {"build": {"context": str(tmp_path), "dockerfile": "Dockerfile"},
           "environment": {"DATABASE_URL": "postgres://u:p@db:5432/shop"},
           "ports": [{"target": 8000, "published": "80"}],
           "healthcheck": {"test": ["CMD-SHELL", "curl http://localhost:8000/h"]}}  # fmt: skip
    config = {"services": {"db": {"image": "postgres:16"}, "web": web}}

    (found,) = observe_sources(config, database="db")

    assert found.reaches_database
    assert found.ports == (8000,)
    commands = plan_commands((found,))
    assert commands.migrate == ("uv", "run", "alembic", "upgrade", "head")
    assert commands.health == ("sh", "-c", "curl http://web:8000/h")
