"""The pages of docs/reference, written from the tables that the code itself goes by."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import Enum, StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from stratum.cli.attribute_docstrings import attribute_docstrings, one_line
from stratum.config import SECTIONS
from stratum.core.checklist import LINES, UNKNOWN, LineKind
from stratum.core.copies import CopyPolicy
from stratum.core.errors import EXIT_MEANING, KINDS, ErrorKind, ExitCode
from stratum.core.file_sets import FileSetPolicy

WRITTEN = "<!-- Written by `make docs` from the code; change it there. -->"

ENVIRONMENT = {
    "POSTGRES_USER": "the application's role, which owns its database",
    "POSTGRES_DB": "the application's database",
    "POSTGRES_PORT": "the port on 127.0.0.1; another free one is taken while it is in use",
    "POSTGRES_MAJOR": "without Docker: the major that a new cluster is made with; `stratum upgrade-postgres` writes it",
    "POSTGRES_PASSWORD": "the password of `POSTGRES_USER`",
    "POSTGRES_SUPERUSER_PASSWORD": "the password of the role `postgres`, which maintenance is done as",
    "BACKUP_PASSWORD": "the password of the role `stratum_backup`",
    "REPLICATION_PASSWORD": "the password of the role `stratum_replication`",
    "AGE_IDENTITY_FILE": "the file of the private key that opens a sealed archive; drills and restores need it, "
    "backups do not",
    "AGE_IDENTITY": "the same key itself, which containers of a Compose stack are told",
    "DATABASE_URL": "the address of a server of your own, where `[database] url` names it",
    "MAINTENANCE_PASSWORD": "the password of the role `stratum_maintenance`, on a server of your own",
    "MAINTENANCE_USER": "another role to restore as on a server of your own, in place of `stratum_maintenance`",
    "POSTGRES_SUPERUSER": "with Compose: the superuser's name, where it is not `postgres`",
    "CONSOLE_PASSWORD": "the password of the role `stratum_console`, which owns the console's database",
    "JWT_SECRET": "what the console signs its tokens with; the secrets between its programs are made from it",
    "JWT_SECRET_PREVIOUS": "the one before, while its tokens are still taken",
    "JWT_SECRET_PREVIOUS_UNTIL": "when that ends: `stratum rotate` writes it, and the next `up` takes both out",
    "JWT_ACCESS_TTL": "how long an access token is good for: `15m`",
    "JWT_REFRESH_TTL_MS": "how long a session is good for without a sign-in: `90d`, or a number of milliseconds",
    "AUTORUN_MIGRATIONS": "whether the backend migrates the console's database at its start: `true`",
    "SEED_ON_START": "whether it loads sample data into it, once: `false`",
    "FRONTEND_PORT": "the port of the console's pages, 3000; another free one is taken while it is in use",
    "BACKEND_PORT": "the port of the console's API, 4001; likewise",
    "AGENT_PORT": "the port of the agent, 4002; likewise",
    "NGINX_CERT_PATH": "the certificate of the nginx profile, a PEM file: its own first, then its authorities'",
    "NGINX_KEY_PATH": "its key, which `STRATUM_UID` can read and nobody else",
    "NGINX_HTTP_PORT": "where nginx takes plain HTTP and leads it to HTTPS: 80",
    "NGINX_HTTPS_PORT": "where nginx serves the console over TLS: 443",
    "NGINX_BIND_ADDRESS": "the address of this machine that both are published on; all of them when not set",
    "TRUSTED_PROXIES": "who is believed about where a visitor came from: services, addresses, networks; `nginx`",
}
"""What is read from .env, by name."""

_SETTINGS_OPENING = """# Settings

`stratum.toml` describes a stack; `stratum init` lays one down with every setting in it. A key that is not on this
page is refused, so that a misspelt one cannot be passed over. Durations are written `90s`, `15m`, `72h`, `14d` or
`2w`; a relative path is relative to the directory of `stratum.toml`."""

_ENVIRONMENT_OPENING = """
Passwords stand beside it, in `.env`, which only its owner may read (mode 0600) and which git ignores. The file is
read as Compose reads it, without interpolation: a `$` is a `$`.
""".strip()

_ERRORS_OPENING = """# Errors and exit codes

Every refusal and every failure has a stable code and says three things: what happened, what it means for the data,
and what to do next. On a terminal it reads

```
error[nothing-to-restore]: no usable backup reaches 2026-03-02 10:00:00 UTC
data:  untouched; the running database was not stopped or changed
next:  the backups reach from 2026-03-04 02:14:00 UTC to 2026-11-22 01:00:00 UTC; see `stratum backups list`
```

and with `--json` it is one object on stdout, as [error.json](../../schemas/error.json) defines it. The sentences
follow the reader's language (`LANG`; English and French); the codes and the exit codes do not. A word in braces
stands for a value."""

_CHECKLIST_OPENING = """# The checklist

`stratum check` goes through these lines and exits 0 only when every one holds. A red line whose risk you accept is
named in `[check] accept` of `stratum.toml`; it is then shown as accepted, and never as passed. A line that could not
be looked at says why, and does not pass either."""


def render_settings_page() -> str:
    """docs/reference/settings.md: each setting with what it takes, its default and its meaning."""
    blocks = [_SETTINGS_OPENING, WRITTEN]
    tables = {f"[{name}]": kind for name, kind in SECTIONS.items()}
    tables |= {"[[archive.copies]]": CopyPolicy, "[[files]]": FileSetPolicy}
    for name, kind in tables.items():
        rows = list(_setting_rows(kind))
        said = one_line(kind.__doc__).removesuffix(f" `{name}` of stratum.toml.")
        blocks += [f"## `{name}`", said, render_table(("key", "takes", "default", "meaning"), rows)]
    rows = [(f"`{name}`", meaning) for name, meaning in ENVIRONMENT.items()]
    blocks += ["## `.env`", _ENVIRONMENT_OPENING, render_table(("name", "meaning"), rows)]
    return render_page(blocks)


def render_errors_page(rights: list[str]) -> str:
    """docs/reference/errors.md: the exit codes, the rights each verb needs, and every error."""
    codes = [(str(code.value), EXIT_MEANING[code]) for code in ExitCode]
    blocks = [_ERRORS_OPENING, WRITTEN, "## Exit codes", render_table(("code", "meaning"), codes), *rights]
    for code in ExitCode:
        kinds = [kind for kind in KINDS.values() if kind.exit is code]
        if kinds:
            blocks.append(f"## Exit code {code.value}")
            blocks += [block for kind in kinds for block in _error_blocks(kind)]
    return render_page(blocks)


def render_checklist_page() -> str:
    """docs/reference/checklist.md: each line with what it says when it holds and when it does not."""
    blocks = [_CHECKLIST_OPENING, WRITTEN]
    for kind in LINES.values():
        blocks += _line_blocks(kind)
    blocks += ["## A line that could not be looked at", f"- **says:** {UNKNOWN}"]
    return render_page(blocks)


def _error_blocks(kind: ErrorKind) -> tuple[str, ...]:
    lines = (f"- **what happened:** {kind.message}", f"- **data:** {kind.data}", f"- **next:** {kind.next}")
    return (f"### `{kind.code}`", f"Exit code {kind.exit.value}.", "\n".join(lines))


def _line_blocks(kind: LineKind) -> tuple[str, ...]:
    lines = [f"- **holds:** {kind.holds}", f"- **red:** {kind.red}", f"- **fix:** {kind.fix}"]
    if kind.mendable:
        lines.append("- `stratum check --fix` mends it.")
    return (f"## `{kind.name}`", "\n".join(lines))


def _setting_rows(kind: type[Any]) -> Iterator[tuple[str, ...]]:
    hints, said = get_type_hints(kind), attribute_docstrings(kind)
    for field in dataclasses.fields(kind):
        made = field.default_factory
        known = field.default if made is dataclasses.MISSING else made()
        default = "has to be set" if known is dataclasses.MISSING else render_setting(known)
        yield f"`{field.name}`", _takes(hints[field.name]), default, said.get(field.name, "")


def _takes(hint: object) -> str:
    """A type in the words of someone who writes a settings file."""
    if get_origin(hint) in {UnionType, Union}:
        return " or ".join(_takes(part) for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is tuple:
        return f"list of {_takes(get_args(hint)[0])}s"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return "one of " + ", ".join(f"`{member.value}`" for member in hint)
    return _WORDS[hint]


_WORDS: dict[object, str] = {
    dict[str, str]: "table of texts",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    Path: "path",
    timedelta: "duration",
    CopyPolicy: "table",
}


def render_setting(value: object) -> str:
    """A default as it would stand in stratum.toml."""
    if value is None:
        return "not set"
    if isinstance(value, timedelta):
        hours, rest = divmod(value, timedelta(hours=1))
        return f'`"{rest.seconds}s"`' if rest else f'`"{hours}h"`'
    if isinstance(value, tuple):
        return f"`{json.dumps(list(value))}`"
    plain = value.value if isinstance(value, Enum) else value
    return f"`{json.dumps(str(plain) if isinstance(plain, Path) else plain)}`"


def render_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown; a `|` in a cell is escaped."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def render_page(blocks: list[str]) -> str:
    """The blocks of a page, with a blank line between two."""
    return "\n\n".join(blocks) + "\n"
