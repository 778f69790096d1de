"""Lays down a Compose stack: which image, where its data lies, its archive, and a certificate for a first try."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from stratum.adapters.archive import DirectoryArchive
from stratum.adapters.certificate import CERTIFICATE_PATHS
from stratum.adapters.compose_files import lay_down_compose_files, stage_package
from stratum.adapters.data_volume import look_at_image
from stratum.adapters.docker import Docker
from stratum.adapters.env_file import replace_variable
from stratum.adapters.self_signed import write_self_signed
from stratum.adapters.stack_files import lay_down_compose
from stratum.compose_wiring import DEFAULT_IMAGE, container_account
from stratum.config import ENV_FILE, find_stack, load_settings, read_environment
from stratum.core.errors import StratumError
from stratum.core.image_names import parse_major, refuse_unusable_name
from stratum.core.volume_rules import refuse_unusable_image, wanted_mount


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabasePlace:
    """What runs the database, and where its data lies."""

    image: str | None = None
    """None: the one of a .env that is there already, or the default."""
    directory: Path | None = None
    """A host directory that holds the volume's files; None for Docker's own."""


def init_compose_stack(
    directory: Path,
    *,
    name: str,
    archive: str,
    console: bool = True,
    self_signed: bool = False,
    database: DatabasePlace = DatabasePlace(),
) -> tuple[Path, ...]:
    """Lay down a Compose stack, its archive, and the package its images are built from.

    An archive of the same stack that exists is taken up as it is, and so is a .env that was copied from .env.example.
    Raises `stack-exists`, `image-unusable`, `image-missing`, `archive-needs-root`, `directory-needs-root` and the
    archive's errors; nothing is laid down then.
    """
    place, path = directory.absolute(), directory.absolute() / Path(archive).expanduser()
    uid, gid = (os.getuid(), os.getgid()) if os.geteuid() else (CONTAINER_ACCOUNT, CONTAINER_ACCOUNT)
    store = DirectoryArchive(path, stack=name, data_directory=lambda: path, declared_domain=None)
    if (path / "archive.json").exists():
        store.lineage()
    chosen = _image_variables(database.image, place)
    make_archive_directory(path)
    variables = {
        "STACK_NAME": name,
        "STRATUM_UID": str(uid),
        "STRATUM_GID": str(gid),
        **chosen,
        "POSTGRES_VOLUME": f"{name}_pg_data",
        **({} if database.directory is None else _directory_variables(place / database.directory.expanduser())),
        "BACKUP_DIR": str(path),
        **_SETTINGS,
    }
    if self_signed:
        variables |= _write_self_signed(place, owner=(uid, gid))
    written = lay_down_compose(place, name=name, variables=variables, console=console)
    for variable, value in chosen.items() if database.image else ():
        replace_variable(place / ENV_FILE, variable, value)
    written += lay_down_compose_files(place)
    stage_package(place)
    store.initialise(name)
    give_archive(path, owner=(uid, gid))
    return written


_SETTINGS = {
    "POSTGRES_USER": "stratum",
    "POSTGRES_DB": "stratum_db",
    "BACKEND_PORT": "4001",
    "FRONTEND_PORT": "3000",
    "NEXT_PUBLIC_API_URL": "http://localhost:4001/api/v1",
    "JWT_ACCESS_TTL": "15m",
    "JWT_REFRESH_TTL_MS": "90d",
    "AUTORUN_MIGRATIONS": "true",
    "SEED_ON_START": "false",
}


def _image_variables(named: str | None, place: Path) -> dict[str, str]:
    """The image and its mount. Raises `image-unusable` and `image-missing`."""
    env = place / ENV_FILE
    image = named or (read_environment(env).get("POSTGRES_IMAGE") if env.exists() else None) or DEFAULT_IMAGE
    return {"POSTGRES_IMAGE": image, "POSTGRES_MOUNT": _mount_of(image, place)}


def _mount_of(image: str, place: Path) -> str:
    """Where this image wants its volume. The image is asked where its name does not tell its major.

    Raises `image-unusable`, also where there is no Docker to ask, and `image-missing`.
    """
    refuse_unusable_name(image)
    major = parse_major(image)
    if major is not None:
        return wanted_mount(major)
    try:
        found = look_at_image(Docker(directory=_nearest(place)), image)
    except StratumError as error:
        if error.code not in {"docker-missing", "docker-unreachable"}:
            raise
        problem = f"its name does not tell the major of PostgreSQL, and it cannot be asked: {error.message}"
        raise StratumError("image-unusable", image=image, problem=problem) from None
    mount = wanted_mount(found.major or 0)
    refuse_unusable_image(found, mount=mount)
    return mount


def _nearest(place: Path) -> Path:
    """A directory that exists: the stack's own may not be there yet."""
    return next(path for path in (place, *place.parents) if path.is_dir())


def _directory_variables(path: Path) -> dict[str, str]:
    """Where each volume gets a directory of its own. Raises `directory-needs-root` where only root may."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except PermissionError:
        raise StratumError("directory-needs-root", path=path) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise StratumError("directory-needs-root", path=path)
    return {"POSTGRES_DIRECTORY": str(path)}


def make_archive_directory(path: Path) -> None:
    """Make it before anything else is written. Raises `archive-needs-root` where only root may."""
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except PermissionError:
        raise StratumError("archive-needs-root", path=path) from None
    if not os.access(path, os.W_OK):
        raise StratumError("archive-needs-root", path=path)


def refuse_missing_certificate(directory: Path, *, self_signed: bool) -> None:
    """See that nginx will find its certificate and key; with `self_signed` make a pair where none is.

    Raises `certificate-missing`.
    """
    settings = load_settings(find_stack(directory.absolute()))
    named = {name: settings.environment.get(name) or default for name, default in CERTIFICATE_PATHS.items()}
    missing = [path for path in named.values() if not (settings.directory / path).is_file()]
    if missing and not self_signed:
        raise StratumError("certificate-missing", files=", ".join(missing))
    if missing:
        for name, path in _write_self_signed(settings.directory, owner=container_account(settings)).items():
            replace_variable(settings.directory / ".env", name, path)


def _write_self_signed(directory: Path, *, owner: tuple[int, int]) -> dict[str, str]:
    """A pair for a first try of TLS, and the variables that name it; one that is there stays."""
    certificate, key = directory / "certificates" / "stratum.crt", directory / "certificates" / "stratum.key"
    if not certificate.exists():
        names = (socket.gethostname(), "localhost", "127.0.0.1", "::1")
        write_self_signed(certificate, key, names=names, owner=owner if os.geteuid() == 0 else None)
    return dict(CERTIFICATE_PATHS)


CONTAINER_ACCOUNT = 10001
"""Of the containers of a stack that root lays down: nobody's on the host."""


def give_archive(path: Path, *, owner: tuple[int, int]) -> None:
    """Everything of the archive to the account the containers run as; only root can, and only root has to."""
    if os.geteuid() != 0:
        return
    for folder, _, names in os.walk(path):
        os.chown(folder, *owner)
        for name in names:
            os.chown(Path(folder, name), *owner, follow_symlinks=False)
