"""kit: one page to print, with everything that brings the data back without this machine and without Stratum."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stratum.cli.session import HERE, ConfirmOption, IdentityOption, JsonOption, StackOption, opened, show_record
from stratum.core.errors import StratumError

if TYPE_CHECKING:
    from stratum.core.plan import Plan
    from stratum.core.rescue_kit import RescueKit
    from stratum.ports import Ports


def kit(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write FILE.txt and FILE.html, for you alone to read.")
    ] = None,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the private key on the page; asks, and needs --out.")
    ] = False,
    identity: IdentityOption = None,
    confirm: ConfirmOption = [],  # noqa: B006 - typer copies the default
    stack: StackOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Make the rescue kit: where everything lies, and the commands that bring it back with age, zstd and PostgreSQL."""
    from stratum.adapters.records import to_dict
    from stratum.agent.rescue_kit import make_rescue_kit
    from stratum.config import find_stack, load_settings
    from stratum.core.rescue_kit import KitAnswer
    from stratum.wiring import read_key

    with opened(stack, as_json=as_json, confirm=confirm) as ports:
        if with_key and out is None:
            raise StratumError("invalid-argument", argument="--with-key", problem="it needs --out: no key is printed")
        key = read_key(stack, identity) if with_key else None
        if key is not None and not ports.consent(_plan(ports), _QUESTION, _warning(out)):
            raise StratumError("declined", verb="kit")
        made = make_rescue_kit(ports, load_settings(find_stack(stack.absolute())), key=key)
        written = _write(made, out) if out is not None else ()
        answer = KitAnswer(stack=made.stack, made_at=made.made_at, written=tuple(str(path) for path in written))
        show_record(to_dict(answer), "\n".join(f"wrote {path}" for path in written) or made.text, as_json=as_json)


_QUESTION = "put the private key on the page"


def _plan(ports: Ports) -> Plan:
    from stratum.core.plan import Effect, Plan, Step

    step = Step(name="key", summary=_QUESTION, effect=Effect.NONE, way_back="", asks=True)
    return Plan(
        id="kit",
        verb="kit",
        stack=ports.stack.name,
        created_at=ports.clock.now(),
        headline="put the private key on the rescue kit",
        steps=(step,),
        confirmations=1,
    )


def _warning(out: Path | None) -> tuple[str, ...]:
    return (f"whoever reads {out}.txt or {out}.html and reaches a copy of the archive can read all data",)


def _write(made: RescueKit, out: Path) -> tuple[Path, ...]:
    written = []
    for suffix, text in ((".txt", made.text), (".html", made.page)):
        file = out.with_name(f"{out.name.removesuffix('.txt').removesuffix('.html')}{suffix}")
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            file.chmod(0o600)
            stream.write(text)
        written.append(file)
    return tuple(written)
