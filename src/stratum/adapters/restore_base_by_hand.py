"""`base/RESTORE.md`: how to go back to any second of this very archive with `tar`, `zstd` and stock PostgreSQL."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from stratum.core.base_backup import BaseManifest

NAME = "RESTORE.md"
_HEAD = """# Going back to any second by hand

Everything here can be restored without Stratum: a base backup is a copy of the whole cluster, and the WAL beside it
repeats what was written since, up to the second you name. You need `sha256sum`, `tar`, `zstd` and PostgreSQL of the
major named below, the same one and no other, with its `bin` directory in PATH. Work as an ordinary account that may
read this directory: PostgreSQL refuses to run as root.

"""
_NONE = "There is no base backup in this archive yet.\n"
_SEALED = """Files that end in `.age` are sealed: you need `age` as well, and KEY has to name the file with the private
key.

"""
_BEFORE = """\
- TO: a directory that does not exist yet, by its full path, short and without spaces. It gets as large as the cluster.
- TIME: the moment, such as `2026-03-01 14:05:00+01`; empty goes as far as WAL was received. A moment after the last
  commit is refused by PostgreSQL: leave TIME empty for it.
- BASE: which base backup, one that was whole before TIME. The newest is the default.

This directory is only read. Run these from the directory this file is in:

"""
_AFTER = """
The server that runs then is the whole cluster as of that moment. It can be reached through the socket in TO and in no
other way. Look at it, then stop it (`pg_ctl -D "$TO/data" stop`) and let `TO/data` take the place of the lost data
directory: its settings, roles and passwords are the old ones. Where commits used to wait for the receiver of WAL, run
`ALTER SYSTEM RESET synchronous_standby_names` first.

If the server does not come up, the end of `TO/log` says why. A damaged WAL file ends recovery and is named there: take
a TIME before it.

Base backups here:

"""
_SCRIPT = """set -eu
BASE=${BASE:-@BASE@} WAL=$PWD/@WAL@ KEY=${KEY:-}
export WAL KEY
plain() { case $1 in *.age) age --decrypt --identity "$KEY" "$1" | zstd -dc ;; *) zstd -dc "$1" ;; esac; }
(cd "$BASE" && sha256sum --check --quiet SHA256SUMS)
mkdir -m 700 "$TO" "$TO/data"
for tar in "$BASE"/base.tar.zst*; do plain "$tar" | tar -xf - -C "$TO/data"; done
for tar in "$BASE"/[0-9]*.tar.zst*; do
  [ -e "$tar" ] || continue
  oid=${tar##*/} && oid=${oid%%.*}
  mkdir -m 700 "$TO/$oid"
  plain "$tar" | tar -xf - -C "$TO/$oid"
  ln -s "$TO/$oid" "$TO/data/pg_tblspc/$oid"
done
for listing in "$BASE"/backup_manifest*; do
  case $listing in *.age) age --decrypt --identity "$KEY" "$listing" ;; *) cat "$listing" ;; esac >"$TO/backup_manifest"
done
pg_verifybackup --quiet --no-parse-wal --manifest-path="$TO/backup_manifest" "$TO/data"
rm -f "$TO/data/tablespace_map"
cat >"$TO/fetch" <<'END'
# Finds one WAL file. Exit 1 says that it was never received; 200 that it is damaged, which ends recovery.
name=$1 to=$2 folder=$WAL/$(printf %.8s "$1")
case $name in *.history) [ -f "$WAL/$name" ] || exit 1; exec cp "$WAL/$name" "$to" ;; esac
stored() {
  [ -f "$1" ] || return 0
  (cd "$folder" && grep -F "  ${1##*/}" SHA256SUMS | tail -n 1 | sha256sum --check --quiet) || exit 200
  case $1 in *.age) age --decrypt --identity "$KEY" "$1" | zstd -dc ;; *) zstd -dc "$1" ;; esac >"$to" || exit 200
  [ "$(wc -c <"$to")" -eq @SEGMENT@ ] || exit 200
  exit 0
}
stored "$folder/$name.zst"
stored "$folder/$name.zst.age"
for found in "$WAL"/receiving-*/"$name.partial" "$WAL"/receiving-*/"$name"; do
  # One that is shorter than its segment was never filled: nothing was received into it.
  [ ! -f "$found" ] || [ "$(wc -c <"$found")" -ne @SEGMENT@ ] || last=$found
done
[ -z "${last:-}" ] || exec cp "$last" "$to"
stored "$folder/$name.partial.zst"
stored "$folder/$name.partial.zst.age"
exit 1
END
touch "$TO/data/recovery.signal" "$TO/data/postgresql.conf"
echo 'local all all trust' >"$TO/hba"
pg_ctl --pgdata="$TO/data" --log="$TO/log" --no-wait --options="-k '$TO' -p 5432 -c listen_addresses='' \\
  -c hba_file='$TO/hba' -c restore_command='sh \\"$TO/fetch\\" %f %p' -c recovery_target_time='${TIME:-}' \\
  -c recovery_target_action=promote -c hot_standby=off -c archive_mode=off -c synchronous_standby_names='' \\
  -c ssl=off -c logging_collector=off" start
sleep 1
until pg_isready --quiet --host="$TO" --port=5432; do
  pg_ctl --pgdata="$TO/data" status >"$TO/standing" || { tail -n 20 "$TO/log" >&2; exit 1; }
  sleep 1
done
psql --host="$TO" --port=5432 --username=@ROLE@ --dbname=postgres --command='SELECT current_timestamp'
"""
"""The server is quarantined on its command line: the cluster's own settings stay as they were."""


def render_base_by_hand(bases: Sequence[BaseManifest], *, alone: bool = False) -> str:
    """The instructions, with the newest base backup as the default; `alone` beside the files of just one."""
    if not bases:
        return _HEAD + _NONE
    newest = max(bases, key=lambda base: base.finished_at)
    sealed = _SEALED if any(base.recipients for base in bases) else ""
    listed = sorted(bases, key=lambda base: base.finished_at, reverse=True)
    said = (f"The newest base backup is `{newest.id}`, of PostgreSQL {newest.cluster.major}. Set these variables "
            "first:\n\n")  # fmt: skip
    return f"{_HEAD}{sealed}{said}{_BEFORE}```sh\n{_script(newest, alone=alone)}```\n{_AFTER}" + "".join(
        f"- {_line(base)}\n" for base in listed
    )


def _script(base: BaseManifest, *, alone: bool) -> str:
    wal = f"wal/{base.cluster.system_identifier}"
    values = {
        "@BASE@": "." if alone else shlex.quote(base.id),
        "@WAL@": wal if alone else f"../{wal}",
        "@SEGMENT@": str(base.segment_bytes),
        "@ROLE@": shlex.quote(base.bootstrap_role),
    }
    script = _SCRIPT
    for mark, value in values.items():
        script = script.replace(mark, value)
    return script


def _line(base: BaseManifest) -> str:
    since = f"{base.finished_at:%Y-%m-%d %H:%M:%S %Z}"
    where = f"its WAL is in `wal/{base.cluster.system_identifier}`"
    return f"`{base.id}`: any second from {since} on; PostgreSQL {base.cluster.major}, {where}"
