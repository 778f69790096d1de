"""Moments as they are typed: a time, a WAL position, a restore point, or just before a transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stratum.core.errors import StratumError

if TYPE_CHECKING:
    from stratum.core.volume_recovery import Moment

AtOption = Annotated[
    str | None,
    typer.Option("--at", help="To this time, e.g. 2026-03-02T10:00:05+01:00: exactly where WAL reaches it."),
]
LsnOption = Annotated[str | None, typer.Option("--lsn", metavar="LSN", help="To this WAL position.")]
NameOption = Annotated[str | None, typer.Option("--name", metavar="NAME", help="To this restore point.")]
BeforeOption = Annotated[
    int | None, typer.Option("--before-xid", metavar="XID", help="To just before this transaction.", min=3)
]
TimelineOption = Annotated[
    int | None, typer.Option("--timeline", metavar="N", help="On this timeline, though it was left.", min=1)
]


def parse_moment(
    at: str | None, lsn: str | None, name: str | None, before_xid: int | None, timeline: int | None
) -> Moment | None:
    """The moment that was asked for; None where none was. Raises `invalid-argument`."""
    from stratum.core.volume_recovery import Moment
    from stratum.core.wal import parse_lsn

    given = {"--at": at, "--lsn": lsn, "--name": name, "--before-xid": before_xid}
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise StratumError("invalid-argument", argument=named[0], problem=f"it cannot go with {named[1]}")
    if lsn is not None:
        try:
            parse_lsn(lsn)
        except ValueError as error:
            raise StratumError("invalid-argument", argument="--lsn", problem=error) from None
    if not named and timeline is None:
        return None
    return Moment(
        at=parse_time(at) if at is not None else None, lsn=lsn, name=name, before_xid=before_xid, timeline=timeline
    )


def parse_time(text: str) -> datetime:
    """ISO 8601; without a zone it is this machine's local time. Raises `invalid-argument`."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        problem = f"{text!r} is not a time such as 2026-03-02T10:00+01:00"
        raise StratumError("invalid-argument", argument="--at", problem=problem) from None
