"""What the engine asks of the outside world: a handful of Protocols, and the bundle that carries them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from stratum.core.answers import Delivery
from stratum.core.backup import (
    DatabaseFacts,
    DatabaseProperties,
    DigestMode,
    FileFacts,
    Manifest,
    RoleFacts,
)
from stratum.core.identity import Identity, Seen
from stratum.core.plan import Facts, JournalEntry, Plan, PlanEnd
from stratum.core.proof import Check, Proof
from stratum.core.services import ServiceState
from stratum.core.stack import Stack


class Role(StrEnum):
    """Who Stratum connects as. Each verb uses the least that can do the work."""

    MAINTENANCE = "maintenance"
    """The superuser: creating, renaming and restoring databases; scratch servers."""
    OWNER = "owner"
    """The application database's owner: the application's own commands."""
    BACKUP = "backup"
    """Reads everything, changes nothing."""


class RunState(StrEnum):
    """What stands where the cluster should be."""

    ABSENT = "absent"
    """There is no data directory, or it is empty."""
    DAMAGED = "damaged"
    """Files are there, but not a data directory this PostgreSQL can open."""
    STOPPED = "stopped"
    RUNNING = "running"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerState:
    """The cluster as seen from outside, without connecting to it."""

    state: RunState
    detail: str
    """One sentence for a person."""
    major: int | None = None
    """From PG_VERSION, known without starting the server."""
    port: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureDomain:
    """Which accident two places share: `same-disk`, `other-disk`, `other-host` or `unknown`."""

    name: str
    declared: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenBackup:
    """A directory in the archive that is not a backup, and why it is not listed as one."""

    id: str
    why: str


class Snapshot(Protocol):
    """One exported snapshot of one database, held open for as long as tools read through it."""

    @property
    def name(self) -> str: ...

    def observe_facts(self, mode: DigestMode, progress: Callable[[int, int], None] | None = None) -> DatabaseFacts: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SwapNames:
    """The three names of a swap: what is live, what takes its place, what the old one is kept as."""

    live: str
    beside: str
    kept: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TablePlacement:
    """Putting a restored table in place: what moves where, and the statements that complete it."""

    table: tuple[str, str]
    from_schema: str
    kept_schema: str
    completing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerHealth:
    """What the checklist asks a server."""

    data_checksums: bool
    clock_at: datetime
    checksum_failures: int = 0
    """Pages that were read and did not match their checksum, in all databases, since statistics were reset."""


class Database(Protocol):
    """One PostgreSQL server, connected to in one role."""

    def observe_health(self) -> ServerHealth: ...
    def server_version_num(self) -> int: ...
    def observe_identity(self, databases: Sequence[str]) -> Identity: ...
    def bootstrap_role(self) -> str: ...
    def roles(self) -> tuple[RoleFacts, ...]: ...
    def database_oids(self) -> dict[str, int]: ...
    def snapshot(self, database: str) -> AbstractContextManager[Snapshot]: ...
    def observe_facts(self, database: str, mode: DigestMode) -> DatabaseFacts: ...
    def create_database(self, name: str, properties: DatabaseProperties) -> int: ...
    def apply_properties(self, name: str, properties: DatabaseProperties) -> None: ...
    def drop_database(self, name: str) -> None: ...
    def swap_databases(self, names: SwapNames) -> None: ...
    def allow_connections(self, database: str, *, allowed: bool) -> None: ...
    def swap_obstacles(self, database: str) -> tuple[str, ...]: ...
    def does_not_follow(self, database: str) -> tuple[str, ...]: ...
    def run_smoke(self, database: str, statements: Sequence[str]) -> tuple[Check, ...]: ...
    def check_collations(self, database: str) -> Check: ...
    def schemas(self, database: str) -> tuple[str, ...]: ...
    def table_exists(self, database: str, table: tuple[str, str]) -> bool: ...
    def table_dependents(self, database: str, table: tuple[str, str]) -> tuple[str, ...]: ...
    def outbound_definitions(self, database: str, table: tuple[str, str]) -> tuple[str, ...]: ...
    def table_family(self, database: str, table: tuple[str, str]) -> tuple[tuple[str, str], ...]: ...
    def move_tables(self, database: str, tables: Sequence[tuple[str, str]], *, into_schema: str) -> None: ...
    def put_table_in_place(self, database: str, placement: TablePlacement) -> None: ...
    def drop_schema(self, database: str, schema: str) -> None: ...


class PgTools(Protocol):
    """The server's own client tools, bound to one server in one role. They do all work on data."""

    def version(self) -> str: ...
    def dump(self, database: str, *, snapshot: str, into: Path, on_bytes: OnBytes | None = None) -> None: ...
    def dump_roles(self, into: Path) -> None: ...
    def apply_roles(self, script: Path, *, existing: Sequence[str], with_settings: bool) -> None: ...
    def restore(self, database: str, source: Path, *, only: RestoreSelection | None = None) -> None: ...
    def restore_schema(self, database: str, source: Path) -> None: ...
    def read_everything(self, source: Path) -> tuple[int, ...]: ...
    def archive_version(self, source: Path) -> str: ...
    def contents(self, source: Path) -> tuple[str, ...]: ...
    def schema_of_dump(self, source: Path) -> str: ...
    def schema_of_database(self, database: str) -> str: ...
    def copy_schema(self, *, source_database: str, target_database: str, schema: str) -> None: ...
    def amcheck(self, database: str) -> Check: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreSelection:
    """A part of a dump: all definitions but no data, or the data of these tables (`schema`, `name`) only."""

    tables: tuple[tuple[str, str], ...]
    data_only: bool


OnBytes = Callable[[int], None]
"""Called with the number of bytes written so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A server and its own tools, bound to the same role."""

    database: Database
    tools: PgTools


class Runtime(Protocol):
    """What runs the services of the stack."""

    def observe(self) -> ServerState: ...
    def server(self, role: Role) -> Server: ...
    def offline_tools(self) -> PgTools: ...
    def create_cluster(self, *, bootstrap_role: str | None, application_database: bool) -> None: ...
    def start(self) -> ServerState: ...
    def stop(self) -> None: ...
    def set_cluster_aside(self, label: str) -> bool: ...
    def put_cluster_back(self, label: str) -> None: ...
    def remove_cluster(self) -> None: ...
    def kept_clusters(self) -> tuple[str, ...]: ...
    def remove_kept_cluster(self, label: str) -> None: ...
    def scratch(self, *, purpose: str, bootstrap_role: str) -> AbstractContextManager[Server]: ...
    def sweep_scratch(self) -> int: ...
    def free_bytes(self) -> int: ...
    def prepare_console(self) -> bool:
        """Make the console's role and database where they are missing; says whether the database was made."""

    def application_environment(self) -> dict[str, str]: ...
    def run_command(self, argv: Sequence[str]) -> None: ...
    def server_log(self, lines: int) -> list[str]: ...
    def tools_version(self) -> str: ...


class Services(Protocol):
    """The local processes beside the database: the agent, the backend and the frontend."""

    def planned(self) -> tuple[str, ...]:
        """Names of the services that should run; none where the console is off."""

    def observe(self, *, ask: bool) -> tuple[ServiceState, ...]:
        """How each service stands; with `ask` each that runs is asked whether it serves."""

    def start(self) -> None:
        """Start what should run and does not; what runs with other settings is started anew.

        Returns when all serve. Raises `service-not-serving` and `services-not-started`.
        """

    def stop(self) -> None:
        """End them all, and wait until they are gone. Ending none is no error."""

    def renew(self, name: str) -> None:
        """Let one that runs begin anew, as after its database was replaced. No error when it does not run."""

    def log(self, name: str, lines: int) -> list[str]:
        """The end of one service's log."""


class Archive(Protocol):
    """The place off the data volume that holds backups, proofs and the journal."""

    def initialise(self, stack: str) -> None: ...
    def check_writable(self) -> None: ...
    def manifests(self) -> tuple[Manifest, ...]: ...
    def broken(self) -> tuple[BrokenBackup, ...]: ...
    def foreign(self) -> tuple[str, ...]: ...
    def backup_path(self, backup_id: str) -> Path: ...
    def begin_backup(self, backup_id: str) -> Path: ...
    def partial_path(self, backup_id: str) -> Path: ...
    def measure(self, directory: Path) -> tuple[FileFacts, ...]: ...
    def publish(self, manifest: Manifest) -> None: ...
    def discard_partial(self, backup_id: str) -> None: ...
    def remove_backup(self, backup_id: str) -> None: ...
    def export_backup(self, backup_id: str, into: Path) -> None: ...
    def pinned(self) -> frozenset[str]: ...
    def pin(self, backup_id: str, *, pinned: bool) -> None: ...
    def proofs(self) -> tuple[Proof, ...]: ...
    def record_proof(self, proof: Proof) -> None: ...
    def recorded_identity(self) -> Identity | None: ...
    def record_identity(self, identity: Identity) -> None: ...
    def forget_identity(self) -> None: ...

    def seen(self) -> Seen | None: ...

    def record_seen(self, seen: Seen) -> None: ...
    def token_epoch(self) -> int:
        """Sign-ins to the console of an earlier epoch have ended."""

    def raise_token_epoch(self, *, because: str) -> None:
        """End all sign-ins of the console; a second call for the same plan changes nothing."""

    def add_console_token(self, token: str, *, now: datetime) -> None:
        """Let this token sign in once, for a quarter of an hour; only its hash is kept."""

    def redeem_console_token(self, token: str, *, now: datetime) -> bool:
        """Use a token up; False when it may not be used now."""

    def lineage(self) -> tuple[str, ...]: ...
    def free_bytes(self) -> int: ...
    def failure_domain(self) -> FailureDomain: ...


class Journal(Protocol):
    """The archive's append-only record of what was done, by whom, and how it ended."""

    def append(self, entry: JournalEntry) -> None: ...
    def entries(self) -> tuple[JournalEntry, ...]: ...


class Lock(Protocol):
    """One plan at a time per stack, whoever runs it and from wherever."""

    def hold(self, *, why: str) -> AbstractContextManager[None]: ...
    def held_since(self) -> datetime | None: ...


class Clock(Protocol):
    """What time it is, aware of its zone, and seconds that only go forward, for durations."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...


class Progress(Protocol):
    """Where a person sees long work move: bytes or rows, rate and time left."""

    def task(self, what: str, *, total: int | None, unit: str) -> AbstractContextManager[Callable[[int], None]]: ...
    def say(self, line: str) -> None: ...


class Consent(Protocol):
    """Asks the person, showing what is known by then. False means no."""

    def __call__(self, plan: Plan, question: str, lines: Sequence[str]) -> bool: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StackFilesState:
    """How safely the stack's own files are kept."""

    env_mode: int | None
    """Permission bits of .env, None when there is none."""
    env_ignored_by_git: bool | None
    """None when the stack is in no git checkout."""
    weak_secrets: tuple[str, ...]
    """Names of secrets in .env that are empty, short or a well-known default."""
    certificate_ends_at: datetime | None = None
    """When the certificate NGINX_CERT_PATH names ends; None where none is named."""
    certificate_problem: str = ""
    """Why the certificate that is named could not be read."""


class StackFiles(Protocol):
    """stratum.toml, .env and .gitignore, as far as the checklist looks at them."""

    def observe(self) -> StackFilesState: ...
    def protect_env(self) -> None: ...
    def ignore_env(self) -> None: ...


class Notifier(Protocol):
    """Tells people, at every address that is set."""

    def tell(self, title: str, body: str) -> tuple[Delivery, ...]: ...

    def ping(self) -> str | None:
        """Ask for the heartbeat address, where one is set; what went wrong, or None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """What one step of a plan does. `run` and `undo` may be called again after a crash, so both are idempotent."""

    name: str
    run: Callable[[Facts], Facts | None]
    """Given what earlier steps learned; returns what later ones, or a resume, need to know."""
    undo: Callable[[Facts], None] | None = None
    known: Callable[[Facts], Sequence[str]] | None = None
    """For a step that asks: what to show the person before they answer."""
    took_effect: Callable[[Facts], bool] | None = None
    """For the step a plan is finished from: whether it has happened. Once it has, nothing is taken back: what was
    written since would go with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A plan and what its steps do."""

    plan: Plan
    actions: tuple[Action, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How running a plan ended; `end` is None for a dry run."""

    plan: Plan
    end: PlanEnd | None
    facts: Facts


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """Everything a verb may touch."""

    stack: Stack
    runtime: Runtime
    archive: Archive
    journal: Journal
    lock: Lock
    clock: Clock
    progress: Progress
    consent: Consent
    files: StackFiles
    services: Services
    run: Callable[[Prepared, Ports], Outcome]
    """Carries a plan out; a dry run is another function here, which shows the plan and touches nothing."""
    who: str
