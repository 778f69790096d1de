"""Errors of base backups, WAL and recovery to a moment."""

from __future__ import annotations

from stratum.core.error_kinds import RUNNING, UNTOUCHED, ErrorKind, ExitCode

RECOVERY = (
    ErrorKind(
        code="wal-damaged",
        exit=ExitCode.AT_RISK,
        message="the WAL file {file} is not what it has to be: {problem}",
        data="the running database is as it was; moments that need this file cannot be reached until it is whole again",
        next="run `stratum verify --all`, then `stratum backup --kind base`, from which every second is reachable "
        "again",
    ),
    ErrorKind(
        code="replication-not-permitted",
        exit=ExitCode.REFUSED,
        message="the server lets {role} receive neither base backups nor WAL: {problem}",
        data=RUNNING,
        next="add `host replication {role} samenet scram-sha-256` to pg_hba.conf, see that the role has REPLICATION, "
        "and reload the server (`SELECT pg_reload_conf()`); a restart is not needed",
    ),
    ErrorKind(
        code="replication-needs-restart",
        exit=ExitCode.REFUSED,
        message="the server cannot be copied while it runs: {setting} is {found}, and has to be {wanted}",
        data=RUNNING,
        next="set it with `ALTER SYSTEM SET {setting} = '{wanted}'` and restart the server when that suits you",
    ),
    ErrorKind(
        code="wal-slot-in-use",
        exit=ExitCode.REFUSED,
        message="somebody else receives WAL through the slot {slot}: {problem}",
        data="untouched; nothing is received for this archive until the slot is free",
        next="see that one agent alone runs for this cluster; after a cut of the network the server frees the slot "
        "within a minute",
    ),
    ErrorKind(
        code="wal-keep-unlimited",
        exit=ExitCode.REFUSED,
        message="the server would keep WAL for a receiver that is away without limit, and the role may not set one: "
        "{problem}",
        data="untouched; no WAL is received, for a receiver that dies must never fill the server's disk",
        next="run there as a superuser: ALTER SYSTEM SET max_slot_wal_keep_size = '{megabytes}MB'; then "
        "SELECT pg_reload_conf(); no restart is needed",
    ),
    ErrorKind(
        code="zero-loss-not-permitted",
        exit=ExitCode.AT_RISK,
        message="the role {role} may not set what commits wait for: {problem}",
        data="untouched; commits are acknowledged as before",
        next="run there as a superuser, from 15 on: GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names TO "
        "{role}; GRANT EXECUTE ON FUNCTION pg_reload_conf() TO {role}; GRANT pg_monitor TO {role}; before 15 only a "
        "superuser can set it: docs/how-to/lose-nothing.md",
    ),
    ErrorKind(
        code="restore-point-not-permitted",
        exit=ExitCode.REFUSED,
        message="the role {role} may not name a moment: {problem}",
        data=RUNNING,
        next="run there as a superuser: GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO {role}",
    ),
    ErrorKind(
        code="mode-not-written",
        exit=ExitCode.REFUSED,
        message="{file} cannot be changed by a machine without losing something in it: {problem}",
        data="untouched; nothing was written",
        next='write it yourself: mode = "{mode}" below [protect] in {file}; then run `stratum up`',
    ),
    ErrorKind(
        code="target-out-of-reach",
        exit=ExitCode.REFUSED,
        message="cannot go back to {target}: {why}",
        data="untouched; the running database was not stopped",
        next="the nearest moments that can be reached: {nearest}",
    ),
    ErrorKind(
        code="recovery-failed",
        exit=ExitCode.FAILED,
        message="the moment could not be recovered: {problem}",
        data=UNTOUCHED,
        next="try an earlier moment, or another base backup; `stratum backups list` shows what there is",
    ),
)
