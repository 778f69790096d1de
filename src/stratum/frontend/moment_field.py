"""The field a moment is picked with, and what the moment in it reaches; the same on every page that has one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from starlette.requests import Request

from stratum.core.answers import SettingsAnswer
from stratum.core.coverage import Reached, reached_at
from stratum.core.timeline import Reach, Timeline
from stratum.frontend.moments import (
    TimeNotReadError,
    field_text,
    known_zone,
    offered_zones,
    parse_moment,
    whole_second_after,
)
from stratum.frontend.shell import ask


@dataclass(frozen=True, kw_only=True, slots=True)
class MomentField:
    """What the templates of the field need."""

    at: datetime | None
    """As it was read; None where nothing, or nothing readable, was typed."""
    text: str
    """As the field shows it."""
    zone: str
    zones: tuple[str, ...]
    chosen_zone: bool
    """Whether somebody chose the zone; else a script may put the reader's own in its place."""
    unread: str | None
    """What was typed and is no time."""
    reached: Reached | None
    newest: datetime | None
    """The newest moment that is reached exactly; None where there is none."""
    ends: datetime
    """Where the timeline ends: nothing is known of what comes after it."""


async def moment_field(request: Request, query: Mapping[str, str]) -> MomentField:
    """Read the field out of the address, and look its moment up on the timeline."""
    timeline, settings = await asyncio.gather(
        ask(request, "/timeline", Timeline), ask(request, "/settings", SettingsAnswer)
    )
    return fill_field(query, timeline, settings)


def fill_field(query: Mapping[str, str], timeline: Timeline, settings: SettingsAnswer) -> MomentField:
    """The same without asking anybody."""
    wanted, typed = query.get("zone", ""), query.get("at", "").strip()
    zone = known_zone((wanted,))
    at, unread = _read(typed, wanted)
    reached = reached_at(timeline, at) if at else None
    return MomentField(
        at=at,
        text=field_text(at, zone),
        zone=zone,
        zones=offered_zones({setting.name: setting.value for setting in settings.settings}, zone),
        chosen_zone=wanted == zone,
        unread=unread,
        reached=replace(reached, later=whole_second_after(reached.later)) if reached and reached.later else reached,
        newest=max((span.ends for span in timeline.spans if span.reach is Reach.EXACT), default=None),
        ends=timeline.ends,
    )


def _read(typed: str, zone: str) -> tuple[datetime | None, str | None]:
    if not typed:
        return None, None
    try:
        return parse_moment(typed, zone), None
    except TimeNotReadError:
        return None, typed
