"""RESTORE.md: how to restore this very archive with nothing but stock PostgreSQL tools."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from stratum.core.backup import DumpedDatabase, Manifest

_HEAD = """# Restoring by hand

Everything here can be restored without Stratum. You need `sha256sum` and the PostgreSQL client tools
(`psql`, `createdb`, `pg_restore`) of the major named below or a newer one, and a running server you can
reach as a superuser (set PGHOST, PGPORT, PGUSER and PGPASSWORD for it).

"""

_BASES = """Where a directory `base` lies beside this file, `base/RESTORE.md` says how to go back to any second
instead of to a backup listed here.

"""

_UNZSTD = "zstd --decompress --stdout"
_UNTAR = "tar --extract --preserve-permissions --numeric-owner"
_NONE = "There is no backup in this archive yet.\n"


def render_restore_by_hand(manifests: Sequence[Manifest], *, folder: str) -> str:
    """The instructions, with the exact commands for the newest backup; `folder` holds the backups' directories."""
    head = _HEAD if folder == "." else _HEAD + _BASES
    if not manifests:
        return head + _NONE
    newest = max(manifests, key=lambda manifest: manifest.taken_at)
    where = folder if folder == "." else f"{folder}/{newest.id}"
    commands = [
        f"cd {shlex.quote(where)}",
        "sha256sum --check --quiet SHA256SUMS",
        *_opening(newest),
        *_role_commands(newest),
    ]
    for database in newest.databases:
        commands += _database_commands(database)
    others = "\n".join(f"- `{m.id}`: {m.taken_at:%Y-%m-%d %H:%M:%S %Z}, {m.rows} rows" for m in reversed(manifests))
    return (
        f"{head}The newest backup is `{newest.id}`, taken {newest.taken_at:%Y-%m-%d %H:%M:%S %Z} from PostgreSQL "
        f"{newest.cluster.major}. Run these from the directory this file is in:\n\n```sh\n"
        + "\n".join(commands)
        + f"\n```\n\n{_files(newest, where)}"
        "Roles come back without passwords: set each with `ALTER ROLE name PASSWORD '…'`. A role that "
        "exists already makes `psql` say so and go on; that is harmless.\n\n"
        f"The table counts to compare with are in `manifest.json`. All backups here:\n\n{others}\n"
    )


def _files(manifest: Manifest, where: str) -> str:
    """What else the backup took along. FILES is a directory the person chooses; a sealed backup was opened into TO."""
    if not manifest.file_sets:
        return ""
    folder = '"$TO"' if manifest.recipients else shlex.quote(where)
    commands = [
        line
        for found in manifest.file_sets
        for line in (
            f'mkdir -p "$FILES/{found.name}"',
            f'{_UNZSTD} {folder}/{shlex.quote(found.path)} | {_UNTAR} --directory "$FILES/{found.name}"',
        )
    ]
    return (
        "It holds files as well; `zstd` and `tar` unpack them, from the directory this file is in, below a directory "
        "of your choice, FILES:\n\n```sh\n" + "\n".join(commands) + "\n```\n\n"
    )


def _opening(manifest: Manifest) -> list[str]:
    """A sealed backup is opened into a directory of its own: TO, which does not exist yet. KEY names the key's file."""
    if not manifest.recipients:
        return []
    return [
        'mkdir -m 700 "$TO"',
        "find . -name '*.age' | while read -r sealed; do",
        '  mkdir -p "$TO/$(dirname "$sealed")"',
        '  age --decrypt --identity "$KEY" --output "$TO/${sealed%.age}" "$sealed"',
        "done",
        'cd "$TO"',
    ]


def _role_commands(manifest: Manifest) -> list[str]:
    has_roles = any(file.path in {"globals.sql", "globals.sql.age"} for file in manifest.files)
    return ["psql --no-psqlrc --quiet --dbname postgres --file globals.sql"] if has_roles else []


def _database_commands(database: DumpedDatabase) -> list[str]:
    properties = database.facts.properties
    locale = f" --locale-provider={properties.locale_provider}" if properties.locale_provider != "libc" else ""
    if properties.locale_provider == "icu" and properties.locale:
        locale += f" --icu-locale={shlex.quote(properties.locale)}"
    if properties.locale_provider == "builtin" and properties.locale:
        locale += f" --builtin-locale={shlex.quote(properties.locale)}"
    name, owner = shlex.quote(properties.name), shlex.quote(properties.owner)
    create = (
        f"createdb --template=template0 --encoding={shlex.quote(properties.encoding)}"
        f" --lc-collate={shlex.quote(properties.collate)} --lc-ctype={shlex.quote(properties.ctype)}{locale}"
        f" --owner={owner} -- {name}"
    )
    return [create, f"pg_restore --exit-on-error --jobs=2 --dbname={name} {shlex.quote(database.path)}"]
