"""The anti-panic checklist: what must hold for the data to be safe, each line with what to do when it does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

FORMAT = 1


class Place(StrEnum):
    """From where the lines of a Compose stack are looked at; elsewhere all of them are, but those of Docker."""

    HOST = "host"
    """The stack's files, its containers and its volume."""
    INSIDE = "inside"
    """The database, its tools, the archive: what the service `backup` sees."""


class LineState(StrEnum):
    """What looking at one line of the checklist found."""

    HOLDS = "holds"
    RED = "red"
    ACCEPTED = "accepted"
    """Red, and the owner accepted this risk by name in stratum.toml."""
    UNKNOWN = "unknown"
    """Could not be looked at; never shown as a pass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LineKind:
    """One line of the checklist as `str.format` templates, so that it exists once for every language."""

    name: str
    holds: str
    red: str
    fix: str
    mendable: bool = False
    """Whether `stratum check --fix` can mend it without touching data."""
    place: Place = Place.INSIDE
    """Who looks at it in a Compose stack."""
    docker_only: bool = False
    """Whether there is nothing to look at without Docker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line, looked at just now."""

    name: str
    state: LineState
    details: dict[str, str] = field(default_factory=dict)
    no_backup: bool = False
    """Red because there is no backup to look at; that has words of its own."""

    @property
    def kind(self) -> LineKind:
        return LINES[self.name]

    @property
    def template(self) -> str:
        if self.state is LineState.UNKNOWN:
            return UNKNOWN
        if self.state is LineState.HOLDS:
            return self.kind.holds
        return NO_BACKUP if self.no_backup else self.kind.red

    @property
    def fix(self) -> str:
        return NO_BACKUP_FIX if self.no_backup else self.kind.fix


UNKNOWN = "could not be looked at: {why}"
NO_BACKUP = "there is no backup yet"
NO_BACKUP_FIX = "run `stratum backup`"

_KINDS = (
    LineKind(
        name="archive",
        holds="the archive can be read and written",
        red="the archive cannot be used: {problem}",
        fix="mount or create the directory [archive] path names, and see that it can be written",
    ),
    LineKind(
        name="data-directory",
        holds="the data directory is there and the database is running",
        red="the database is not serving: {detail}",
        fix="run `stratum up`; if the data is lost, `stratum restore`",
    ),
    LineKind(
        name="volume-held",
        holds="the volume {volume} is there, and a container outside the project holds it",
        red="the data volume {volume} is {problem}",
        fix="run `stratum check --fix` or `stratum up`, which hold it again; `stratum restore` brings a lost one back",
        mendable=True,
        place=Place.HOST,
        docker_only=True,
    ),
    LineKind(
        name="own-server",
        holds="your own server lets Stratum back up and restore (replication: {replication}); its disk, its start and "
        "its stop are yours to look after",
        red="on your own server Stratum's roles lack rights: {missing}",
        fix="have whoever administers it run the script that `stratum adopt --print-roles` prints",
    ),
    LineKind(
        name="other-volumes",
        holds="no other volume of the stack holds anything that no backup has",
        red="in no backup: {volumes}",
        fix="take them along as file sets ([[files]] in stratum.toml, and a mount in the service backup), or back them "
        "up by other means, and accept the risk by name in [check] accept",
        place=Place.HOST,
        docker_only=True,
    ),
    LineKind(
        name="docker",
        holds="Docker Engine {engine} and Compose {compose} answer",
        red="Docker does not answer as this stack needs it: {problem}",
        fix="start or update Docker Engine and its Compose plugin",
        place=Place.HOST,
        docker_only=True,
    ),
    LineKind(
        name="identity",
        holds="the cluster is the one that was recorded ({identifier})",
        red="the cluster is not the one that was recorded: {likeness}",
        fix="run `stratum up` to see which look-alike it is; then `stratum restore`, or `stratum identity accept`",
    ),
    LineKind(
        name="recent-backup",
        holds="the newest backup is {age} old",
        red="the newest backup is {age} old; more than 24 h of writes are in no backup",
        fix="run `stratum backup`, and schedule it",
    ),
    LineKind(
        name="backup-size",
        holds="the newest backup holds {rows} rows in {bytes}",
        red="the newest backup holds {rows} rows in {bytes}",
        fix="look at `stratum backups show`, and take a new backup",
    ),
    LineKind(
        name="backup-proven",
        holds="backup {backup} was restored and compared {age} ago",
        red="no backup was restored and compared within 7 days: {state}",
        fix="run `stratum drill`",
    ),
    LineKind(
        name="dumps-readable",
        holds="pg_restore reads the newest dump's table of contents ({entries} entries)",
        red="pg_restore cannot read the newest dump: {problem}",
        fix="run `stratum verify --all` to see which backups are whole, then `stratum backup`",
    ),
    LineKind(
        name="broken-backups",
        holds="every directory in the archive is a whole backup",
        red="the archive holds damaged backups: {names}",
        fix="see `stratum backups list`; take a new backup, then remove the damaged ones by hand",
    ),
    LineKind(
        name="no-destructive-command",
        holds="no destructive command was run within 7 days",
        red="a destructive command was run within 7 days: {commands}",
        fix="make sure that it was meant; `stratum restore` brings the data back",
    ),
    LineKind(
        name="disk-space",
        holds="there is room for a backup ({archive_free} free) and a drill ({data_free} free)",
        red="there is too little room: a drill needs {needed}, {data_free} are free; the archive has {archive_free}",
        fix="free space, or move the archive to a larger disk",
    ),
    LineKind(
        name="off-the-disk",
        holds="the archive survives the loss of the data's disk ({domain})",
        red="the archive may be lost together with the data's disk ({domain})",
        fix="put the archive ([archive] path; BACKUP_DIR of .env with Compose) on another disk; declare what the "
        'kernel cannot see with failure_domain = "other-disk"',
    ),
    LineKind(
        name="copies",
        holds="copies elsewhere are up to date: {state}",
        red="a copy is not what it should be: {problem}",
        fix="run `stratum copies --now`, which says what stands in the way; [[archive.copies]] of stratum.toml names "
        "them",
    ),
    LineKind(
        name="archive-reread",
        holds="what was read again of the archive is as it was written: {state}",
        red="reading the archive again found damage: {problem}",
        fix="see to that disk; without a whole copy take a new backup: `stratum backup`, `stratum backup --kind base`",
    ),
    LineKind(
        name="env-private",
        holds=".env can be read by its owner only",
        red=".env can be read by others (mode {mode})",
        fix="run `stratum check --fix`, or chmod 600 .env",
        mendable=True,
        place=Place.HOST,
    ),
    LineKind(
        name="env-ignored",
        holds=".env is ignored by git, or in no git checkout",
        red=".env is not ignored by git: the next commit may publish its passwords",
        fix="run `stratum check --fix`, or add .env to .gitignore",
        mendable=True,
        place=Place.HOST,
    ),
    LineKind(
        name="secrets",
        holds="no secret in .env is empty, short or a well-known default",
        red="weak secrets in .env: {names}",
        fix="replace them by long random ones, and set the same in the server with ALTER ROLE",
        place=Place.HOST,
    ),
    LineKind(
        name="clock",
        holds="this machine's clock and the server's agree within {seconds} s",
        red="this machine's clock and the server's are {seconds} s apart",
        fix="set the clock, for example `timedatectl set-ntp true`",
    ),
    LineKind(
        name="checksums",
        holds="data checksums are on: silent disk errors are found",
        red="data checksums are off: silent disk errors would enter every backup",
        fix="turn them on while the database is stopped: docs/how-to/turn-checksums-on.md",
    ),
    LineKind(
        name="checksum-failures",
        holds="no page that was read failed its checksum",
        red="{count} pages failed their checksum: the disk or the memory damages data",
        fix="run `stratum backup` and `stratum drill` now, then move to another disk; `stratum logs` names the pages",
    ),
    LineKind(
        name="wal-received",
        holds="WAL is received: {state}",
        red="WAL is not received: {problem}",
        fix="run `stratum up` (`stratum agent` where there is no console), and see `stratum logs agent`; the server "
        "keeps WAL for the receiver only up to a limit",
    ),
    LineKind(
        name="wal-continuous",
        holds="no second is missing that should be reachable",
        red="not every second can be reached since {since}: {because}",
        fix="a base backup is taken by itself; where it fails, `stratum backup --kind base` says why",
    ),
    LineKind(
        name="slot-lag",
        holds="the archive is {behind} of WAL behind the server, which keeps {keep}",
        red="the archive is {behind} of WAL behind the server, which gives up at {keep}",
        fix="see that the archive's disk is not full or slow; raise [protect] slot_keep_mb where the server has room",
    ),
    LineKind(
        name="zero-loss-degraded",
        holds="commits wait for the archive as they should: {state}",
        red="zero-loss is asked for, and is not what there is: {problem}",
        fix="run `stratum protect` to see who waits for what; `stratum protect --degrade` lets commits go on at once, "
        "as safe as with streaming",
    ),
    LineKind(
        name="certificate",
        holds="no certificate in use ends within {days} days ({ends})",
        red="the certificate NGINX_CERT_PATH names cannot serve for {days} more days: {ends}",
        fix="renew it, and put it and its key where NGINX_CERT_PATH and NGINX_KEY_PATH of .env say",
        place=Place.HOST,
    ),
    LineKind(
        name="notifications",
        holds="alarms go to {count} addresses",
        red="nobody is told when something turns red: [notify] urls is empty",
        fix="put an address into [notify] urls, and try it with `stratum notify --test`",
    ),
    LineKind(
        name="services",
        holds="the stack's services answer: {services}",
        red="these services do not answer: {services}",
        fix="run `stratum up`; `stratum logs` with the service's name shows what it said last. If it began with an "
        "update, `stratum rollback` leads back",
        place=Place.HOST,
    ),
    LineKind(
        name="versions",
        holds="the tools ({tools}) can read the server ({server})",
        red="the tools ({tools}) cannot read the server ({server})",
        fix="install the tools of the server's own major version",
    ),
    LineKind(
        name="no-cut-plan",
        holds="no plan was cut short",
        red="a plan was cut short: {plans}",
        fix="run `stratum up`: it finishes the plan or takes it back; a restore of files on Docker is finished by "
        "`stratum restore --files NAME`",
    ),
)

LINES: dict[str, LineKind] = {kind.name: kind for kind in _KINDS}


def all_hold(lines: tuple[Line, ...]) -> bool:
    """Whether the checklist is green: a line that could not be looked at is not."""
    return all(line.state in {LineState.HOLDS, LineState.ACCEPTED} for line in lines)
