"""Which tool brings an application's schema up to date, and where it says it is well: decided from its files' names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_HEALTH = re.compile(
    r"""["'`](/(?:api/)?(?:v1/)?_?(?:healthz|healthcheck|health_check|health|readyz|livez|readiness|liveness))/?["'`]"""
)
_LOOPBACK = re.compile(r"(https?://)(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?=[:/\s\"']|$)")
_RUNNERS = ("uv run", "poetry run", "pipenv run", "pdm run")
_IMAGES = {"flyway": ("Flyway", "migrate"), "liquibase": ("Liquibase", "update")}
_SQL_FOLDERS = ("migrations", "db/migrations", "database/migrations", "sql/migrations", "db/migrate", "sql", "schema")
_ASK_NODE = "fetch(process.argv[1]).then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"
_ASK_PYTHON = "import sys,urllib.request;urllib.request.urlopen(sys.argv[1],timeout=10)"
_ASK_RUBY = "exit Net::HTTP.get_response(URI(ARGV[0])).is_a?(Net::HTTPSuccess)"

_SQL_RUNNER = """set -eu; cd @FOLDER@
run() { psql -XqAt -v ON_ERROR_STOP=1 ${DATABASE_URL:+"--dbname=$DATABASE_URL"} "$@"; }
new=$(run -c "SELECT to_regclass('stratum_sql_files') IS NULL")
if [ "$new" = t ]; then
  [ -e @LAST@ ] || { echo "@FOLDER@ holds no @LAST@" >&2; exit 1; }
  all="CREATE TABLE stratum_sql_files (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());"
  for file in [0-9]*.sql; do
    case "$file" in *.down.sql) continue;; esac
    all="$all INSERT INTO stratum_sql_files (name) VALUES ('$file');"
    if [ "$file" = @LAST@ ]; then break; fi
  done
  run -c "$all"
fi
for file in [0-9]*.sql; do
  case "$file" in *.down.sql) continue;; esac
  count=$(run -c "SELECT count(*) FROM stratum_sql_files WHERE name = '$file'")
  if [ "$count" = 0 ]; then
    run --single-transaction --file="$file" --command="INSERT INTO stratum_sql_files (name) VALUES ('$file')"
  fi
done"""
"""What `psql -c` is told at once is one transaction: a run that is cut leaves no half of the list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSource:
    """One service of a Compose project that is not the database, with what its files are called."""

    service: str
    image: str = ""
    """Named in the Compose files; empty where it is built only."""
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    """As Compose has it: `CMD` or `CMD-SHELL` comes first."""
    ports: tuple[int, ...] = ()
    """Published ones, as the container has them."""
    reaches_database: bool = False
    """Whether one of its variables holds the database's address."""
    files: frozenset[str] = frozenset()
    """Of its build context, relative to it."""
    dockerfile: str = ""
    read: Callable[[str], str] = field(default=lambda _: "", repr=False)
    """The text of one of `files`; empty for what is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundCommands:
    """What goes into `[commands]` of stratum.toml."""

    service: str = ""
    tool: str = ""
    migrate: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What was seen and is left to the person, each a sentence."""


def plan_commands(sources: Sequence[ServiceSource]) -> FoundCommands:
    """The migrate and the health command of a project, as they are run in a container of the service's image.

    The service whose files hold a migration tool counts; where several do, one that reaches the database and is
    published comes first. Nothing is guessed where the files do not say it: a note names what was seen.
    """
    ranked = sorted(sources, key=lambda one: (not one.reaches_database, not one.ports))
    found = [(one, *find_migrate(one)) for one in ranked]
    notes = [f"{one.service}: {said}" for one, _, argv, said in found if said and not argv]
    chosen = next(((one, tool, argv) for one, tool, argv, _ in found if argv), None)
    serving = chosen[0] if chosen else next((one for one in ranked if one.ports and one.files), None)
    health: tuple[str, ...] = ()
    if serving is not None:
        health, said = find_health(serving)
        notes += [f"{serving.service}: {said}"] if said else []
    return FoundCommands(
        service=serving.service if serving and (chosen or health) else "",
        tool=chosen[1] if chosen else "",
        migrate=chosen[2] if chosen else (),
        health=health,
        notes=tuple(dict.fromkeys(notes)),
    )


def find_migrate(source: ServiceSource) -> tuple[str, tuple[str, ...], str]:
    """The tool's name, the command, and a note; the command is empty where the files name none that can be run.

    A tool's own image runs its own command; else the files of the build context decide.
    """
    base = source.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    if base in _IMAGES:
        name, default = _IMAGES[base]
        return name, source.command or (default,), ""
    if base == "migrate" and source.command:
        return "golang-migrate", source.command, ""
    for find in (_prisma, _alembic, _django, _rails, _knex, _golang_migrate, _by_itself, _plain_sql):
        tool, argv, said = find(source)
        if argv or said:
            return tool, (*_runner(source, argv), *argv) if argv else (), said
    return "", (), ""


_Found = tuple[str, tuple[str, ...], str]
_NOTHING: _Found = ("", (), "")


def _runner(source: ServiceSource, argv: tuple[str, ...]) -> tuple[str, ...]:
    """`uv run` and its like, where the image's own commands begin with it."""
    if argv[0] not in {"alembic", "python"}:
        return ()
    said = " ".join((source.dockerfile.replace('", "', " ").replace('","', " "), *source.command))
    return next((tuple(runner.split()) for runner in _RUNNERS if runner in said), ())


def _prisma(source: ServiceSource) -> _Found:
    schema = _shortest(source, lambda path: path.endswith(".prisma"))
    if not schema:
        return _NOTHING
    folder = schema.rpartition("/")[0]
    homes = tuple(dict.fromkeys((folder, folder.rpartition("/")[0])))
    migrations = next((f"{home}/migrations/".lstrip("/") for home in homes if _holds(source, home)), "")
    if not migrations:
        return "Prisma", (), f"{schema} is Prisma's, without migrations: `prisma db push` is not run on data one keeps"
    at_home = schema in {"prisma/schema.prisma", "schema.prisma"}
    return "Prisma", ("npx", "prisma", "migrate", "deploy", *(() if at_home else ("--schema", schema))), ""


def _holds(source: ServiceSource, home: str) -> bool:
    start = f"{home}/migrations/".lstrip("/")
    return any(path.startswith(start) and path.endswith(".sql") for path in source.files)


def _alembic(source: ServiceSource) -> _Found:
    ini = _shortest(source, lambda path: path.rpartition("/")[2] == "alembic.ini")
    if ini:
        return "Alembic", ("alembic", *(("-c", ini) if "/" in ini else ()), "upgrade", "head"), ""
    if "pyproject.toml" in source.files and "[tool.alembic]" in source.read("pyproject.toml"):
        return "Alembic", ("alembic", "upgrade", "head"), ""
    return _NOTHING


def _django(source: ServiceSource) -> _Found:
    file = _shortest(source, lambda path: path.rpartition("/")[2] == "manage.py")
    if not file or "django" not in source.read(file).lower():
        return _NOTHING
    return "Django", ("python", file, "migrate", "--noinput"), ""


def _rails(source: ServiceSource) -> _Found:
    is_rails = "config/application.rb" in source.files and any(p.startswith("db/migrate/") for p in source.files)
    if not is_rails:
        return _NOTHING
    return (
        "Rails",
        (*(("bin/rails",) if "bin/rails" in source.files else ("bundle", "exec", "rails")), "db:migrate"),
        "",
    )


def _knex(source: ServiceSource) -> _Found:
    names = tuple(f"knexfile.{ending}" for ending in ("js", "ts", "cjs", "mjs"))
    file = _shortest(source, lambda path: path.rpartition("/")[2] in names)
    if not file:
        return _NOTHING
    return "Knex", ("npx", "knex", "migrate:latest", *(("--knexfile", file) if "/" in file else ())), ""


def _golang_migrate(source: ServiceSource) -> _Found:
    first = _shortest(source, lambda path: re.search(r"/\d+_[^/]+\.up\.sql$", f"/{path}") is not None)
    if not first:
        return _NOTHING
    folder = first.rpartition("/")[0] or "."
    if re.search(r"golang-migrate|/migrate\b", source.dockerfile):
        script = f'exec migrate -path {_quoted(folder)} -database "$DATABASE_URL" up'
        return "golang-migrate", ("sh", "-c", script), ""
    return (
        "golang-migrate",
        (),
        (
            f"{folder}/ holds golang-migrate's files, and the image no `migrate`: the program migrates by itself, "
            "or [commands] migrate is yours to name"
        ),
    )


def _by_itself(source: ServiceSource) -> _Found:
    """Flyway and Liquibase inside an application migrate when it starts."""
    for tool, folder in (("Flyway", "/db/migration/V"), ("Liquibase", "/db/changelog/")):
        if any(folder in f"/{path}" for path in source.files):
            return tool, (), f"{tool} runs inside the application when it starts: [commands] migrate stays empty"
    return _NOTHING


def _plain_sql(source: ServiceSource) -> _Found:
    for folder in _SQL_FOLDERS:
        found = sorted(
            path for path in source.files if re.fullmatch(re.escape(folder) + r"/\d[^/']*(?<!\.down)\.sql", path)
        )
        if not found:
            continue
        if not re.search(r"psql|postgresql-client|postgresql\d*-client|(?m:^FROM\s+\S*postgres)", source.dockerfile):
            return (
                "SQL files",
                (),
                (f"{folder}/ holds SQL files, and the image no psql: install postgresql-client in it to have them run"),
            )
        return "SQL files", ("sh", "-c", render_sql_runner(folder, last=found[-1].rpartition("/")[2])), ""
    return _NOTHING


def render_sql_runner(folder: str, *, last: str) -> str:
    """A shell script that applies the SQL files of a folder by name, each once and in one transaction.

    The table stratum_sql_files says which were applied. Where it is not there yet, the files up to `last` were in
    the project when it was adopted: they are written down as applied, and are not run on data that has them.
    """
    return _SQL_RUNNER.replace("@FOLDER@", _quoted(folder)).replace("@LAST@", _quoted(last))


def find_health(source: ServiceSource) -> tuple[tuple[str, ...], str]:
    """The command that asks the service whether it is well, and a note where there is none.

    It runs in a container of its own, so `localhost` of a health check becomes the service's name.
    """
    kind, *test = source.healthcheck or ("",)
    if kind in {"CMD", "CMD-SHELL"} and any(_LOOPBACK.search(word) for word in test):
        words = tuple(_LOOPBACK.sub(rf"\g<1>{source.service}", word) for word in test)
        return (("sh", "-c", *words) if kind == "CMD-SHELL" else words), ""
    if kind in {"CMD", "CMD-SHELL"}:
        return (), "its health check is Docker's to run, and each start waits for it: [commands] health stays empty"
    route = next((found for path in sorted(source.files) if (found := _route(source.read(path)))), "")
    if not route or not source.ports:
        return (), "it has no health check, and no route such as /health was seen: give it one"
    return _asking(source, f"http://{source.service}:{source.ports[0]}{route}")


def _route(text: str) -> str:
    found = _HEALTH.search(text)
    return found[1] if found else ""


def _asking(source: ServiceSource, url: str) -> tuple[tuple[str, ...], str]:
    """With what the image holds to ask an address."""
    names = {path.rpartition("/")[2] for path in source.files}
    if "package.json" in names:
        return ("node", "-e", _ASK_NODE, url), ""
    if names & {"requirements.txt", "pyproject.toml", "Pipfile", "manage.py"}:
        return (*_runner(source, ("python",)), "python", "-c", _ASK_PYTHON, url), ""
    if "Gemfile" in names:
        return ("ruby", "-rnet/http", "-e", _ASK_RUBY, url), ""
    if "curl" in source.dockerfile:
        return ("curl", "--fail", "--silent", "--show-error", url), ""
    if "alpine" in source.dockerfile or "wget" in source.dockerfile:
        return ("wget", "-q", "-O", "/dev/null", url), ""
    return (), f"{url} was seen, and nothing in the image that could ask it: [commands] health stays empty"


def _shortest(source: ServiceSource, fits: Callable[[str], bool]) -> str:
    return min((path for path in source.files if fits(path)), key=lambda path: (path.count("/"), path), default="")


def _quoted(word: str) -> str:
    """For a shell."""
    return word if re.fullmatch(r"[A-Za-z0-9_./-]+", word) else "'" + word.replace("'", "'\\''") + "'"
