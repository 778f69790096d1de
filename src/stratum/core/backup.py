"""What a backup is: the manifest beside every backup and the facts it records about the data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from stratum.core.file_sets import FileSetFacts
from stratum.core.identity import Identity

FORMAT = 1
"""The manifest's format number; a reader refuses a higher one."""

DIGEST_ALGORITHM = "sum64-hashtextextended-v1"
"""Sum over all rows of a row's hash, which chains `hashtextextended` over the text of its columns
(docs/decisions/0003-digest.md): order-independent, the same on every major from 14 on. It finds corruption and
loss; it is not meant to resist someone who forges rows on purpose."""


CHECKSUMS = "SHA256SUMS"
"""The file beside a backup's files that lets `sha256sum --check` read them without Stratum."""


class BackupKind(StrEnum):
    """How a backup was taken, and so what it can be restored to."""

    DUMP = "dump"
    """Logical: `pg_dump` and globals; portable across versions."""
    BASE = "base"
    """Physical: `pg_basebackup`; with WAL it reaches any second, on the same major and processor."""


class DigestMode(StrEnum):
    """How much of the content a digest reads. A proof says which one it used."""

    FULL = "full"
    """Every row of every table."""
    SAMPLED = "sampled"
    """Every row is counted; about one row in 16, chosen by the hash of its primary key, is digested."""
    COUNTS = "counts"
    """Rows are counted only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFacts:
    """One ordinary table or partition leaf, seen in the backup's own snapshot."""

    schema: str
    name: str
    rows: int
    digest: str | None
    """Decimal sum of row hashes; None when `rows` is all that is known."""
    digested_rows: int
    """Rows that went into the digest: all of them, or the sample. A sampled table without a primary key is
    digested whole."""
    not_digested: str | None = None
    """Why the content could not be digested although the mode asked for it."""
    bytes: int
    """`pg_total_relation_size`, in bytes."""

    @property
    def qualified(self) -> str:
        """`schema.name`; a part with a dot or a quote in it is quoted, so that no two tables share a name."""
        return ".".join(_quoted_if_odd(part) for part in (self.schema, self.name))


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceFacts:
    """A sequence and the column it feeds."""

    schema: str
    name: str
    last_value: int | None
    """None when the sequence was never used. Read when observed: sequences are outside snapshots."""
    table: str | None
    """`schema.table` of the column it feeds: the owning one (serial, identity), else one whose default draws
    from it."""
    column: str | None
    behind: bool
    """Whether the next value, or one its steps lead to, is already stored in that column. False where that cannot
    be asked: no column, not a number, or a sequence declared to cycle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtensionFacts:
    """An extension of one database, which has to be installable where the dump is restored."""

    name: str
    version: str
    schema: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LargeObjectFacts:
    """All large objects of one database: their number and a digest over OID and content."""

    count: int
    digest: str | None
    not_digested: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MigrationHead:
    """Where a migration tool says the schema stands."""

    tool: str
    """`alembic`, `prisma`, `django`, `flyway` or `plain`."""
    table: str
    """`schema.table` the tool keeps its record in: two services may each have one."""
    head: str
    """Empty when the tool has applied nothing."""
    applied: int | None
    """Number of applied migrations, where the tool records each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GrantFacts:
    """One privilege on the database itself; `grantee` None means PUBLIC."""

    grantee: str | None
    privilege: str
    grantable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingFacts:
    """One `ALTER DATABASE … SET` (role None) or `ALTER ROLE … IN DATABASE … SET`."""

    role: str | None
    name: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseProperties:
    """What `pg_restore` without `-C` loses: how to create the database again as it was."""

    name: str
    oid: int
    owner: str
    encoding: str
    locale_provider: str
    """`libc`, `icu` or `builtin`."""
    collate: str
    ctype: str
    locale: str | None
    """The ICU or builtin locale, None for libc."""
    icu_rules: str | None
    collation_version: str | None
    connection_limit: int
    comment: str | None
    grants: tuple[GrantFacts, ...] | None
    """None when the database still has its default privileges."""
    settings: tuple[SettingFacts, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseFacts:
    """Everything a proof compares, read in one snapshot of one database."""

    properties: DatabaseProperties
    snapshot: str
    """`pg_current_snapshot()` of the exported snapshot: which transactions the backup can see."""
    snapshot_at: datetime
    digest_mode: DigestMode
    tables: tuple[TableFacts, ...]
    sequences: tuple[SequenceFacts, ...]
    extensions: tuple[ExtensionFacts, ...]
    large_objects: LargeObjectFacts
    materialized_views: tuple[str, ...]
    """Qualified names; a restore refreshes them, so their content is not compared."""
    foreign_tables: tuple[str, ...]
    collations: dict[str, str]
    """Collation name to the version recorded in the catalogue, for those that have one."""
    invalid_indexes: tuple[str, ...]
    migrations: tuple[MigrationHead, ...]
    size_bytes: int

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """One file of a backup, by its path relative to the backup's directory."""

    path: str
    bytes: int
    sha256: str


def render_checksums(files: tuple[FileFacts, ...]) -> str:
    """SHA256SUMS of a backup, as `sha256sum --check` reads it."""
    return "".join(f"{file.sha256}  {file.path}\n" for file in files)


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleFacts:
    """A role the dump's objects may belong to; passwords are never recorded."""

    name: str
    can_login: bool
    superuser: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DumpedDatabase:
    """One database of a dump: where its files are and what they must contain."""

    path: str
    """Directory or file of `pg_dump`'s output, relative to the backup's directory."""
    archive_version: str
    """Version in `pg_dump`'s own archive header, e.g. `1.16.0`."""
    facts: DatabaseFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The record beside every backup; written last, so a backup without one does not exist."""

    format: int = FORMAT
    id: str
    kind: BackupKind
    stack: str
    started_at: datetime
    taken_at: datetime
    """The recovery point: the moment the newest snapshot was taken, by the server's clock."""
    finished_at: datetime
    cluster: Identity
    bootstrap_role: str
    """The cluster's first superuser; globals refer to it, so a scratch server is given the same name."""
    tool_version: str
    stratum_version: str
    digest_algorithm: str
    digest_mode: DigestMode
    databases: tuple[DumpedDatabase, ...]
    roles: tuple[RoleFacts, ...]
    files: tuple[FileFacts, ...]
    """As stored; `.age` at the end of a name says it is sealed."""
    recipients: tuple[str, ...] = ()
    """The age recipients it is sealed for; none when it is not."""
    release: str | None = None
    file_sets: tuple[FileSetFacts, ...] = ()
    """The directories that were taken along; `files` lists the tars themselves."""

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def rows(self) -> int:
        return sum(database.facts.rows for database in self.databases)


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenBackup:
    """A directory in the archive that is not a backup, and why it is not listed as one."""

    id: str
    why: str


def _quoted_if_odd(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if {".", '"'} & set(name) else name
