"""Takes a stack up again from its archive, or from a copy of it, on a machine that has nothing of it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tomlkit

from stratum.adapters import durable
from stratum.adapters.archive_tree import recorded_sha256
from stratum.adapters.env_file import replace_variable
from stratum.adapters.places import Place, fetch_into, open_place
from stratum.adapters.postgresql_installation import default_directory
from stratum.adapters.seal import Seal
from stratum.adapters.stack_tar import FOLDER, lay_down_kept, newest_kept
from stratum.adapters.wal_segments import sha256_of
from stratum.compose_init import give_archive, make_archive_directory
from stratum.compose_wiring import container_account
from stratum.config import ENV_FILE, FILE, Settings, load_settings
from stratum.core.copies import CopyPolicy
from stratum.core.errors import StratumError
from stratum.core.sizes import render_bytes

OnFetched = Callable[[int, int], None]
"""Told the bytes that are here, and all there are."""
_SOURCE = "to begin from"
_SPARE = 64 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """What was laid down."""

    stack: str
    runtime: str
    archive: Path
    written: tuple[Path, ...]
    fetched: int
    """How many files of the archive were brought here; none where it is used where it lies."""


def init_from(
    directory: Path, source: str, *, identity: Path | None, archive: str | None, on_fetched: OnFetched | None = None
) -> Begun:
    """Lay a stack down from the files its archive keeps, and bring that archive here.

    `source` is a directory or `s3://bucket/prefix`; for the latter AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for
    a store that is not Amazon's, AWS_ENDPOINT_URL are taken from the environment. Every file with a recorded checksum
    is compared. Run again, it goes on where it was cut. Raises `copy-empty`, `no-stack-files`, `stack-exists`, the
    seal's errors, `disk-too-small` and `copy-not-whole`; no cluster is made.
    """
    place, sizes = _look(source)
    stack = _stack_of(place, source)
    newest = newest_kept(name.removeprefix(f"{FOLDER}/") for name in sizes)
    if newest is None:
        raise StratumError("no-stack-files", place=source, stack=stack)
    directory = directory.absolute()
    written: tuple[Path, ...] = ()
    if not _was_begun(directory, source):
        with tempfile.TemporaryDirectory() as room:
            sealed = Path(room) / newest
            with sealed.open("wb") as out:
                fetch_into(place, f"{FOLDER}/{newest}", out)
            written = lay_down_kept(sealed, directory, seal=Seal(identity_file=identity))
        _suit_this_machine(directory, archive)
        durable.write_file(directory / _BEGUN, source + "\n")
    settings = load_settings(directory)
    fetched = _fetch(place, sizes, source, settings, on_fetched)
    if settings.is_compose:
        _prepare_compose(settings, identity)
    (directory / _BEGUN).unlink()
    return Begun(
        stack=stack, runtime=settings.stack.runtime, archive=settings.archive_path, written=written, fetched=fetched
    )


_BEGUN = ".stratum-begun-from"


def _was_begun(directory: Path, source: str) -> bool:
    file = directory / _BEGUN
    return file.is_file() and file.read_text(encoding="utf-8").strip() == source


def _look(source: str) -> tuple[Place, dict[str, int]]:
    url = source if source.startswith("s3://") else Path(source).expanduser().absolute().as_uri()
    policy = CopyPolicy(
        name=_SOURCE,
        url=url,
        endpoint=os.environ.get("AWS_ENDPOINT_URL", ""),
        region=os.environ.get("AWS_REGION", "us-east-1"),
        access_key="$AWS_ACCESS_KEY_ID",
        secret_key="$AWS_SECRET_ACCESS_KEY",  # noqa: S106 - the name of a variable
    )
    place = open_place(policy, os.environ)
    return place, {path: size for path, size in place.sizes().items() if _is_of_archive(path)}


def _is_of_archive(path: str) -> bool:
    """What says how the other machine stood is not brought here."""
    parts = path.split("/")
    return parts[0] not in {"copies", "watch", "lock", "status.json", "status.html", "damaged"} and not any(
        part.endswith((".partial", ".removing")) for part in parts[:-1]
    )


def _stack_of(place: Place, source: str) -> str:
    pieces = place.pieces("archive.json")
    if pieces is None:
        raise StratumError("copy-empty", place=source, problem="archive.json is not there")
    try:
        return str(json.loads(b"".join(pieces))["stack"])
    except (ValueError, KeyError, TypeError):
        raise StratumError("copy-empty", place=source, problem="its archive.json cannot be read") from None


def _suit_this_machine(directory: Path, archive: str | None) -> None:
    """Where data and archive lie is this machine's own; everything else stays as it was."""
    file = directory / FILE
    document = tomlkit.parse(file.read_text(encoding="utf-8"))
    settings = load_settings(directory)
    if archive is not None and settings.is_compose:
        replace_variable(directory / ENV_FILE, "BACKUP_DIR", str((directory / Path(archive).expanduser()).absolute()))
    elif archive is not None:
        document["archive"]["path"] = archive
    if not settings.is_compose and not settings.is_external:
        home = default_directory(directory, settings.stack.name, os.urandom(3).hex())
        document["database"]["directory"] = ".stratum" if home.parent == directory else str(home)
    durable.write_file(file, tomlkit.dumps(document), mode=0o644)


def _fetch(place: Place, sizes: dict[str, int], source: str, settings: Settings, on_fetched: OnFetched | None) -> int:
    """Bring every file here that is not; checksum files first, so that each file can be compared as it comes."""
    archive = settings.archive_path
    if not source.startswith("s3://") and archive.exists() and Path(source).expanduser().samefile(archive):
        return 0
    make_archive_directory(archive)
    here, done, count = shutil.disk_usage(archive).free, 0, 0
    total = sum(sizes.values())
    if total + _SPARE > here + sum((archive / path).stat().st_size for path in sizes if (archive / path).is_file()):
        raise StratumError("disk-too-small", what="the archive", needed=render_bytes(total), free=render_bytes(here),
                           where=archive, missing=render_bytes(max(0, total + _SPARE - here)))  # fmt: skip
    for path in sorted(sizes, key=lambda path: (not path.endswith("/SHA256SUMS"), path)):
        target = archive / path
        recorded = recorded_sha256(archive, path)
        is_here = target.is_file() and recorded is not None and sha256_of(target) == recorded
        if not is_here:
            _bring(place, path, target, source, recorded)
            count += 1
        done += sizes[path]
        if on_fetched is not None:
            on_fetched(done, total)
    return count


def _bring(place: Place, path: str, target: Path, source: str, recorded: str | None) -> None:
    with durable.archive_errors(target.parent):
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.fetched")
        with aside.open("wb") as out:
            os.fchmod(out.fileno(), 0o640)
            found = fetch_into(place, path, out)
            out.flush()
            os.fsync(out.fileno())
        if found is None or (recorded is not None and found[1] != recorded):
            aside.unlink()
            problem = f"{path} is not what its checksum says" if found else f"{path} is gone"
            raise StratumError("copy-not-whole", copy=source, problem=problem)
        aside.replace(target)
        durable.sync_directory(target.parent)


def _prepare_compose(settings: Settings, identity: Path | None) -> None:
    """What images are built from, and who owns the archive; containers are told the key by .env."""
    from stratum.adapters.compose_files import lay_down_compose_files, stage_package

    lay_down_compose_files(settings.directory)
    stage_package(settings.directory)
    give_archive(settings.archive_path, owner=container_account(settings))
    if identity is not None and not settings.environment.get("AGE_IDENTITY"):
        lines = identity.expanduser().read_text(encoding="utf-8").splitlines()
        key = next((line.strip() for line in lines if line.startswith("AGE-SECRET-KEY-")), "")
        if key:
            replace_variable(settings.directory / ENV_FILE, "AGE_IDENTITY", key)
