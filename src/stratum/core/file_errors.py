"""Errors of file sets: the directories that a backup takes along beside the databases."""

from __future__ import annotations

from stratum.core.error_kinds import UNTOUCHED, ErrorKind, ExitCode

FILES = (
    ErrorKind(
        code="unknown-files",
        exit=ExitCode.USAGE,
        message="there is no file set {name} in stratum.toml; it names: {known}",
        data=UNTOUCHED,
        next="name one of them, or add it as a table [[files]]",
    ),
    ErrorKind(
        code="files-not-in-backup",
        exit=ExitCode.REFUSED,
        message="backup {backup} holds no file set {name}; it holds: {known}",
        data=UNTOUCHED,
        next="name a backup that was taken since the set is in stratum.toml; `stratum backups list` shows them",
    ),
    ErrorKind(
        code="files-away",
        exit=ExitCode.REFUSED,
        message="the file set {name} is not to be seen from here: there is no directory {path}",
        data="untouched; no backup was taken, because it would lack these files",
        next="mount or make the directory (with Compose: a line in `volumes` of the service `backup`, then "
        "`stratum up`), or take the set out of stratum.toml",
    ),
    ErrorKind(
        code="files-unreadable",
        exit=ExitCode.FAILED,
        message="not all of the file set {name} can be read: {problem}",
        data="untouched; the unfinished backup was thrown away, and those before it are as they were",
        next="let the account that backs up read it (with Compose: the group of the files under `group_add` of the "
        "service `backup`), then take the backup again",
    ),
    ErrorKind(
        code="files-collapsed",
        exit=ExitCode.AT_RISK,
        message="the file set {name} holds {entries} entries, {bytes} bytes; the backup before it held "
        "{entries_before} entries, {bytes_before} bytes",
        data="the files were not touched; this backup was thrown away, and those before it are kept",
        next="see whether its disk or volume is mounted, and bring lost files back with `stratum restore --files "
        "{name}`; if it was meant, run `stratum backup --accept-fewer-rows`",
    ),
    ErrorKind(
        code="files-cut",
        exit=ExitCode.REFUSED,
        message="a restore of the file set {name} was cut short: what lies there is neither what was nor what came",
        data="nothing is lost: both lie in its directory; no backup was taken, because it would hold half of them",
        next="run `stratum restore --files {name}`: it finishes that restore or takes it back, and asks before it "
        "replaces anything",
    ),
    ErrorKind(
        code="files-damaged",
        exit=ExitCode.FAILED,
        message="{file} does not hold the files it should: {problem}",
        data="the files in place were not touched",
        next="`stratum verify` says what is wrong with that backup; name an older one, see `stratum backups list`",
    ),
    ErrorKind(
        code="files-not-writable",
        exit=ExitCode.FAILED,
        message="the files of {name} cannot be put in place: {problem}",
        data="what was in place is in place; what came from the backup was taken away again",
        next="mend what the reason says (rights, or room on that disk), then run the command again",
    ),
)
