"""The page of the verbs, from the command line's own tree, and the rights each of them needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from stratum.adapters.roles_script import (
    BACKUP_ROLE,
    CONSOLE_ROLE,
    MAINTENANCE_ROLE,
    REPLICATION_ROLE,
    given_rights,
)
from stratum.cli.attribute_docstrings import attribute_docstrings, one_line
from stratum.cli.main import app
from stratum.cli.reference_pages import WRITTEN, render_page, render_setting, render_table
from stratum.ports import Role

Command: TypeAlias = TyperCommand | TyperGroup

_NONE: tuple[Role, ...] = ()
_MAINTENANCE = (Role.MAINTENANCE,)

CONNECTS_AS: dict[str, tuple[Role, ...]] = {
    "init": _NONE,
    "adopt": (Role.MAINTENANCE, Role.OWNER, Role.BACKUP),
    "up": _MAINTENANCE,
    "stop": _MAINTENANCE,
    "down": _MAINTENANCE,
    "status": _NONE,
    "ps": _NONE,
    "logs": _NONE,
    "agent": _NONE,
    "console-token": _NONE,
    "check": _MAINTENANCE,
    "backup": (Role.MAINTENANCE, Role.BACKUP),
    "backups list": _NONE,
    "backups show": _NONE,
    "backups pin": _NONE,
    "backups unpin": _NONE,
    "backups export": _NONE,
    "verify": _NONE,
    "drill": _NONE,
    "restore": _MAINTENANCE,
    "prune": _MAINTENANCE,
    "migrate": (Role.MAINTENANCE, Role.OWNER),
    "seed": (Role.MAINTENANCE, Role.OWNER),
    "build": _NONE,
    "rehearse": _NONE,
    "rehearsal-clone": _NONE,
    "update": (Role.MAINTENANCE, Role.OWNER, Role.BACKUP),
    "rollback": (Role.MAINTENANCE, Role.BACKUP),
    "releases": _NONE,
    "undo-copy": (Role.MAINTENANCE, Role.BACKUP),
    "upgrade-postgres": (Role.MAINTENANCE, Role.BACKUP),
    "rotate": _MAINTENANCE,
    "shell": (Role.OWNER,),
    "copies": _NONE,
    "kit": _NONE,
    "protect": _MAINTENANCE,
    "restore-point": _MAINTENANCE,
    "destroy": (Role.MAINTENANCE, Role.BACKUP),
    "identity show": _MAINTENANCE,
    "identity check": _MAINTENANCE,
    "identity accept": _MAINTENANCE,
    "notify": _NONE,
    "demo": (Role.MAINTENANCE, Role.OWNER, Role.BACKUP),
}
"""Who each verb connects to the stack's running server as. Throwaway servers have passwords of their own."""

ANSWERS = {
    "adopt": "adopt",
    "up": "outcome",
    "status": "status",
    "ps": "services",
    "console-token": "console-token",
    "check": "checklist",
    "backup": "outcome",
    "drill": "proof",
    "restore": "outcome",
    "prune": "outcome",
    "migrate": "outcome",
    "seed": "outcome",
    "destroy": "outcome",
    "rehearse": "rehearsal",
    "rehearsal-clone": "rehearsal",
    "update": "outcome",
    "rollback": "outcome",
    "releases": "releases",
    "upgrade-postgres": "outcome",
    "rotate": "outcome",
    "undo-copy": "undo-copy",
    "identity accept": "outcome",
    "copies": "copies",
    "kit": "kit",
    "protect": "protect",
    "restore-point": "restore-point",
    "notify": "notify",
    "demo": "demo",
}
"""The schema of the object a verb prints with `--json`; a dry run prints an outcome, a refusal an error."""

_OPENING = """# Commands

Each verb works on the stack of the current directory, or of the one named with `--stack`. Results go to stdout,
progress to stderr. With `--json` a verb prints one object and nothing else on stdout, with the number of its format
in it. Verbs that change anything have `--dry-run`, which shows the plan and touches nothing; the exit codes are
[those of every command](errors.md#exit-codes). `stratum --install-completion` sets up completion for your shell."""

_RIGHTS_OPENING = """
A new stack gets four roles, and a fifth with the console, each with no more rights than its work needs. Nothing has to
be granted by hand; when the server refuses a statement, compare the rights of the role it names with these. On a server
of your own the same roles come from the script that `stratum adopt --print-roles` prints, and `stratum_maintenance`
takes the superuser's place. A verb that connects as nobody works on files, or on a throwaway server of its own.
""".strip()


def render_cli_page() -> str:
    """docs/reference/cli.md: every verb with its arguments, options and defaults."""
    blocks = [_OPENING, WRITTEN]
    for name, command in verbs(typer.main.get_command(app)):
        blocks += _verb_blocks(name, command)
    return render_page(blocks)


def rights_blocks() -> list[str]:
    """The roles of a stack with their rights, and which of them each verb connects as."""
    said = attribute_docstrings(Role)
    roles = [
        ("`postgres`", "superuser", f"{Role.MAINTENANCE}: {said['MAINTENANCE']}"),
        (f"`{MAINTENANCE_ROLE}`", _rights(MAINTENANCE_ROLE) + "; a member of every owner in the guarded databases",
         f"{Role.MAINTENANCE}, on a server of your own."),
        ("`POSTGRES_USER`", "owns the database", f"{Role.OWNER}: {said['OWNER']}"),
        (f"`{BACKUP_ROLE}`", _rights(BACKUP_ROLE), f"{Role.BACKUP}: {said['BACKUP']}"),
        (f"`{REPLICATION_ROLE}`", _rights(REPLICATION_ROLE), f"{Role.REPLICATION}: {said['REPLICATION']}"),
        (f"`{CONSOLE_ROLE}`", "owns the console's database", "the console's backend."),
    ]  # fmt: skip
    rows = [(f"`stratum {verb}`", _named(used)) for verb, used in CONNECTS_AS.items()]
    return [
        "## Rights",
        _RIGHTS_OPENING,
        render_table(("role", "rights", "for"), roles),
        render_table(("verb", "connects as"), rows),
    ]


def _rights(role: str) -> str:
    return "; ".join(f"`{statement}`" for statement in given_rights(role))


def verbs(command: object, name: str = "stratum") -> Iterator[tuple[str, Command]]:
    """Each command below this one, itself first, with its whole name: `stratum backups list` for one."""
    if not isinstance(command, TyperCommand | TyperGroup):
        raise TypeError(f"{name} is not a command that typer made")
    yield name, command
    if isinstance(command, TyperGroup):
        for part, below in sorted(command.commands.items()):
            yield from verbs(below, f"{name} {part}")


def _verb_blocks(name: str, command: Command) -> list[str]:
    verb = name.removeprefix("stratum").strip()
    arguments = [_argument_name(p) for p in command.params if isinstance(p, TyperArgument)]
    below = ["VERB …"] if isinstance(command, TyperGroup) else []
    blocks = [f"## `{name}`", one_line(command.help), f"```\n{' '.join([name, *arguments, '[OPTIONS]', *below])}\n```"]
    rows = [_row(parameter) for parameter in command.params if isinstance(parameter, TyperArgument | TyperOption)]
    if rows:
        blocks.append(render_table(("argument or option", "takes", "default", "meaning"), rows))
    if verb in CONNECTS_AS:
        blocks.append(f"Connects as {_named(CONNECTS_AS[verb])}.")
    if verb in ANSWERS:
        blocks.append(f"With `--json`: [{ANSWERS[verb]}.json](../../schemas/{ANSWERS[verb]}.json).")
    return blocks


def _row(parameter: TyperArgument | TyperOption) -> tuple[str, ...]:
    if isinstance(parameter, TyperArgument):
        return f"`{_argument_name(parameter)}`", _takes(parameter), _default(parameter), one_line(parameter.help)
    names = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
    takes = "" if parameter.is_flag else _takes(parameter)
    return names, takes, _default(parameter), one_line(parameter.help)


def _argument_name(parameter: TyperArgument) -> str:
    return parameter.metavar or str(parameter.name).upper()


def _takes(parameter: TyperArgument | TyperOption) -> str:
    words: dict[object, str] = {str: "text", int: "whole number", Path: "path"}
    kind = words.get(parameter.type_descriptor.annotation, "text")
    return f"{kind}, may be repeated" if parameter.multiple else kind


def _default(parameter: TyperArgument | TyperOption) -> str:
    if parameter.required:
        return "has to be given"
    if parameter.default in (None, False, []):
        return ""
    return "the current directory" if parameter.default == Path() else render_setting(parameter.default)


def _named(roles: tuple[Role, ...]) -> str:
    return ", ".join(role.value for role in roles) or "nobody"
