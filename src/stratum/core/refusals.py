"""Errors that say no before anything is touched: a misunderstanding, a guard, another plan's lock."""

from __future__ import annotations

from stratum.core.error_kinds import RUNNING, UNTOUCHED, ErrorKind, ExitCode

USAGE = (
    ErrorKind(
        code="no-stack-here",
        exit=ExitCode.USAGE,
        message="there is no stack in {directory}: stratum.toml is missing",
        data=UNTOUCHED,
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
        code="file-exists",
        exit=ExitCode.USAGE,
        message="{file} exists already",
        data="untouched; no existing file was overwritten",
        next="use it as it is, or move it away first",
    ),
    ErrorKind(
        code="malformed-settings",
        exit=ExitCode.USAGE,
        message="{file} cannot be read: {problem}",
        data=UNTOUCHED,
        next="mend the file; `stratum init` in an empty directory shows a complete one",
    ),
    ErrorKind(
        code="unknown-setting",
        exit=ExitCode.USAGE,
        message="{file} has a setting Stratum does not know: {setting}",
        data=UNTOUCHED,
        next="remove it or correct its spelling{hint}; docs/reference/settings.md lists them all",
    ),
    ErrorKind(
        code="invalid-setting",
        exit=ExitCode.USAGE,
        message="{file}: {setting} cannot be used: {problem}",
        data=UNTOUCHED,
        next="correct the value; docs/reference/settings.md says what it may be",
    ),
    ErrorKind(
        code="missing-secret",
        exit=ExitCode.USAGE,
        message="{file} does not set {name}",
        data=UNTOUCHED,
        next="add {name} to {file}; `stratum init` generates one in a new stack",
    ),
    ErrorKind(
        code="nobody-to-tell",
        exit=ExitCode.USAGE,
        message="[notify] urls names no address",
        data=UNTOUCHED,
        next="put an address into [notify] urls of stratum.toml; docs/how-to/be-told.md shows some",
    ),
    ErrorKind(
        code="invalid-argument",
        exit=ExitCode.USAGE,
        message="{argument}: {problem}",
        data=UNTOUCHED,
        next="run the command with --help to see what it takes",
    ),
    ErrorKind(
        code="unknown-backup",
        exit=ExitCode.USAGE,
        message="the archive holds no backup called {backup}",
        data=UNTOUCHED,
        next="`stratum backups list` shows those there are",
    ),
    ErrorKind(
        code="unknown-database",
        exit=ExitCode.USAGE,
        message="backup {backup} does not hold a database called {database}",
        data=UNTOUCHED,
        next="`stratum backups show {backup}` lists its databases",
    ),
    ErrorKind(
        code="unknown-table",
        exit=ExitCode.USAGE,
        message="backup {backup} does not hold a table called {table}",
        data=RUNNING,
        next="`stratum backups show {backup}` lists its tables; write schema.table when the schema is not public",
    ),
    ErrorKind(
        code="no-command",
        exit=ExitCode.USAGE,
        message="[commands] {command} is not set in stratum.toml",
        data=UNTOUCHED,
        next='add it, for example {command} = ["alembic", "upgrade", "head"]',
    ),
)

REFUSED = (
    ErrorKind(
        code="agent-runs-already",
        exit=ExitCode.REFUSED,
        message="the agent of {stack} runs already, in the background",
        data=UNTOUCHED,
        next="`stratum ps` shows it and `stratum logs agent` what it says; `stratum stop` ends it",
    ),
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
        data="the recorded data is not in this cluster; the archive holds {backups} backup(s), the newest "
        "from {newest}",
        next="look for the real data directory, or bring the data back with `stratum restore`; to begin anew, run "
        "`stratum identity accept`",
    ),
    ErrorKind(
        code="cluster-foreign",
        exit=ExitCode.REFUSED,
        message="another cluster ({observed}), with data of its own, stands where cluster {recorded} was",
        data="neither cluster was touched; the archive holds {backups} backup(s) of the recorded one, the "
        "newest from {newest}",
        next="put the right data directory back; if this cluster is the right one, run `stratum identity accept`",
    ),
    ErrorKind(
        code="cluster-older",
        exit=ExitCode.REFUSED,
        message="this is an older copy of cluster {recorded}: its WAL position went back from "
        "{recorded_lsn} to {observed_lsn}",
        data="whatever was written after the copy was made is not in it; the archive holds {backups} backup(s), "
        "the newest from {newest}",
        next="put the newer data directory back, or bring the data back with `stratum restore`; to go on with this "
        "copy, run `stratum identity accept`",
    ),
    ErrorKind(
        code="cluster-recreated",
        exit=ExitCode.REFUSED,
        message="in cluster {recorded} these databases are missing, were created anew, or lost every row: {databases}",
        data="the recorded rows are not in the running database; the archive holds {backups} backup(s), the "
        "newest from {newest}",
        next="bring the data back with `stratum restore`; if this is what you did on purpose, run `stratum "
        "identity accept`",
    ),
    ErrorKind(
        code="declined",
        exit=ExitCode.REFUSED,
        message="nobody said yes to {verb}",
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
        data=RUNNING,
        next="the backups reach from {oldest} to {newest}; see `stratum backups list`",
    ),
    ErrorKind(
        code="no-backup-yet",
        exit=ExitCode.REFUSED,
        message="the archive holds no backup yet",
        data=UNTOUCHED,
        next="take one with `stratum backup`; if there were backups, see that [archive] path names the right directory",
    ),
    ErrorKind(
        code="backup-damaged",
        exit=ExitCode.REFUSED,
        message="backup {backup} is damaged: {findings}",
        data=RUNNING,
        next="use the newest older proven backup: `stratum restore {older}`",
    ),
    ErrorKind(
        code="wrong-cluster",
        exit=ExitCode.REFUSED,
        message="backup {backup} was taken from cluster {backup_cluster}, which is not one of this stack's: {lineage}",
        data=RUNNING,
        next="restore it into a database of its own with --into NAME, or use this stack's own archive",
    ),
    ErrorKind(
        code="wrong-version",
        exit=ExitCode.REFUSED,
        message="backup {backup} is from PostgreSQL {backup_major}, newer than the running {server_major}",
        data=RUNNING,
        next="restore it on PostgreSQL {backup_major} or newer; a dump never goes back to an older major",
    ),
    ErrorKind(
        code="disk-too-small",
        exit=ExitCode.REFUSED,
        message="{what} needs about {needed}, and {free} are free at {where}",
        data=RUNNING,
        next="free {missing} there, or move {what} to a larger disk",
    ),
    ErrorKind(
        code="swap-obstacle",
        exit=ExitCode.REFUSED,
        message="database {database} cannot be swapped now: {obstacles}",
        data=RUNNING,
        next="end them (COMMIT PREPARED or ROLLBACK PREPARED, DROP SUBSCRIPTION, drop the logical slot), "
        "then restore again",
    ),
    ErrorKind(
        code="name-taken",
        exit=ExitCode.REFUSED,
        message="a database called {database} exists already",
        data=RUNNING,
        next="choose another name for --into",
    ),
    ErrorKind(
        code="nothing-to-undo",
        exit=ExitCode.REFUSED,
        message="there is no restore to undo: {reason}",
        data=RUNNING,
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
        data=RUNNING,
        next="set the clock (for example `timedatectl set-ntp true`), then run the command again",
    ),
    ErrorKind(
        code="no-proven-backup",
        exit=ExitCode.REFUSED,
        message="{verb} wants a backup proven in the last day, and {state}",
        data=RUNNING,
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
        data=UNTOUCHED,
        next="stop that program, or set POSTGRES_PORT in .env to a free port",
    ),
    ErrorKind(
        code="schema-missing",
        exit=ExitCode.REFUSED,
        message="database {database} has no restored table {table} in schema {schema}",
        data=RUNNING,
        next="restore the table first with `stratum restore --table {table}`",
    ),
    ErrorKind(
        code="not-enough-roles",
        exit=ExitCode.REFUSED,
        message="role {role} cannot do this: {problem}",
        data=RUNNING,
        next="grant what is missing as a superuser; docs/reference/errors.md lists the rights each verb needs",
    ),
    ErrorKind(
        code="wrong-archive",
        exit=ExitCode.REFUSED,
        message="the archive {path} belongs to stack {owner}, not to {stack}",
        data=UNTOUCHED,
        next="set [archive] path to this stack's own archive, or name the stack {owner} to recover it",
    ),
)

LOCKED = (
    ErrorKind(
        code="locked",
        exit=ExitCode.LOCKED,
        message="another plan is running: {why}, by {who}, since {since}",
        data="untouched by this command",
        next="wait for it to end, or answer its question in the console; `stratum status` shows it",
    ),
)
