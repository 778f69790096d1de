"""The commands of a rescue kit: from a copy of the archive to a running server, with `age`, `zstd` and PostgreSQL."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from stratum.adapters.restore_base_by_hand import render_base_by_hand
from stratum.core.base_backup import BaseManifest
from stratum.core.copies import CopyPolicy

_FETCH = """1. BRING THE ARCHIVE HERE

Needed: a machine with `sha256sum`, `tar`, `zstd`{age} and PostgreSQL {major} (its bin directory in PATH),
and room for the archive and for the cluster. Work as an ordinary account; PostgreSQL does not run as root. HERE is an
empty directory with a short path without spaces. Take one of these, the first that can be reached:

"""
_STACK = """
2. BRING THE STACK'S OWN FILES BACK

Settings, passwords and certificates. KEY is the file with the private key.

```sh
set -eu
mkdir -m 700 "$HERE/stack"
newest=$(ls "$HERE"/archive/stack/*.tar.age | tail -n 1)
age --decrypt --identity "$KEY" "$newest" | tar -xpf - -C "$HERE/stack"
```
"""
_UNSEALED = """
2. THE STACK'S OWN FILES

The archive is not sealed, so settings and passwords are not in it. What is in `.env` has to be found elsewhere, or be
made anew: roles come back with the passwords they had.
"""
_BASE = """
3. BRING THE DATABASE BACK, TO ANY SECOND

Set TO and, to stop earlier than at the last received write, TIME, as described below; then, in `$HERE/archive/base`:

{base}
"""
_AGAIN = """
4. WITH STRATUM INSTEAD

On a machine with Stratum {version} one command does 1 and 2, another one 3, and a third starts the console, where
everybody signs in as before:

    stratum init --from {place}{key} DIRECTORY
    stratum restore --cluster{key} --stack DIRECTORY
    stratum up --stack DIRECTORY
"""


def render_commands(
    *, archive: str, copies: Sequence[CopyPolicy], bases: Sequence[BaseManifest], sealed: bool, version: str
) -> str:
    """What to type, in order; shell commands stand between lines of three backticks."""
    newest = max(bases, key=lambda base: base.finished_at, default=None)
    head = _FETCH.format(age=", `age`" if sealed else "", major=newest.cluster.major if newest else "of the same major")
    places = [_fetch(copy) for copy in copies] or [_local(archive)]
    places += [f"or, while that machine's disk can still be read:\n\n{_local(archive)}"] if copies else []
    base = render_base_by_hand(bases)
    key = " --identity FILE" if sealed else ""
    place = copies[0].url if copies else archive
    return "".join(
        (
            head,
            "\n".join(places),
            _STACK if sealed else _UNSEALED,
            _BASE.format(base=base),
            _AGAIN.format(version=version, key=key, place=place.removeprefix("file://")),
        )
    )


def _fetch(copy: CopyPolicy) -> str:
    parts = urlsplit(copy.url)
    if parts.scheme == "file":
        return f"{copy.name}, a directory that survives {copy.failure_domain}:\n\n{_local(unquote(parts.path))}"
    endpoint = f" --endpoint-url {shlex.quote(copy.endpoint)}" if copy.endpoint else ""
    command = f'aws s3 sync {shlex.quote(copy.url)} "$HERE/archive" --region {shlex.quote(copy.region)}{endpoint}'
    return (
        f"{copy.name}, a bucket that survives {copy.failure_domain}; `aws configure` asks for the key and its secret\n"
        f"first (any other program that reads S3 will do as well):\n\n```sh\n{command}\n```\n"
    )


def _local(path: str) -> str:
    return f'```sh\ncp -R {shlex.quote(path)} "$HERE/archive"\n```\n'
