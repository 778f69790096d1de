"""PostgreSQL's own client tools, bound to one server: they do all the work on data."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stratum.adapters.copy_counter import CopyCounter
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.process import Completed, run_tool, stream_tool, tool_environment
from stratum.adapters.restore_as_member import Loading, listed_entries, restore_as_member
from stratum.core.errors import StratumError
from stratum.core.proof import Check, Verdict, could_not_verify
from stratum.ports import RestoreSelection

JOBS = 2
_TIMEOUT_SECONDS = 24 * 3600.0
_QUICK_SECONDS = 300.0
_LOCK_WAIT_MILLISECONDS = 300_000
"""A table that a migration keeps to itself for longer ends the dump, instead of the dump waiting behind it unseen."""

_ENTRY = re.compile(r"\d+; \d+ \d+ (.*)")
"""A line of `pg_restore --list`: dump id, catalogue OID, object OID, description."""

_NAME = r'(?:"(?:[^"]|"")+"|[^\s;"]+)'
_ROLE_LINE = re.compile(rf"(?:(?:CREATE|ALTER) ROLE|(?P<granted>GRANT) {_NAME} TO) (?P<role>{_NAME})(?P<set> SET )?")
"""A line of pg_dumpall's roles that makes or changes one."""

_LEFT_OUT_OF_A_TABLE_RESTORE = (
    "FK CONSTRAINT ",
    "TRIGGER ",
    "EVENT TRIGGER ",
    "RULE ",
    "MATERIALIZED VIEW DATA ",
    "PUBLICATION ",
    "PUBLICATION TABLE ",
    "SUBSCRIPTION ",
    "BLOB",
    "LARGE OBJECT",
    "DATABASE ",
    "ACL - DATABASE ",
    "ACL - LARGE OBJECT",
)
"""Table-of-contents entries that need data or servers a single table's restore does not bring back."""

_REMARK_ON_WHAT_IS_LEFT_OUT = re.compile(
    r"(COMMENT|SECURITY LABEL) .*"
    r"\b(CONSTRAINT|TRIGGER|RULE|PUBLICATION|SUBSCRIPTION|LARGE OBJECTS?|DATABASE) "
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """One PostgreSQL on this machine: where its programs are."""

    bin_dir: Path

    def program(self, name: str) -> str:
        return str(self.bin_dir / name)

    def version(self) -> str:
        """As `17.10`, from the server program itself."""
        return _version(self.program("postgres"))

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version(), maxsplit=1)[0])

    def compresses_with_zstd(self) -> bool:
        """pg_dump takes zstd from 16 on, when it was built with it."""
        return self.major >= 16 and self.is_built_with("zstd")

    def is_built_with(self, library: str) -> bool:
        """Asked of pg_config, not of the version."""
        return f"--with-{library}" in _configure_flags(self.program("pg_config"))


@cache
def _version(postgres: str) -> str:
    said = run_tool((postgres, "--version"), timeout_seconds=_QUICK_SECONDS).stdout
    found = re.search(r"\d+(\.\d+)?", said)
    if found is None:
        raise StratumError("no-postgresql", looked=f"{postgres} says no version")
    return found.group()


@cache
def _configure_flags(pg_config: str) -> str:
    if not Path(pg_config).exists():
        return ""
    return run_tool((pg_config, "--configure"), timeout_seconds=_QUICK_SECONDS).stdout


class PostgresqlTools:
    """pg_dump, pg_restore, pg_dumpall, psql and pg_amcheck of one installation against one server."""

    def __init__(self, installation: Installation, endpoint: Endpoint) -> None:
        self._installation = installation
        self._endpoint = endpoint

    def version(self) -> str:
        return self._installation.version()

    def dump(self, database: str, *, snapshot: str, into: Path, on_bytes: Callable[[int], None] | None = None) -> None:
        """Dump one database in an exported snapshot to a directory-format archive, two tables at a time."""
        compress = "zstd:1" if self._installation.compresses_with_zstd() else self._gzip_level()
        argv = (
            self._installation.program("pg_dump"),
            "--format=directory",
            f"--jobs={JOBS}",
            f"--compress={compress}",
            f"--snapshot={snapshot}",
            f"--lock-wait-timeout={_LOCK_WAIT_MILLISECONDS}",
            f"--file={into}",
            "--no-password",
            f"--dbname={self._endpoint.conninfo(database)}",
        )
        self._run(argv, on_tick=lambda: on_bytes(_size(into)) if on_bytes else None)

    def dump_roles(self, into: Path) -> None:
        """Write the roles and their memberships, without passwords, as SQL."""
        argv = (
            self._installation.program("pg_dumpall"),
            "--roles-only",
            "--no-role-passwords",
            f"--file={into}",
            "--no-password",
            f"--dbname={self._endpoint.conninfo('postgres')}",
        )
        self._run(argv, timeout_seconds=_QUICK_SECONDS)

    def apply_roles(self, script: Path, *, existing: Sequence[str], with_settings: bool) -> None:
        """Create the roles a dump's objects belong to; nothing is run where none is missing.

        Roles that exist keep their attributes, passwords and memberships; their `ALTER ROLE … SET` and `GRANT` lines
        are applied only `with_settings`, which is for a server that was made a moment ago.
        """
        present = {_quote_identifier(name) for name in existing}
        lines = script.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        wanted = [line for line in lines if not _speaks_of(line, present, with_settings=with_settings)]
        if not with_settings and not any(_ROLE_LINE.match(line) for line in wanted):
            return
        with tempfile.TemporaryDirectory(prefix="stratum-roles-") as work:
            ours = Path(work) / "roles.sql"
            ours.write_text("\n".join(wanted) + "\n", encoding="utf-8", errors="surrogateescape")
            self._psql(ours)

    def restore(self, database: str, source: Path, *, only: RestoreSelection | None = None) -> None:
        """Load a dump into an empty database; the first error ends it."""
        with tempfile.TemporaryDirectory(prefix="stratum-list-") as work:
            argv = (
                self._installation.program("pg_restore"),
                "--exit-on-error",
                *((f"--jobs={JOBS}",) if source.is_dir() else ()),
                *(self._list_argv(source, only, Path(work) / "list") if only else ()),
                "--no-password",
                f"--dbname={self._endpoint.conninfo(database)}",
                str(source),
            )
            self._run(argv)

    def restore_as_member(self, database: str, source: Path) -> None:
        """The same as a role that is no superuser, and a member of every owner in the dump."""
        loading = Loading(
            entries=lambda dump: tuple(
                listed_entries(self._local("pg_restore", "--list", str(dump)).stdout.splitlines())
            ),
            load=lambda entries: self._load(database, source, entries),
            run=lambda statements: self._run_statements(database, statements),
        )
        restore_as_member(loading, source)

    def _load(self, database: str, source: Path, entries: Sequence[str]) -> None:
        """Load some entries of a dump, in their order."""
        with tempfile.TemporaryDirectory(prefix="stratum-list-") as work:
            listing = Path(work) / "list"
            listing.write_text("\n".join(entries) + "\n", encoding="utf-8", errors="surrogateescape")
            argv = (
                self._installation.program("pg_restore"),
                "--exit-on-error",
                *((f"--jobs={JOBS}",) if source.is_dir() else ()),
                f"--use-list={listing}",
                "--no-password",
                f"--dbname={self._endpoint.conninfo(database)}",
                str(source),
            )
            self._run(argv)

    def _run_statements(self, database: str, statements: str) -> None:
        with tempfile.TemporaryDirectory(prefix="stratum-sql-") as work:
            script = Path(work) / "statements.sql"
            script.write_text(statements, encoding="utf-8")
            self._psql(script, database)

    def restore_schema(self, database: str, source: Path) -> None:
        """Create all that a dump defines in an empty database, without its rows; the first error ends it."""
        argv = (
            self._installation.program("pg_restore"),
            "--exit-on-error",
            "--schema-only",
            "--no-password",
            f"--dbname={self._endpoint.conninfo(database)}",
            str(source),
        )
        self._run(argv)

    def read_everything(self, source: Path) -> tuple[int, ...]:
        """Read all of a dump's data, writing nothing; returns the rows of each entry of table data, in order.

        A table of contents alone hides truncated data, and so does pg_restore's exit code where the compression
        has no end mark of its own: the rows are counted up to the end mark of each table. Raises
        `backup-not-whole` and `tool-failed`. (https://www.postgresql.org/docs/current/app-pgrestore.html)
        """
        counter = CopyCounter()
        argv = (self._installation.program("pg_restore"), "--data-only", "--file=-", str(source))
        stream_tool(argv, timeout_seconds=_TIMEOUT_SECONDS, env=tool_environment(), take=counter.take)
        if not counter.is_complete:
            raise StratumError("backup-not-whole", problem=f"the data of table {len(counter.rows) + 1} has no end")
        return tuple(counter.rows)

    def archive_version(self, source: Path) -> str:
        """The version in the archive's own header, e.g. `1.16.0`. Raises `backup-not-whole` without one."""
        toc = source / "toc.dat" if source.is_dir() else source
        try:
            with toc.open("rb") as stream:
                head = stream.read(8)
        except OSError as error:
            raise StratumError("backup-not-whole", problem=f"{toc.name}: {error.strerror}") from None
        if len(head) < 8 or not head.startswith(b"PGDMP"):
            raise StratumError("backup-not-whole", problem=f"{toc.name} does not begin like a pg_dump archive")
        return ".".join(str(part) for part in head[5:8])

    def contents(self, source: Path) -> tuple[str, ...]:
        """The entries of a dump's table of contents, without their numbers, e.g. `TABLE DATA public t owner`."""
        lines = self._local("pg_restore", "--list", str(source)).stdout.splitlines()
        return tuple(found.group(1) for line in lines if (found := _ENTRY.match(line)))

    def schema_of_dump(self, source: Path) -> str:
        return self._local("pg_restore", "--schema-only", "--file=-", str(source)).stdout

    def schema_of_database(self, database: str) -> str:
        argv = (
            self._installation.program("pg_dump"),
            "--schema-only",
            "--no-password",
            f"--dbname={self._endpoint.conninfo(database)}",
        )
        return self._run(argv, timeout_seconds=_QUICK_SECONDS).stdout

    def copy_schema(self, *, source_database: str, target_database: str, schema: str) -> None:
        """Copy one schema with its data from a database to another of the same server, through a dump."""
        with tempfile.TemporaryDirectory(prefix="stratum-schema-") as work:
            file = Path(work) / "schema.dump"
            argv = (
                self._installation.program("pg_dump"),
                "--format=custom",
                f"--schema={_quote_identifier(schema)}",
                f"--file={file}",
                "--no-password",
                f"--dbname={self._endpoint.conninfo(source_database)}",
            )
            self._run(argv)
            self.restore(target_database, file)

    def amcheck(self, database: str) -> Check:
        """Check every table's heap and every B-tree index, with PostgreSQL's own amcheck."""
        argv = (
            self._installation.program("pg_amcheck"),
            "--install-missing",
            f"--jobs={JOBS}",
            "--no-password",
            f"--host={self._endpoint.host}",
            f"--port={self._endpoint.port}",
            f"--username={self._endpoint.user}",
            "--maintenance-db=postgres",
            f"--database={_literal_pattern(database)}",
        )
        if not Path(argv[0]).exists():
            return could_not_verify("amcheck", "pg_amcheck is not installed beside this server")
        result = self._run(argv, accept=(0, 1, 2))
        if result.exit_code == 0:
            return Check(name="amcheck", verdict=Verdict.PROVEN, reason="no corruption in tables and B-tree indexes")
        if result.exit_code == 2:
            return Check(name="amcheck", verdict=Verdict.FAILED, reason=result.stdout.strip()[-500:])
        return could_not_verify("amcheck", result.stderr or "pg_amcheck did not say why")

    def _gzip_level(self) -> str:
        return "gzip:1" if self._installation.major >= 16 else "1"

    def _list_argv(self, source: Path, only: RestoreSelection, listing: Path) -> tuple[str, ...]:
        entries = self._local("pg_restore", "--list", str(source)).stdout.splitlines()
        kept = [line for line in entries if _is_selected(line, only)]
        listing.write_text("\n".join(kept) + "\n", encoding="utf-8")
        return (f"--use-list={listing}",)

    def _local(self, program: str, *arguments: str) -> Completed:
        argv = (self._installation.program(program), *arguments)
        return run_tool(argv, timeout_seconds=_TIMEOUT_SECONDS, env=tool_environment())

    def _psql(self, script: Path, database: str = "postgres") -> None:
        argv = (
            self._installation.program("psql"),
            "--no-psqlrc",
            "--quiet",
            "--single-transaction",
            "--set=ON_ERROR_STOP=1",
            "--no-password",
            f"--file={script}",
            f"--dbname={self._endpoint.conninfo(database)}",
        )
        self._run(argv, timeout_seconds=_QUICK_SECONDS)

    def _run(
        self,
        argv: tuple[str, ...],
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        accept: Sequence[int] = (0,),
        on_tick: Callable[[], None] | None = None,
    ) -> Completed:
        with self._endpoint.passfile() as passfile:
            env = tool_environment(PGPASSFILE=str(passfile), PGAPPNAME="stratum", PGCONNECT_TIMEOUT="10")
            return run_tool(argv, timeout_seconds=timeout_seconds, env=env, accept=accept, on_tick=on_tick)


def _is_selected(entry: str, only: RestoreSelection) -> bool:
    """Whether a line of `pg_restore --list` belongs to a restore of these tables' data."""
    found = _ENTRY.match(entry)
    if found is None:
        return False
    described = found.group(1)
    if described.startswith("TABLE DATA "):
        return any(described.startswith(f"TABLE DATA {listed_name(s)} {listed_name(n)} ") for s, n in only.tables)
    if described.startswith("SEQUENCE SET "):
        return only.data_only
    left_out = described.startswith(_LEFT_OUT_OF_A_TABLE_RESTORE) or _REMARK_ON_WHAT_IS_LEFT_OUT.match(described)
    return not only.data_only and not left_out


def listed_name(name: str) -> str:
    """A name as `pg_restore --list` writes it: line breaks become blanks."""
    return name.replace("\n", " ").replace("\r", " ")


def _speaks_of(line: str, present: set[str], *, with_settings: bool) -> bool:
    """Whether a line of pg_dumpall's roles changes a role that exists: CREATE and ALTER name it, GRANT … TO does."""
    found = _ROLE_LINE.match(line)
    if found is None or (with_settings and (found["granted"] or found["set"])):
        return False
    return _quote_identifier(_unquote(found["role"])) in present


def _unquote(identifier: str) -> str:
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier


def _quote_identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal_pattern(name: str) -> str:
    """A name as a pattern that matches only itself: psql's quoting makes every character literal.

    (https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PATTERNS)
    """
    return _quote_identifier(name)


def _size(path: Path) -> int:
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) if path.is_dir() else 0
