"""What a command answers with `--json`: one object, with a format number, the same for every interface."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stratum.core.adopted_tools import FoundCommands
from stratum.core.backup import BackupKind, Manifest
from stratum.core.checklist import LineState
from stratum.core.plan import Facts, JournalEntry, Plan, PlanEnd
from stratum.core.proof import Proof, Verdict

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenError:
    """An error as a person or a program meets it: its code, and its sentences in the reader's language."""

    code: str
    """Stable; docs/reference/errors.md lists them all."""
    message: str
    """What happened."""
    data: str
    """What it means for the data."""
    next: str
    """What to do."""
    details: dict[str, str]
    """The values in the sentences, by name. Never a secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorAnswer:
    """What a command prints with `--json` when it refuses or fails."""

    format: int = FORMAT
    error: SpokenError


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoCopyAnswer:
    """What `stratum undo-copy` prints: the databases it worked on, and where their migrations stand."""

    format: int = FORMAT
    databases: tuple[str, ...]
    heads: dict[str, str]
    """By database; empty text where no known migration tool keeps a record."""
    cost: tuple[str, ...] = ()
    """What putting the copies in place would take out of the live databases, in lines for a person."""
    added: tuple[str, ...] = ()
    """What the live databases have, and a program that knows the copies does not: tables, columns, other types."""
    gone: tuple[str, ...] = ()
    """What such a program cannot work without: tables and columns that are gone, columns that have to be filled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenRisk:
    """One risk that `stratum adopt` found, in the reader's language."""

    name: str
    statement: str
    """What is at risk today."""
    fix: str
    """What to do about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdoptAnswer:
    """What `stratum adopt --json` prints."""

    format: int = FORMAT
    stack: str
    database: str
    """Where the database is: a service of a Compose project, or the address of a server."""
    written: tuple[str, ...]
    """Files that were written or completed; nothing else was changed."""
    not_written: str
    """Why no services were added to the Compose project; empty where they were, and for a server of your own."""
    risks: tuple[SpokenRisk, ...]
    """The worst first."""
    commands: FoundCommands
    """How the application migrates and says that it is well, as its files tell; written to stratum.toml."""
    next: tuple[str, ...]
    """What to do now, step by step."""
    backup: str = ""
    """With --prove: the first backup."""
    verdict: str = ""
    """With --prove: what its drill found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenLine:
    """One line of the checklist, in the reader's language."""

    name: str
    state: LineState
    statement: str
    """What was found."""
    fix: str | None
    """What to do about it; None for a line that holds."""
    mendable: bool
    """Whether `stratum check --fix` can mend it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecklistAnswer:
    """What `stratum check --json` prints."""

    format: int = FORMAT
    all_hold: bool
    """Whether every line holds or was accepted by name; a line that could not be looked at does not hold."""
    lines: tuple[SpokenLine, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeAnswer:
    """What a command that carries out a plan prints with `--json`."""

    format: int = FORMAT
    plan: Plan
    end: PlanEnd | None
    """None for a dry run: nothing was carried out."""
    facts: Facts
    """What the steps learned: the new backup's id, the databases' names, the verdict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupSummary:
    """One backup in a list, with what is known of it."""

    id: str
    kind: BackupKind
    taken_at: datetime
    """The recovery point of a dump; from here on a base backup and WAL reach every moment."""
    databases: tuple[str, ...]
    rows: int
    """0 for a base backup: files are copied, and no row is counted."""
    bytes: int
    """Stored size."""
    postgresql_major: int
    verdict: Verdict | None
    """Of the newest drill that says something about it; None when it was never drilled."""
    proven_at: datetime | None
    restore_seconds: float | None
    """As the newest drill that proved it measured."""
    pinned: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DamagedBackup:
    """A directory of the archive that is not a backup."""

    id: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupsAnswer:
    """What `stratum backups list --json` prints: newest first."""

    format: int = FORMAT
    backups: tuple[BackupSummary, ...]
    broken: tuple[DamagedBackup, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupAnswer:
    """What `stratum backups show --json` prints."""

    format: int = FORMAT
    pinned: bool
    manifest: Manifest
    proofs: tuple[Proof, ...]
    """Oldest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PinAnswer:
    """What `stratum backups pin --json` prints."""

    format: int = FORMAT
    backup_id: str
    pinned: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ProofsAnswer:
    """All proofs, newest first."""

    format: int = FORMAT
    proofs: tuple[Proof, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalAnswer:
    """The newest entries of the journal, newest first."""

    format: int = FORMAT
    entries: tuple[JournalEntry, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingValue:
    """One setting as it is in force. A secret is never among them."""

    name: str
    """`[section] key`, as in the settings reference."""
    value: str
    """As stratum.toml would say it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingsAnswer:
    """What the stack is set to."""

    format: int = FORMAT
    settings: tuple[SettingValue, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What came of telling one address. The address itself is not in it: it may hold a token."""

    address: str
    """Its place in `[notify] urls` and its scheme, such as `1 (mailto)`."""
    delivered: bool
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotifyAnswer:
    """What `stratum notify --test --json` prints."""

    format: int = FORMAT
    all_delivered: bool
    deliveries: tuple[Delivery, ...]
