"""What is at risk in a database that Stratum is pointed at: decided from what was seen, without touching it."""

from __future__ import annotations

from dataclasses import dataclass, field

from stratum.core.volume_rules import OLDEST_MAJOR, wanted_mount

_CHECKSUMS_BY_DEFAULT = 18
_SUITES = ("bullseye", "bookworm", "trixie", "alpine")
_RISKY = ("fsync", "full_page_writes", "synchronous_commit")


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskKind:
    """One risk as `str.format` templates, so that it exists once for every language."""

    name: str
    statement: str
    fix: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Risk:
    """One that was found."""

    name: str
    details: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> RiskKind:
        return RISKS[self.name]


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeLook:
    """A Compose project with a PostgreSQL in it, as its files say; nothing was started to find out."""

    project: str
    service: str
    image: str
    user: str
    password: str = field(repr=False)
    database: str
    others: tuple[str, ...] = ()
    """Databases of the server beside that one, and beside `postgres`."""
    mount: str
    """Where the data's volume is mounted; empty when none is."""
    volume: str = ""
    """The volume's real name; empty for a directory of the host, or for one without a name."""
    volume_key: str = ""
    """What the files call it."""
    volume_external: bool = False
    volume_exists: bool = False
    nameless: bool = False
    """Whether Docker made the volume up: the files name none."""
    directory: str = ""
    """A directory of the host that holds the data in place of a volume."""
    data_directory: str = ""
    """Where the server has its data, where that is said; empty for the image's own place."""
    settings: dict[str, str] = field(default_factory=dict)
    """Settings the server is told, or says that it has."""
    trusts: bool = False
    """Whether connections from elsewhere need no password."""
    networks: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    """Addresses beyond this machine where the database's port is published."""
    literal_secrets: tuple[str, ...] = ()
    """Variables whose secret stands in a Compose file itself."""
    default_secrets: tuple[str, ...] = ()
    """Variables that hold an example's value, an empty or a very short one."""
    application_users: tuple[str, ...] = ()
    """Services that connect as the superuser."""
    checksums: bool = False
    files: tuple[str, ...] = ()

    @property
    def major(self) -> int | None:
        """From the image's tag; None when that does not begin with a number."""
        head = self.image.rpartition(":")[2].split("-")[0].split(".")[0]
        return int(head) if ":" in self.image and head.isdigit() else None

    @property
    def names_suite(self) -> bool:
        """Whether the tag says which Debian, and so which C library sorts text."""
        return any(f"-{suite}" in self.image for suite in _SUITES) or "@sha256:" in self.image

    @property
    def strays(self) -> bool:
        """Whether the server keeps its data elsewhere than at the top of what is mounted."""
        major = self.major or 0
        usual = f"{wanted_mount(major)}/{major}/docker" if major >= _CHECKSUMS_BY_DEFAULT else wanted_mount(major)
        return self.data_directory.rstrip("/") not in {"", usual}

    @property
    def lossy_settings(self) -> tuple[str, ...]:
        """Settings under which a crash takes what was acknowledged, or the whole cluster."""
        return tuple(f"{name} = {value}" for name, value in sorted(self.settings.items())
                     if name in _RISKY and value.lower() in {"off", "false", "no", "0", "minimal"})  # fmt: skip

    @property
    def is_alpine(self) -> bool:
        return "alpine" in self.image.rpartition(":")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerLook:
    """A server of the user's own, as its application's role sees it."""

    where: str
    user: str
    problem: str = ""
    """Why it could not be looked at; empty when it could."""
    major: int = 0
    superuser: bool = False
    checksums: bool = True
    replication: bool = False
    """Whether stratum_replication is there and may replicate."""
    protected_tables: tuple[str, ...] = ()
    """Tables with row-level security."""
    extensions: tuple[str, ...] = ()
    """Those that only a superuser can make again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerRights:
    """What Stratum's roles may do on a server."""

    missing: tuple[str, ...]
    """Rights that the verbs need and the roles lack, in words."""
    may_replicate: bool
    """Whether the replication role may copy the data directory and read WAL."""


_KINDS = (
    RiskKind(
        name="no-backup",
        statement="Stratum knows of no backup of this database: what is lost is gone",
        fix="take one and prove it: `stratum backup`, `stratum drill`",
    ),
    RiskKind(
        name="volume-deletable",
        statement="`docker compose down -v` deletes the volume {volume}, and all data with it",
        fix="`stratum up` lets a container outside the project hold it; a held volume cannot be deleted",
    ),
    RiskKind(
        name="volume-nameless",
        statement="the data is in a volume without a name: `docker compose down` loses sight of it, and `down -v`, "
        "`rm -v` or a prune delete it with all data",
        fix="`stratum up` holds it; `stratum adopt --move` copies the data into a volume with a name",
    ),
    RiskKind(
        name="mount-mismatch",
        statement="the volume is mounted at {mount}, and {image} keeps its data below {wanted}: it is in another one, "
        "without a name",
        fix="take a dump of it now, mount the volume at {wanted}, and restore the dump",
    ),
    RiskKind(
        name="host-directory",
        statement="the data is in the directory {directory}: whoever may write there can damage it while it is in use",
        fix="see that it belongs to the server's account alone, and is in no folder that is synchronised or cleaned up",
    ),
    RiskKind(
        name="data-in-subdirectory",
        statement="{service} keeps its data in {directory}, and not at the top of what is mounted there",
        fix="move it by a dump into a volume of its own, without PGDATA: docs/how-to/adopt-an-existing-stack.md",
    ),
    RiskKind(
        name="archive-same-disk",
        statement="backups in {archive} would be on the same disk as the data: one broken disk takes both",
        fix="name a directory on another disk: `stratum adopt --archive DIRECTORY`, or keep a second copy elsewhere",
    ),
    RiskKind(
        name="lossy-settings",
        statement="the server is told {settings}: a crash or a power cut may lose acknowledged rows or the whole "
        "cluster",
        fix="take these out of the server's settings and restart it, and take a backup before",
    ),
    RiskKind(
        name="trust-authentication",
        statement="the server lets other machines in without a password: whoever reaches its port reads and deletes "
        "everything",
        fix="set a password, and put scram-sha-256 in place of trust in pg_hba.conf and POSTGRES_HOST_AUTH_METHOD",
    ),
    RiskKind(
        name="suite-floats",
        statement="{image} names no Debian release: a later pull may bring another C library, which sorts text "
        "otherwise and makes indexes over text wrong",
        fix="name the release as well, as in postgres:{major}-bookworm, the one that `{service}` runs now",
    ),
    RiskKind(
        name="alpine-image",
        statement="{image} is built on Alpine, whose C library sorts text in its own way: on a Debian image the "
        "indexes of this data would be wrong, and Alpine's own sorting may change with its release",
        fix="move it by a dump into a volume of postgres:{major}-bookworm: docs/how-to/move-to-another-image.md",
    ),
    RiskKind(
        name="image-floats",
        statement="{image} names no major version: the next pull may bring one that cannot open this data",
        fix="name the major that wrote it, such as postgres:16-bookworm",
    ),
    RiskKind(
        name="too-old",
        statement="PostgreSQL {major} is older than the oldest that is supported ({oldest})",
        fix="move to a newer major by a dump and a restore",
    ),
    RiskKind(
        name="secrets-in-file",
        statement="passwords stand in {files} in plain text, for everyone who reads them and for git: {names}",
        fix="move them to .env, which git ignores, and write ${{NAME}} in their place",
    ),
    RiskKind(
        name="weak-secrets",
        statement="these hold an example's value, an empty or a very short one: {names}",
        fix="replace each by a long random one, and set the same in the server with ALTER ROLE",
    ),
    RiskKind(
        name="published-port",
        statement="the database's port is published beyond this machine: {ports}",
        fix="publish it as 127.0.0.1:5432:5432, or not at all: services reach it on the project's network",
    ),
    RiskKind(
        name="superuser-application",
        statement="the application connects as {user}, a superuser: one flaw in it reads and deletes everything",
        fix="give the application a role of its own that owns its database and is no superuser",
    ),
    RiskKind(
        name="no-checksums",
        statement="the cluster was made without data checksums: a disk's silent errors would enter every backup",
        fix="stop it and run `pg_checksums --enable`, or restore a backup into a new cluster",
    ),
    RiskKind(
        name="no-replication",
        statement="no role of Stratum may replicate: there is no restore to any moment, only to a backup",
        fix="run the script of `stratum adopt --print-roles` as somebody who may give REPLICATION",
    ),
    RiskKind(
        name="row-security",
        statement="tables with row-level security: {tables}; without BYPASSRLS for stratum_backup a backup is refused",
        fix="run the script of `stratum adopt --print-roles` as a superuser",
    ),
    RiskKind(
        name="superuser-extensions",
        statement="only a superuser can make these extensions again, so a restore on this server needs one: {names}",
        fix="name such a role in MAINTENANCE_USER of .env for the restore, or do without them",
    ),
    RiskKind(
        name="not-looked-at",
        statement="the server at {where} could not be looked at as {user}: {problem}",
        fix="see that it runs, that it lets this machine in, and that DATABASE_URL is right; then adopt again",
    ),
)

RISKS: dict[str, RiskKind] = {kind.name: kind for kind in _KINDS}


def project_risks(look: ComposeLook) -> tuple[Risk, ...]:
    """What is at risk in a Compose project today, the worst first."""
    found = [Risk(name="no-backup"), *_storage_risks(look), *_image_risks(look)]
    if look.trusts:
        found.append(Risk(name="trust-authentication"))
    if look.lossy_settings:
        found.append(Risk(name="lossy-settings", details={"settings": ", ".join(look.lossy_settings)}))
    if look.published:
        found.append(Risk(name="published-port", details={"ports": ", ".join(look.published)}))
    if look.literal_secrets:
        details = {"files": ", ".join(look.files), "names": ", ".join(look.literal_secrets)}
        found.append(Risk(name="secrets-in-file", details=details))
    if look.default_secrets:
        found.append(Risk(name="weak-secrets", details={"names": ", ".join(look.default_secrets)}))
    if look.application_users:
        found.append(Risk(name="superuser-application", details={"user": look.user}))
    if not look.checksums and (look.major or 0) < _CHECKSUMS_BY_DEFAULT:
        found.append(Risk(name="no-checksums"))
    return tuple(found)


def find_obstacle(look: ComposeLook, services: tuple[str, ...]) -> str:
    """Why Stratum's services cannot be added to the project as it is; empty where they can.

    Whatever it is, `stratum adopt --url` with the database's address takes care of it as of a server of one's own.
    """
    wanted = wanted_mount(look.major or 0)
    taken = [name for name in ("guard", "backup") if name in services]
    reasons = (
        (look.is_alpine, f"{look.image} has to be left first: docs/how-to/move-to-another-image.md"),
        (look.major is None, f"{look.image} names no major version, and the tools of a backup have to match it"),
        ((look.major or OLDEST_MAJOR) < OLDEST_MAJOR, f"{look.image} is too old"),
        (not look.password, f"POSTGRES_PASSWORD of {look.service} cannot be read from the files"),
        (look.strays, f"{look.service} keeps its data in {look.data_directory}, and not at the top of a volume"),
        (
            not look.volume and not look.directory,
            f"the volume of {look.service} has no name in the files, and no container tells it: start the project once",
        ),
        (bool(look.mount) and look.mount.rstrip("/") != wanted, f"the volume is mounted at {look.mount}"),
        (bool(look.volume) and not look.volume_exists, f"Docker shows no volume {look.volume}: start the project once"),
        (bool(taken), f"the project has a service {' and a service '.join(taken)} already"),
    )
    return next((reason for holds, reason in reasons if holds), "")


def _storage_risks(look: ComposeLook) -> list[Risk]:
    wanted = wanted_mount(look.major or 0)
    found = []
    if look.strays:
        details = {"service": look.service, "directory": look.data_directory}
        found.append(Risk(name="data-in-subdirectory", details=details))
    if look.directory:
        return [*found, Risk(name="host-directory", details={"directory": look.directory})]
    if not look.volume or look.nameless:
        return [*found, Risk(name="volume-nameless")]
    if look.mount.rstrip("/") != wanted:
        found.append(Risk(name="mount-mismatch", details={"mount": look.mount, "image": look.image, "wanted": wanted}))
    if not look.volume_external:
        found.append(Risk(name="volume-deletable", details={"volume": look.volume}))
    return found


def _image_risks(look: ComposeLook) -> list[Risk]:
    found = []
    if look.is_alpine:
        found.append(Risk(name="alpine-image", details={"image": look.image, "major": str(look.major or 16)}))
    if look.major is None:
        found.append(Risk(name="image-floats", details={"image": look.image}))
    elif look.major < OLDEST_MAJOR:
        found.append(Risk(name="too-old", details={"major": str(look.major), "oldest": str(OLDEST_MAJOR)}))
    elif not look.names_suite:
        details = {"image": look.image, "major": str(look.major), "service": look.service}
        found.append(Risk(name="suite-floats", details=details))
    return found


def server_risks(look: ServerLook) -> tuple[Risk, ...]:
    """What is at risk on a server of the user's own, the worst first."""
    found = [Risk(name="no-backup")]
    if look.problem:
        details = {"where": look.where, "user": look.user, "problem": look.problem}
        return (*found, Risk(name="not-looked-at", details=details))
    if look.major < OLDEST_MAJOR:
        found.append(Risk(name="too-old", details={"major": str(look.major), "oldest": str(OLDEST_MAJOR)}))
    if look.superuser:
        found.append(Risk(name="superuser-application", details={"user": look.user}))
    if not look.checksums:
        found.append(Risk(name="no-checksums"))
    if look.protected_tables:
        found.append(Risk(name="row-security", details={"tables": ", ".join(look.protected_tables)}))
    if look.extensions:
        found.append(Risk(name="superuser-extensions", details={"names": ", ".join(look.extensions)}))
    if not look.replication:
        found.append(Risk(name="no-replication"))
    return tuple(found)
