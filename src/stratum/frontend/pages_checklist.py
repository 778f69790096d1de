"""The checklist with its fixes, and what the stack is set to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stratum.core.answers import ChecklistAnswer, SettingsAnswer, SpokenLine
from stratum.core.checklist import LineState
from stratum.frontend.shell import ask, page

_WORST_FIRST = (LineState.RED, LineState.UNKNOWN, LineState.ACCEPTED, LineState.HOLDS)


async def checklist(request: Request) -> Response:
    """Each line with its state and its fix, the worst first."""
    answer, settings = await asyncio.gather(
        ask(request, "/checklist", ChecklistAnswer), ask(request, "/settings", SettingsAnswer)
    )
    return page(
        request,
        "checklist.html",
        answer=answer,
        lines=worst_first(answer.lines),
        counts=Counter({state.value: 0 for state in LineState}) + Counter(line.state.value for line in answer.lines),
        settings=settings.settings,
    )


def worst_first(lines: Iterable[SpokenLine]) -> list[SpokenLine]:
    """What needs a hand stands on top; otherwise the checklist's own order."""
    return sorted(lines, key=lambda line: _WORST_FIRST.index(line.state))


ROUTES = (Route("/checklist", checklist, methods=["GET"]),)
