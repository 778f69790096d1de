"""Errors of sealed files, of copies that stand elsewhere, and of coming back from one."""

from __future__ import annotations

from stratum.core.error_kinds import UNTOUCHED, ErrorKind, ExitCode

SEALING = (
    ErrorKind(
        code="sealed-no-key",
        exit=ExitCode.COULD_NOT_VERIFY,
        message="{what} is sealed, and no key to open it is here",
        data="untouched; the sealed file is as it was, and its SHA-256 can be compared without the key",
        next="name the key's file with `--identity FILE` or as AGE_IDENTITY_FILE in .env; backups go on without it",
    ),
    ErrorKind(
        code="sealed-wrong-key",
        exit=ExitCode.COULD_NOT_VERIFY,
        message="{what} is sealed for other keys than the one that is here",
        data="untouched; the sealed file is as it was",
        next="find the key of one of the recipients its manifest names, and name its file with `--identity FILE`",
    ),
    ErrorKind(
        code="sealed-damaged",
        exit=ExitCode.AT_RISK,
        message="the sealed file {what} is damaged: {problem}",
        data="untouched; what this file holds cannot be read from here",
        next="run `stratum copies --now`: a damaged file is fetched again from a copy that has it whole",
    ),
    ErrorKind(
        code="file-damaged",
        exit=ExitCode.AT_RISK,
        message="the archive's {file} is damaged: {problem}",
        data="the running database is as it was; what this file holds cannot be restored from here",
        next="run `stratum copies --now`: a damaged file is fetched again from a copy that has it whole; without one, "
        "take a new backup",
    ),
    ErrorKind(
        code="identity-unreadable",
        exit=ExitCode.USAGE,
        message="the key {file} cannot be used: {problem}",
        data=UNTOUCHED,
        next="name a file as `age-keygen` writes it, which only you may read: AGE-SECRET-KEY-1… on a line of its own",
    ),
    ErrorKind(
        code="sealing-failed",
        exit=ExitCode.FAILED,
        message="a file could not be sealed: {problem}",
        data="what was to be sealed was thrown away; the running database was only read",
        next="run it again; the recipients are in [archive] recipients of stratum.toml",
    ),
    ErrorKind(
        code="copy-away",
        exit=ExitCode.FAILED,
        message="the copy {copy} cannot be reached: {problem}",
        data="the archive here is whole; what the copy lacks is sent when it can be reached again",
        next="see that its address and its keys are right, and that it can be reached; then run `stratum copies --now`",
    ),
    ErrorKind(
        code="copy-not-whole",
        exit=ExitCode.AT_RISK,
        message="the copy {copy} holds something else than was sent: {problem}",
        data="the archive here is whole; nothing in the copy was overwritten",
        next="look at that file in the copy; what stands there under its name is not this archive's",
    ),
    ErrorKind(
        code="copy-unknown",
        exit=ExitCode.USAGE,
        message="there is no copy {copy}: {known}",
        data=UNTOUCHED,
        next="use one of these names, or add it below [[archive.copies]] in stratum.toml",
    ),
    ErrorKind(
        code="copy-empty",
        exit=ExitCode.REFUSED,
        message="there is no archive of a stack at {place}: {problem}",
        data=UNTOUCHED,
        next="name the directory or the address that holds archive.json",
    ),
    ErrorKind(
        code="no-stack-files",
        exit=ExitCode.REFUSED,
        message="the archive at {place} holds no files of the stack itself",
        data="untouched; its backups are there, and can be restored",
        next="make a stack of the same name with `stratum init --name {stack} --archive PLACE`, then "
        "`stratum restore`; the stack's own files are kept from when [archive] recipients is set",
    ),
)
