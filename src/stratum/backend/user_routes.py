"""The routes of users, for administrators."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic.dataclasses import dataclass

from stratum.backend import users
from stratum.backend.auth_routes import STRICT, Password
from stratum.backend.callers import identity_of, require
from stratum.backend.errors import documented
from stratum.backend.events import visitor_of
from stratum.backend.names import UserName
from stratum.backend.roles import Caller, Role

Administrator = Annotated[Caller, Depends(require(Role.ADMINISTRATOR))]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NewUser:
    """A user to be made."""

    name: UserName
    password: Password
    role: Role


@dataclass(frozen=True, kw_only=True, config=STRICT)
class UserPatch:
    """What is to be changed; whatever is left out stays."""

    role: Role | None = None
    password: Password | None = None
    disabled: bool | None = None


@dataclass(frozen=True, kw_only=True)
class UsersAnswer:
    """All users, by name."""

    users: tuple[users.UserAnswer, ...]


def user_router() -> APIRouter:
    """Every route under /users."""
    router = APIRouter(prefix="/users", tags=["users"], responses=documented(401, 403))
    _add_reads(router)
    _add_changes(router)
    return router


def _add_reads(router: APIRouter) -> None:
    @router.get("")
    def list_users(request: Request, caller: Administrator) -> UsersAnswer:
        """All users, by name."""
        del caller
        return UsersAnswer(users=users.list_users(identity_of(request)))

    @router.get("/{user_id}", responses=documented(404))
    def observe_user(request: Request, caller: Administrator, user_id: UUID) -> users.UserAnswer:
        """One user."""
        del caller
        return users.observe_user(identity_of(request), user_id)


def _add_changes(router: APIRouter) -> None:
    @router.post("", status_code=201, responses=documented(409))
    def create_user(request: Request, caller: Administrator, body: NewUser) -> users.UserAnswer:
        """Make a user."""
        return users.create_user(
            identity_of(request), visitor_of(request), caller, name=body.name, password=body.password, role=body.role
        )

    @router.patch("/{user_id}", responses=documented(404, 409))
    def change_user(request: Request, caller: Administrator, user_id: UUID, body: UserPatch) -> users.UserAnswer:
        """Change a user's role or password, or let the user in no more. The last administrator stays one."""
        change = users.UserChange(role=body.role, password=body.password, disabled=body.disabled)
        return users.change_user(identity_of(request), visitor_of(request), caller, user_id, change)

    @router.delete("/{user_id}", status_code=204, responses=documented(404, 409))
    def remove_user(request: Request, caller: Administrator, user_id: UUID) -> None:
        """Remove a user with the sessions; what the audit says of them stays. The last administrator stays."""
        users.remove_user(identity_of(request), visitor_of(request), caller, user_id)
