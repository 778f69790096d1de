"""What the engine asks of the outside world: a handful of Protocols, and the bundle that carries them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from stratum.core.answers import Delivery
from stratum.core.backup import (
    BrokenBackup,
    FileFacts,
    Manifest,
)
from stratum.core.copies import CopyState, Scrubbed
from stratum.core.identity import Identity, Seen
from stratum.core.plan import Facts, JournalEntry, Plan, PlanEnd
from stratum.core.proof import Proof
from stratum.core.services import ServiceState
from stratum.core.stack import Stack, StackFilesState
from stratum.file_sets import FileSets
from stratum.project import Project
from stratum.recovery import Recovery
from stratum.rehearsal import Rehearsals
from stratum.replication import Replication
from stratum.rotation import Rotation
from stratum.server import (
    Database,
    OnBytes,
    PgTools,
    RestoreSelection,
    Server,
    ServerHealth,
    Snapshot,
    SwapNames,
    TablePlacement,
)
from stratum.upgrade import HostUpgrade, LocalUpgrade
from stratum.wal_store import WalStore

__all__ = [
    "Database",
    "OnBytes",
    "PgTools",
    "RestoreSelection",
    "Server",
    "ServerHealth",
    "Snapshot",
    "SwapNames",
    "TablePlacement",
]  # said of one server, in a module of its own


class Role(StrEnum):
    """Who Stratum connects as. Each verb uses the least that can do the work."""

    MAINTENANCE = "maintenance"
    """The superuser: creating, renaming and restoring databases; scratch servers."""
    OWNER = "owner"
    """The application database's owner: the application's own commands."""
    BACKUP = "backup"
    """Reads everything, changes nothing."""
    REPLICATION = "replication"
    """Copies the data directory and reads WAL; reads no table."""


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
    def run_command(self, argv: Sequence[str], *, told: Mapping[str, str] | None = None) -> None:
        """Run one of the application's commands, with `told` in its environment besides. Raises `tool-failed`."""

    def server_log(self, lines: int) -> list[str]: ...
    def tools_version(self) -> str: ...
    def image(self) -> tuple[str | None, str | None]:
        """The database's image, and the version of its C library; both None where there is none."""


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

    def stop_writers(self) -> None: ...
    def stop(self) -> None:
        """End them all, `stop_writers` all but the agent, which receives WAL; waits for it. Ending none is no error."""

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
    def opened(self, backup_id: str, *only: str) -> AbstractContextManager[Path]: ...
    def begin_backup(self, backup_id: str) -> Path: ...
    def partial_path(self, backup_id: str) -> Path: ...
    def measure(self, directory: Path) -> tuple[FileFacts, ...]: ...
    def take_in(self, source: Path, target: Path) -> None: ...
    def publish(self, manifest: Manifest) -> None: ...
    def discard_partial(self, backup_id: str) -> None: ...
    def remove_backup(self, backup_id: str) -> None: ...
    def export_backup(self, backup_id: str, into: Path) -> None: ...
    def copies(self) -> tuple[CopyState, ...]: ...
    def scrubbed(self) -> Scrubbed | None: ...
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

    @property
    def token(self) -> str:
        """What a verb inside a container is told, to work under this lock."""

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


class StackFiles(Protocol):
    """The stack's own files, as far as the checklist and a release look at them."""

    def observe(self) -> StackFilesState: ...
    def fingerprint(self) -> str:
        """Another one once the stack's settings changed; nothing secret goes into it."""

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
    wal: WalStore
    replication: Replication
    recovery: Recovery
    rehearsals: Rehearsals
    journal: Journal
    lock: Lock
    clock: Clock
    progress: Progress
    consent: Consent
    files: StackFiles
    file_sets: FileSets
    services: Services
    project: Project | None
    """The Compose project, on its host; None on the embedded runtime and inside a container."""
    rotation: Rotation | None = None
    """Changes the stack's secrets; None in its own containers and services, which are started anew by that."""
    upgrade: LocalUpgrade | None = None
    """Changes the major of the embedded server; None with every other runtime."""
    host_upgrade: HostUpgrade | None = None
    """Changes the major of a Compose stack's server; None but on its host."""
    inside: bool
    """Whether this process runs in one of the stack's own containers, where the stack's files are not seen."""
    run: Callable[[Prepared, Ports], Outcome]
    """Carries a plan out; a dry run is another function here, which shows the plan and touches nothing."""
    who: str
