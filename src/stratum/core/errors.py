"""Every refusal and failure, in three parts: what happened, what it means for the data, what to do next.

One table holds them all, so that the reference, the French catalogue and the tests read the same source.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The command line's exit codes. A refusal never exits 0."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 10
    LOCKED = 11
    COULD_NOT_VERIFY = 12
    AT_RISK = 13


EXIT_MEANING: dict[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "failed; the `data:` line says what that means for the data",
    ExitCode.USAGE: "the command, a setting or an argument is not understood; nothing was touched",
    ExitCode.REFUSED: "refused by a guard, or declined by the person asked; nothing was touched",
    ExitCode.LOCKED: "another plan holds the lock",
    ExitCode.COULD_NOT_VERIFY: "the work was done, but the proof could not be made",
    ExitCode.AT_RISK: "the data is at risk: a check is red, or a proof failed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorKind:
    """One error: its stable code, its exit code, and its three sentences as `str.format` templates."""

    code: str
    exit: ExitCode
    message: str
    data: str
    next: str


_UNTOUCHED = "untouched; nothing was started, written or stopped"
_RUNNING = "untouched; the running database was not stopped or changed"

_USAGE = (
    ErrorKind(
        code="no-stack-here",
        exit=ExitCode.USAGE,
        message="there is no stack in {directory}: stratum.toml is missing",
        data=_UNTOUCHED,
        next="go to the stack's directory, name it with --stack DIR, or lay one down with `stratum init {directory}`",
    ),
    ErrorKind(
        code="stack-exists",
        exit=ExitCode.USAGE,
        message="{directory} already holds a stack: {file} is there",
        data="untouched; no existing file was overwritten",
        next="run `stratum status` there, or choose an empty directory",
    ),
    ErrorKind(
        code="malformed-settings",
        exit=ExitCode.USAGE,
        message="{file} cannot be read: {problem}",
        data=_UNTOUCHED,
        next="mend the file; `stratum init` in an empty directory shows a complete one",
    ),
    ErrorKind(
        code="unknown-setting",
        exit=ExitCode.USAGE,
        message="{file} has a setting Stratum does not know: {setting}",
        data=_UNTOUCHED,
        next="remove it or correct its spelling{hint}; docs/reference/settings.md lists them all",
    ),
    ErrorKind(
        code="invalid-setting",
        exit=ExitCode.USAGE,
        message="{file}: {setting} cannot be used: {problem}",
        data=_UNTOUCHED,
        next="correct the value; docs/reference/settings.md says what it may be",
    ),
    ErrorKind(
        code="missing-secret",
        exit=ExitCode.USAGE,
        message="{file} does not set {name}",
        data=_UNTOUCHED,
        next="add {name} to {file}; `stratum init` generates one in a new stack",
    ),
    ErrorKind(
        code="invalid-argument",
        exit=ExitCode.USAGE,
        message="{argument}: {problem}",
        data=_UNTOUCHED,
        next="run the command with --help to see what it takes",
    ),
    ErrorKind(
        code="unknown-backup",
        exit=ExitCode.USAGE,
        message="the archive holds no backup called {backup}",
        data=_UNTOUCHED,
        next="`stratum backups list` shows those there are",
    ),
    ErrorKind(
        code="unknown-database",
        exit=ExitCode.USAGE,
        message="backup {backup} does not hold a database called {database}",
        data=_UNTOUCHED,
        next="`stratum backups show {backup}` lists its databases",
    ),
    ErrorKind(
        code="unknown-table",
        exit=ExitCode.USAGE,
        message="backup {backup} does not hold a table called {table}",
        data=_RUNNING,
        next="`stratum backups show {backup}` lists its tables; write schema.table when the schema is not public",
    ),
    ErrorKind(
        code="no-command",
        exit=ExitCode.USAGE,
        message="[commands] {command} is not set in stratum.toml",
        data=_UNTOUCHED,
        next='add it, for example {command} = ["alembic", "upgrade", "head"]',
    ),
)

_REFUSED = (
    ErrorKind(
        code="cluster-absent",
        exit=ExitCode.REFUSED,
        message="the data directory is gone: cluster {recorded} was recorded, and nothing stands in its place",
        data="not touched by Stratum; the archive holds {backups} backup(s), the newest from {newest}",
        next="bring the data back with `stratum restore`; to begin anew with an empty database, run "
        "`stratum identity accept`",
    ),
    ErrorKind(
        code="cluster-fresh",
        exit=ExitCode.REFUSED,
        message="a new, empty cluster ({observed}) stands where cluster {recorded} was",
        data="the recorded data is not in this cluster; the archive holds {backups} backup(s), the newest from {newest}",
        next="look for the real data directory, or bring the data back with `stratum restore`; to begin anew, run "
        "`stratum identity accept`",
    ),
    ErrorKind(
        code="cluster-foreign",
        exit=ExitCode.REFUSED,
        message="another cluster ({observed}), with data of its own, stands where cluster {recorded} was",
        data="neither cluster was touched; the archive holds {backups} backup(s) of the recorded one, the newest from {newest}",
        next="put the right data directory back; if this cluster is the right one, run `stratum identity accept`",
    ),
    ErrorKind(
        code="cluster-older",
        exit=ExitCode.REFUSED,
        message="this is an older copy of cluster {recorded}: its WAL position went back from {recorded_lsn} to {observed_lsn}",
        data="whatever was written after the copy was made is not in it; the archive holds {backups} backup(s), "
        "the newest from {newest}",
        next="put the newer data directory back, or bring the data back with `stratum restore`; to go on with this "
        "copy, run `stratum identity accept`",
    ),
    ErrorKind(
        code="cluster-recreated",
        exit=ExitCode.REFUSED,
        message="in cluster {recorded} these databases are missing, were created anew, or lost every row: {databases}",
        data="the recorded rows are not in the running database; the archive holds {backups} backup(s), the newest from {newest}",
        next="bring the data back with `stratum restore`; if this is what you did on purpose, run `stratum identity accept`",
    ),
    ErrorKind(
        code="declined",
        exit=ExitCode.REFUSED,
        message="you said no to {verb}",
        data="as before; whatever was prepared beside was taken away again",
        next="run it again when you are ready; --dry-run shows the plan without asking",
    ),
    ErrorKind(
        code="confirmation-needed",
        exit=ExitCode.REFUSED,
        message="{verb} has to be confirmed, and there is no terminal to ask on",
        data="as before; whatever was prepared beside was taken away again",
        next="pass --confirm {stack} (the stack's own name) to confirm without a terminal",
    ),
    ErrorKind(
        code="nothing-to-restore",
        exit=ExitCode.REFUSED,
        message="no usable backup reaches {target}",
        data=_RUNNING,
        next="the backups reach from {oldest} to {newest}; see `stratum backups list`",
    ),
    ErrorKind(
        code="backup-damaged",
        exit=ExitCode.REFUSED,
        message="backup {backup} is damaged: {findings}",
        data=_RUNNING,
        next="use the newest older proven backup: `stratum restore {older}`",
    ),
    ErrorKind(
        code="wrong-cluster",
        exit=ExitCode.REFUSED,
        message="backup {backup} was taken from cluster {backup_cluster}, which is not one of this stack's: {lineage}",
        data=_RUNNING,
        next="restore it into a database of its own with --into NAME, or use this stack's own archive",
    ),
    ErrorKind(
        code="wrong-version",
        exit=ExitCode.REFUSED,
        message="backup {backup} is from PostgreSQL {backup_major}, newer than the running {server_major}",
        data=_RUNNING,
        next="restore it on PostgreSQL {backup_major} or newer; a dump never goes back to an older major",
    ),
    ErrorKind(
        code="disk-too-small",
        exit=ExitCode.REFUSED,
        message="{what} needs about {needed}, and {free} are free at {where}",
        data=_RUNNING,
        next="free {missing} there, or move {what} to a larger disk",
    ),
    ErrorKind(
        code="swap-obstacle",
        exit=ExitCode.REFUSED,
        message="database {database} cannot be swapped now: {obstacles}",
        data=_RUNNING,
        next="end them (COMMIT PREPARED or ROLLBACK PREPARED, DROP SUBSCRIPTION, drop the logical slot), then restore again",
    ),
    ErrorKind(
        code="name-taken",
        exit=ExitCode.REFUSED,
        message="a database called {database} exists already",
        data=_RUNNING,
        next="choose another name for --into",
    ),
    ErrorKind(
        code="nothing-to-undo",
        exit=ExitCode.REFUSED,
        message="there is no restore to undo: {reason}",
        data=_RUNNING,
        next="`stratum backups list` shows what can be restored instead",
    ),
    ErrorKind(
        code="table-in-use",
        exit=ExitCode.REFUSED,
        message="table {table} cannot be replaced in place: {dependents}",
        data="the restored rows stay in schema {schema}; the live table was not touched",
        next="copy the rows you need by hand, for example INSERT INTO {table} SELECT * FROM {schema}.… "
        "ON CONFLICT DO NOTHING, or drop what depends on it first",
    ),
    ErrorKind(
        code="retention-stopped",
        exit=ExitCode.REFUSED,
        message="retention is stopped: {reason}",
        data="untouched; no backup was removed",
        next="run `stratum drill`; retention goes on by itself once a drill proves the newest backup",
    ),
    ErrorKind(
        code="clock-behind",
        exit=ExitCode.REFUSED,
        message="the clock went back: it says {now}, and backup {backup} is from {taken_at}",
        data=_RUNNING,
        next="set the clock (for example `timedatectl set-ntp true`), then run the command again",
    ),
    ErrorKind(
        code="no-proven-backup",
        exit=ExitCode.REFUSED,
        message="{verb} wants a backup proven in the last day, and {state}",
        data=_RUNNING,
        next="run `stratum backup` and `stratum drill`, then try again",
    ),
    ErrorKind(
        code="not-running",
        exit=ExitCode.REFUSED,
        message="the database is not running: {detail}",
        data="untouched",
        next="start it with `stratum up`",
    ),
    ErrorKind(
        code="port-taken",
        exit=ExitCode.REFUSED,
        message="port {port} on 127.0.0.1 is taken by another program",
        data=_UNTOUCHED,
        next="stop that program, or set POSTGRES_PORT in .env to a free port",
    ),
    ErrorKind(
        code="schema-missing",
        exit=ExitCode.REFUSED,
        message="database {database} has no restored table {table} in schema {schema}",
        data=_RUNNING,
        next="restore the table first with `stratum restore --table {table}`",
    ),
    ErrorKind(
        code="not-enough-roles",
        exit=ExitCode.REFUSED,
        message="role {role} cannot do this: {problem}",
        data=_RUNNING,
        next="grant what is missing as a superuser; docs/reference/errors.md lists the rights each verb needs",
    ),
)

_FAILED = (
    ErrorKind(
        code="interrupted",
        exit=ExitCode.FAILED,
        message="{verb} was interrupted by {signal}",
        data="as before; whatever was prepared beside was taken away again",
        next="run it again when you are ready",
    ),
    ErrorKind(
        code="tool-failed",
        exit=ExitCode.FAILED,
        message="{tool} failed with exit code {exit_code}: {stderr}",
        data="the tool's output was not used; nothing that existed was replaced",
        next="the message above is {tool}'s own; `stratum logs` shows the server's side",
    ),
    ErrorKind(
        code="tool-missing",
        exit=ExitCode.FAILED,
        message="{tool} is not on this machine",
        data=_UNTOUCHED,
        next="install it, or install Stratum with its own PostgreSQL: pip install 'stratum[embedded]'",
    ),
    ErrorKind(
        code="tool-timeout",
        exit=ExitCode.FAILED,
        message="{tool} did not end within {seconds} s and was ended",
        data="the tool's output was not used; nothing that existed was replaced",
        next="see `stratum logs`; a server that waits for a lock or a disk shows it there",
    ),
    ErrorKind(
        code="no-postgresql",
        exit=ExitCode.FAILED,
        message="no usable PostgreSQL was found: {looked}",
        data=_UNTOUCHED,
        next="pip install 'stratum[embedded]', or install PostgreSQL 14 or newer from your distribution",
    ),
    ErrorKind(
        code="cannot-run-as-root",
        exit=ExitCode.FAILED,
        message="PostgreSQL refuses to run as root, and there is no unprivileged user to run it as: {looked}",
        data=_UNTOUCHED,
        next="create a system user called stratum (useradd --system stratum), or run Stratum as an ordinary user",
    ),
    ErrorKind(
        code="server-start-failed",
        exit=ExitCode.FAILED,
        message="PostgreSQL did not start: {log}",
        data="the data directory was not changed by Stratum",
        next="`stratum logs` shows the whole log; if the data directory is damaged, `stratum restore` keeps it aside and "
        "brings the data back from the archive",
    ),
    ErrorKind(
        code="unreachable-server",
        exit=ExitCode.FAILED,
        message="the server at {where} cannot be reached: {problem}",
        data="unknown; nothing was sent to it",
        next="see `stratum status` and `stratum logs`; `stratum up` starts it",
    ),
    ErrorKind(
        code="wrong-password",
        exit=ExitCode.FAILED,
        message="the server at {where} refused the password of role {role}",
        data=_RUNNING,
        next="the password in .env and the server's differ: set .env back, or change the role's with ALTER ROLE",
    ),
    ErrorKind(
        code="query-failed",
        exit=ExitCode.FAILED,
        message="the database refused a statement: {problem}",
        data="the statement was rolled back",
        next="`stratum logs` shows the server's side",
    ),
    ErrorKind(
        code="server-newer-than-tools",
        exit=ExitCode.FAILED,
        message="the server is PostgreSQL {server_major} and the tools are {tools_major}: they cannot read it",
        data=_RUNNING,
        next="install the tools of PostgreSQL {server_major}",
    ),
    ErrorKind(
        code="archive-missing",
        exit=ExitCode.FAILED,
        message="the archive directory {path} does not exist",
        data="the running database was not touched; no backup can be made or read until the archive is back",
        next="mount or create it, or set [archive] path in stratum.toml; it is never created in silence once it held backups",
    ),
    ErrorKind(
        code="archive-not-writable",
        exit=ExitCode.FAILED,
        message="the archive {path} cannot be written: {problem}",
        data="the running database was not touched; backups that exist can still be read",
        next="check the owner, the mount options and the free space of {path}",
    ),
    ErrorKind(
        code="archive-full",
        exit=ExitCode.FAILED,
        message="the archive's disk at {path} is full",
        data="the running database was not touched; the unfinished backup was removed, older backups are whole",
        next="free space there or run `stratum prune`, then take the backup again",
    ),
    ErrorKind(
        code="archive-too-new",
        exit=ExitCode.FAILED,
        message="{file} has format {found}, and this Stratum reads up to {known}",
        data="untouched; the file was not changed",
        next="use the newer Stratum that wrote it, or restore by hand as RESTORE.md in the archive says",
    ),
    ErrorKind(
        code="archive-unreadable",
        exit=ExitCode.FAILED,
        message="{file} in the archive cannot be read: {problem}",
        data="the running database was not touched; other backups are not affected",
        next="`stratum verify --all` says which backups are whole",
    ),
    ErrorKind(
        code="wrong-archive",
        exit=ExitCode.REFUSED,
        message="the archive {path} belongs to stack {owner}, not to {stack}",
        data=_UNTOUCHED,
        next="set [archive] path to this stack's own archive, or name the stack {owner} to recover it",
    ),
    ErrorKind(
        code="backup-not-whole",
        exit=ExitCode.FAILED,
        message="the dump is not whole: {problem}",
        data="the running database was not touched; the dump was thrown away, older backups are whole",
        next="see `stratum logs`, then take the backup again",
    ),
    ErrorKind(
        code="rows-collapsed",
        exit=ExitCode.AT_RISK,
        message="the dump holds {rows} rows, and the backup before it held {rows_before}: a drop of {percent} %",
        data="the running database was not touched; this dump was not called a backup, older backups are kept",
        next="look for what deleted the rows; if it was meant, run `stratum backup --accept-fewer-rows`",
    ),
    ErrorKind(
        code="restore-not-proven",
        exit=ExitCode.AT_RISK,
        message="what came back from backup {backup} is not what was put in: {findings}",
        data="as before; the database built beside was taken away again",
        next="use the newest older proven backup: `stratum restore {older}`",
    ),
    ErrorKind(
        code="swap-blocked",
        exit=ExitCode.FAILED,
        message="sessions on {database} did not end within {seconds} s: {sessions}",
        data="as before; the database built beside was taken away again, and connections are accepted again",
        next="stop the application or the pooler that reconnects, then restore again",
    ),
    ErrorKind(
        code="command-failed",
        exit=ExitCode.FAILED,
        message="the stack's {command} command failed with exit code {exit_code}: {stderr}",
        data="whatever the command committed before it failed is committed; Stratum changed nothing",
        next="mend the command and run `stratum {command}` again; `stratum restore` brings the last backup back",
    ),
    ErrorKind(
        code="plan-stranded",
        exit=ExitCode.AT_RISK,
        message="step {step} of {verb} failed ({error}), and so did its way back ({undo_error})",
        data="nothing was deleted; what each step had made is still there, and the journal names it",
        next="mend the cause, then run `stratum status`: it finishes or undoes the plan",
    ),
    ErrorKind(
        code="unexpected",
        exit=ExitCode.FAILED,
        message="a fault in Stratum itself: {problem}",
        data="the plan's steps were taken back where they had begun; `stratum status` says how things stand",
        next="report it with the lines above",
    ),
)

_LOCKED = (
    ErrorKind(
        code="locked",
        exit=ExitCode.LOCKED,
        message="another plan is running: {why}, by {who}, since {since}",
        data="untouched by this command",
        next="wait for it to end; `stratum status` shows it",
    ),
)

KINDS: dict[str, ErrorKind] = {kind.code: kind for kind in (*_USAGE, *_REFUSED, *_LOCKED, *_FAILED)}


class StratumError(Exception):
    """One kind of error with the values its sentences need.

    The text is English; `adapters.messages` renders the same error in the reader's language. Details never
    hold a secret.
    """

    def __init__(self, code: str, /, **details: object) -> None:
        self.kind = KINDS[code]
        self.details = {name: str(value) for name, value in details.items()}
        super().__init__(self.message)

    @property
    def code(self) -> str:
        return self.kind.code

    @property
    def exit(self) -> ExitCode:
        return self.kind.exit

    @property
    def message(self) -> str:
        return self.kind.message.format_map(self.details)

    @property
    def data(self) -> str:
        return self.kind.data.format_map(self.details)

    @property
    def next(self) -> str:
        return self.kind.next.format_map(self.details)

    def record(self) -> dict[str, str]:
        """The error as the journal and `--json` carry it, without its details."""
        return {"code": self.code, "message": self.message, "data": self.data, "next": self.next}
