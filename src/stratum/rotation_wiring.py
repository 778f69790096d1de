"""Chooses how a stack's secrets are changed: in a server of its own, in containers, or on a server of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stratum.adapters.cluster_roles import BACKUP_ROLE, CONSOLE_ROLE, REPLICATION_ROLE
from stratum.adapters.compose_answers import parse_verb_answer
from stratum.adapters.database_url import ServerAddress
from stratum.adapters.embedded_postgresql import SUPERUSER, EmbeddedPostgresql
from stratum.adapters.env_file import read_text, replace_variables, write_text
from stratum.adapters.records import to_json
from stratum.adapters.role_passwords import (
    PasswordOrder,
    PasswordWork,
    RoleChange,
    check_logins,
    prove_logins,
    set_as_superuser,
    set_by_themselves,
)
from stratum.adapters.secret_rotation import HeldPassword, SecretRotation
from stratum.config import ENV_FILE, FILE, Settings, find_stack, load_settings, read_environment
from stratum.core.containers import BACKUP, POSTGRES
from stratum.core.lifetimes import PREVIOUS, PREVIOUS_UNTIL, previous_key, session_lifetime
from stratum.core.stack import Secret
from stratum.ports import Role, Runtime, Services
from stratum.rotation import Rotation, SecretName
from stratum.served_wiring import maintenance_user, own_server_url

if TYPE_CHECKING:
    from stratum.adapters.compose_project import ComposeProject

_PORT = 5432


@dataclass(frozen=True, kw_only=True, slots=True)
class _Roles:
    """How passwords are changed in a server, and how that is proven; each says whose."""

    change: Callable[[Sequence[RoleChange]], tuple[str, ...]]
    prove: Callable[[Sequence[RoleChange]], tuple[str, ...]]
    check: Callable[[Sequence[RoleChange]], tuple[str, ...]] = lambda _: ()
    """Whether they can be changed; a superuser can."""


def rotation_of(settings: Settings, runtime: Runtime, services: Callable[[Settings], Services]) -> Rotation | None:
    """None in a container. `services` are those of the settings as they are by then."""
    if settings.inside:
        return None
    if settings.is_compose:
        return _in_containers(settings)
    roles = _of_own_server(runtime) if isinstance(runtime, EmbeddedPostgresql) else _themselves(settings)
    return _rotation(settings, roles, lambda: services(load_settings(settings.directory)).start())


def forget_outlived_key(directory: Path) -> None:
    """Take a signing key that does not count any more out of .env; nothing where there is none."""
    settings = load_settings(find_stack(directory.absolute()))
    there = settings.environment.get(PREVIOUS)
    if settings.inside or not there or previous_key(settings.environment, datetime.now(UTC)):
        return
    file = settings.directory / ENV_FILE
    write_text(file, replace_variables(read_text(file), {PREVIOUS: None, PREVIOUS_UNTIL: None}))


def _rotation(
    settings: Settings,
    roles: _Roles,
    restart: Callable[[], None],
    rendered: Callable[[Path], Mapping[str, str]] = lambda _: {},
) -> SecretRotation:
    toml = settings.directory / FILE
    return SecretRotation(
        directory=settings.directory,
        read_environment=read_environment,
        passwords={name: held for name, held in _held(settings).items() if held.read(settings.environment)},
        signs=settings.console.enabled and bool(settings.environment.get("JWT_SECRET")),
        session=session_lifetime(settings.environment),
        texts=lambda after: {FILE: toml.read_text(encoding="utf-8"), **rendered(after)},
        check_passwords=roles.check,
        set_passwords=roles.change,
        prove_passwords=roles.prove,
        restart=restart,
    )


def _held(settings: Settings) -> dict[SecretName, HeldPassword]:
    """Whose password stands where. The superuser's comes last, for it sets the others."""
    console = {SecretName.CONSOLE: HeldPassword(role=CONSOLE_ROLE, variable="CONSOLE_PASSWORD")}
    own = {
        SecretName.BACKUP: HeldPassword(role=BACKUP_ROLE, variable="BACKUP_PASSWORD"),
        SecretName.REPLICATION: HeldPassword(role=REPLICATION_ROLE, variable="REPLICATION_PASSWORD"),
        **(console if settings.console.enabled else {}),
    }
    if settings.is_external:
        return _held_elsewhere(settings) | own
    superuser = _superuser_name(settings)
    return {
        SecretName.APPLICATION: HeldPassword(role=settings.value("POSTGRES_USER"), variable="POSTGRES_PASSWORD"),
        **own,
        SecretName.SUPERUSER: HeldPassword(role=superuser, variable="POSTGRES_SUPERUSER_PASSWORD"),
    }


def _held_elsewhere(settings: Settings) -> dict[SecretName, HeldPassword]:
    """On a server of the user's own: an address that stratum.toml itself holds is not edited."""
    found, found_in = own_server_url(settings), settings.database.url
    maintenance = maintenance_user(settings)
    held = {}
    if found_in.startswith("$"):
        held[SecretName.APPLICATION] = HeldPassword(
            role=found.user, variable=found_in[1:], database=found.database, in_address=True
        )
    if maintenance != found.user:
        held[SecretName.MAINTENANCE] = HeldPassword(role=maintenance, variable="MAINTENANCE_PASSWORD")
    return held


def _of_own_server(runtime: EmbeddedPostgresql) -> _Roles:
    """The stack's own server: all roles in one transaction."""

    def change(changes: Sequence[RoleChange]) -> tuple[str, ...]:
        endpoint = runtime.endpoint(Role.MAINTENANCE)
        own = [Secret(each) for c in changes if c.role == endpoint.user for each in (c.before, c.after)]
        return set_as_superuser(endpoint, [*own, endpoint.password], {c.role: c.after for c in changes})

    def prove(changes: Sequence[RoleChange]) -> tuple[str, ...]:
        return prove_logins("127.0.0.1", runtime.endpoint(Role.MAINTENANCE).port, changes)

    return _Roles(change=change, prove=prove)


def _themselves(settings: Settings) -> _Roles:
    """A server of the user's own, reached from here: each role sets its own."""
    address = own_server_url(settings).address
    return _Roles(
        change=lambda changes: set_by_themselves(address.host, address.port, changes),
        prove=lambda changes: prove_logins(address.host, address.port, changes),
        check=lambda changes: check_logins(address.host, address.port, changes),
    )


def _in_containers(settings: Settings) -> SecretRotation:
    """The database's container sets the passwords, `backup` proves them; on a server of the user's own it does both."""

    def project() -> ComposeProject:
        """As .env says by now."""
        from stratum.compose_wiring import compose_runtime

        return compose_runtime(load_settings(settings.directory))[2]

    def restart() -> None:
        found = project()
        found.write_secrets()
        found.start()

    def change(changes: Sequence[RoleChange]) -> tuple[str, ...]:
        found = project()
        found.start((POSTGRES,))
        found.set_passwords({change.role: change.after for change in changes})
        there = found.exec_database(_roles_argv(settings)).splitlines()
        return tuple(change.role for change in changes if change.role in there)

    def ask(work: PasswordWork, changes: Sequence[RoleChange]) -> tuple[str, ...]:
        found, address = project(), ServerAddress(host=settings.database.service, port=_PORT)
        if settings.is_external:
            address = own_server_url(settings).address
        found.start((BACKUP,))
        order = PasswordOrder(host=address.host, port=address.port, changes=tuple(changes), work=work)
        answer = found.ask_backup(("stratum-container", "role-passwords"), told=to_json(order))
        return tuple(parse_verb_answer(answer)["roles"])

    prove = partial(ask, PasswordWork.PROVE)
    roles = _Roles(change=change, prove=prove)
    if settings.is_external:
        roles = _Roles(change=partial(ask, PasswordWork.SET), prove=prove, check=partial(ask, PasswordWork.CHECK))
    return _rotation(settings, roles, restart, lambda after: {"the Compose files": project().rendered(after)})


def _roles_argv(settings: Settings) -> tuple[str, ...]:
    query = "SELECT rolname FROM pg_catalog.pg_roles"
    return (
        *("psql", "--no-psqlrc", "--tuples-only", "--no-align"),
        *(f"--username={_superuser_name(settings)}", "--dbname=postgres", f"--command={query}"),
    )


def _superuser_name(settings: Settings) -> str:
    return (settings.environment.get("POSTGRES_SUPERUSER") if settings.is_compose else None) or SUPERUSER
