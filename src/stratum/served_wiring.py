"""Chooses the adapters for a server that Stratum does not run: a Compose service, or one of the user's own."""

from __future__ import annotations

from stratum.adapters.cluster_roles import BACKUP_ROLE, CONSOLE_ROLE, MAINTENANCE_ROLE, REPLICATION_ROLE
from stratum.adapters.database_url import DatabaseUrl, ServerAddress, parse_database_url
from stratum.adapters.roles_script import RolesOrder, render_roles_script
from stratum.adapters.served_postgresql import ApplicationSettings, ServedPostgresql, ServedSettings
from stratum.config import Settings
from stratum.core.errors import StratumError
from stratum.core.stack import Secret
from stratum.ports import Role

SUPERUSER = "postgres"
_PORT = 5432
OF_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
_DOCKERS_NETWORKS = "172.16.0.0/12"
GATEWAY = "host.docker.internal"
"""What containers call the machine they run on."""


def served_postgresql(settings: Settings) -> ServedPostgresql:
    """A server reached over the network. Raises `missing-secret` and `invalid-setting`."""
    return ServedPostgresql(_own_server(settings) if settings.is_external else _compose_service(settings))


def own_server_url(settings: Settings) -> DatabaseUrl:
    """The address of a server of the user's own. Raises `missing-secret` and `invalid-setting`.

    A container that is told `localhost` looks for the server in itself.
    """
    file, setting = settings.directory / "stratum.toml", "[database] url"
    found = parse_database_url(settings.database_url, file=file, setting=setting)
    if settings.is_compose and found.address.host in OF_THIS_MACHINE:
        problem = f"{found.address.host} is each container itself: write {GATEWAY} for this machine"
        raise StratumError("invalid-setting", file=file, setting=setting, problem=problem)
    return found


def render_roles(settings: Settings) -> str:
    """The script that gives a server Stratum's roles. Raises `missing-secret`.

    A server of the user's own gets stratum_maintenance as well; elsewhere Stratum works as the superuser.
    """
    names = {BACKUP_ROLE: "BACKUP_PASSWORD", REPLICATION_ROLE: "REPLICATION_PASSWORD"}
    if settings.is_external and maintenance_user(settings) == MAINTENANCE_ROLE:
        names[MAINTENANCE_ROLE] = "MAINTENANCE_PASSWORD"
    if settings.console.enabled:
        names[CONSOLE_ROLE] = "CONSOLE_PASSWORD"
    owner, password = _owner(settings)
    passwords = {role: settings.secret(name) for role, name in names.items()} | {owner: password}
    order = RolesOrder(
        owner=owner,
        databases=_application_databases(settings),
        passwords=passwords,
        replication_line=replication_line(settings),
        from_afar=_comes_from_afar(settings),
    )
    return render_roles_script(order)


def replication_line(settings: Settings) -> str:
    """What pg_hba.conf of this stack's server has to hold, or nobody copies it or reads its WAL.

    `all` in place of a database does not match replication.
    (https://www.postgresql.org/docs/current/auth-pg-hba-conf.html)
    """
    return f"host replication {REPLICATION_ROLE} {_where_from(settings)} scram-sha-256"


def _where_from(settings: Settings) -> str:
    if not settings.is_external:
        return "samenet" if settings.is_compose else "127.0.0.1/32"
    host = own_server_url(settings).address.host
    if host in OF_THIS_MACHINE:
        return "127.0.0.1/32"
    return _DOCKERS_NETWORKS if host == GATEWAY else "ADDRESS-OF-THE-MACHINE-STRATUM-RUNS-ON/32"


def _comes_from_afar(settings: Settings) -> bool:
    """Whether Stratum reaches the server over a network, where a line for the loopback does not let it in."""
    return settings.is_compose or (
        settings.is_external and own_server_url(settings).address.host not in OF_THIS_MACHINE
    )


def _owner(settings: Settings) -> tuple[str, Secret]:
    """Who owns the application's database."""
    if settings.is_external:
        found = own_server_url(settings)
        return found.user, found.password
    return settings.value("POSTGRES_USER"), settings.secret("POSTGRES_PASSWORD")


def maintenance_user(settings: Settings) -> str:
    """Who restores on a server of the user's own: Stratum's role, or one that MAINTENANCE_USER of .env names."""
    return settings.environment.get("MAINTENANCE_USER") or MAINTENANCE_ROLE


def _application_databases(settings: Settings) -> tuple[str, ...]:
    """The guarded databases without the console's, which `up` makes."""
    return tuple(name for name in settings.as_stack().databases if name != settings.as_stack().console_database)


def _own_server(settings: Settings) -> ServedSettings:
    found, maintenance = own_server_url(settings), maintenance_user(settings)
    passwords = {BACKUP_ROLE: settings.secret("BACKUP_PASSWORD"), found.user: found.password}
    if maintenance not in passwords:
        passwords[maintenance] = settings.secret("MAINTENANCE_PASSWORD")
    command = ApplicationSettings(
        directory=settings.directory, url=Secret(settings.database_url), password=found.password
    )
    return ServedSettings(
        address=found.address,
        directory=settings.database_directory,
        users=_users(maintenance=maintenance, owner=found.user),
        passwords=passwords | _replication_password(settings),
        console=console_of(settings),
        external=True,
        starting="it is a server of your own: start it there",
        application=None if settings.is_compose else command,
    )


def _compose_service(settings: Settings) -> ServedSettings:
    owner, superuser = settings.value("POSTGRES_USER"), settings.environment.get("POSTGRES_SUPERUSER") or SUPERUSER
    return ServedSettings(
        address=ServerAddress(host=settings.database.service, port=_PORT),
        directory=settings.database_directory,
        users=_users(maintenance=superuser, owner=owner),
        passwords={
            BACKUP_ROLE: settings.secret("BACKUP_PASSWORD"),
            owner: settings.secret("POSTGRES_PASSWORD"),
            superuser: settings.secret("POSTGRES_SUPERUSER_PASSWORD"),
        }
        | _replication_password(settings),
        console=console_of(settings),
        image=settings.environment.get("POSTGRES_IMAGE"),
        starting="`stratum up` on the host starts it",
    )


def _users(*, maintenance: str, owner: str) -> dict[Role, str]:
    return {
        Role.MAINTENANCE: maintenance,
        Role.OWNER: owner,
        Role.BACKUP: BACKUP_ROLE,
        Role.REPLICATION: REPLICATION_ROLE,
    }


def _replication_password(settings: Settings) -> dict[str, Secret]:
    """None where .env has none: dumps are taken without it, and what cannot be done says so when it is asked for."""
    value = settings.environment.get("REPLICATION_PASSWORD", "")
    return {REPLICATION_ROLE: Secret(value)} if value else {}


def console_of(settings: Settings) -> tuple[str, Secret] | None:
    """The console's database and its role's password; None where there is no console."""
    return (settings.console.database, settings.secret("CONSOLE_PASSWORD")) if settings.console.enabled else None
