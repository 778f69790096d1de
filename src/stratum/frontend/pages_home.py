"""The first page and the fears: where the stack stands, said from what the API measured."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stratum.adapters.messages import speak_protection, speaking
from stratum.adapters.records import parse_plain
from stratum.core.answers import BackupAnswer, BackupsAnswer, ChecklistAnswer, JournalAnswer, ProofsAnswer, SpokenLine
from stratum.core.backup import MigrationHead
from stratum.core.checklist import LineState
from stratum.core.job import Job
from stratum.core.plan import JournalKind, PlanEnd
from stratum.core.proof import Method, Proof, Verdict
from stratum.core.protection import Protection
from stratum.frontend.pages_jobs import job_context
from stratum.frontend.shell import ask, ask_plainly, page, visit_of
from stratum.frontend.standing import LayerState, describe_layers, observe_receiver
from stratum.frontend.troubles import find_troubles

_RESTORES = frozenset({"restore", "undo-restore"})


async def home(request: Request) -> Response:
    """The sentence, what runs now, every layer of the protection and what to do next."""
    status = await ask_plainly(request, "/status")
    job = await ask(request, f"/jobs/{status['job']}", Job) if status["job"] else None
    now = datetime.now(UTC)
    layers = describe_layers(status, now)
    watched = job_context(job) if job else {"job": None}
    return page(
        request,
        "home.html",
        **_standing(status),
        sentence=_sentence(status, visit_of(request).language),
        next_steps=status["alarms"],
        layers=layers,
        safe=layers.safe,
        receiver=observe_receiver(status),
        troubles=find_troubles(observe_receiver(status), now),
        **watched,
    )


def _sentence(status: dict[str, Any], language: str) -> str:
    """The engine's own sentence, in the reader's language: the console computes none of its numbers."""
    with speaking([language]):
        return speak_protection(parse_plain(Protection, status["status"]["protection"], file="the API's answer"))


async def fears(request: Request) -> Response:
    """Each fear of the list with what speaks against it on this stack now."""
    status, checklist, backups, proofs, journal = await asyncio.gather(
        ask_plainly(request, "/status"),
        ask(request, "/checklist", ChecklistAnswer),
        ask(request, "/backups", BackupsAnswer),
        ask(request, "/proofs", ProofsAnswer),
        ask(request, "/journal", JournalAnswer),
    )
    newest = backups.backups[0].id if backups.backups else None
    shown = await ask(request, f"/backups/{newest}", BackupAnswer) if newest else None
    drills = [proof for proof in proofs.proofs if proof.method is Method.DRILL]
    lines = {line.name: line for line in checklist.lines}
    return page(
        request,
        "fears.html",
        **_standing(status),
        lines=lines,
        drill=drills[0] if drills else None,
        heads=_heads(shown),
        counts={
            "backups": len(backups.backups),
            "proven": sum(backup.verdict is Verdict.PROVEN for backup in backups.backups),
            "damaged": len(backups.broken),
            "drills": len(drills),
            "restores": count_restores(journal),
        },
        evidence=_evidence(status, lines, drills, damaged=bool(backups.broken)),
    )


def count_restores(journal: JournalAnswer) -> int:
    """Restores and their undoing that were carried out to the end."""
    ended = (e for e in journal.entries if e.kind is JournalKind.PLAN_ENDED and e.end is PlanEnd.DONE)
    return sum(entry.verb in _RESTORES for entry in ended)


def _standing(status: dict[str, Any]) -> dict[str, Any]:
    standing = status["status"]
    return {"agent": status, "standing": standing, "protection": standing["protection"]}


def _heads(shown: BackupAnswer | None) -> tuple[MigrationHead, ...]:
    databases = shown.manifest.databases if shown else ()
    return tuple(head for database in databases for head in database.facts.migrations)


def _evidence(
    status: dict[str, Any], lines: dict[str, SpokenLine], drills: list[Proof], *, damaged: bool
) -> dict[str, LayerState]:
    """Whether what was measured speaks against the fear, or for it."""
    layers = describe_layers(status, datetime.now(UTC))
    proven = layers.proof
    return {
        "crash": layers.database,
        "down": _line(lines, "no-destructive-command"),
        "corrupt": LayerState.BAD if damaged or not drills else proven,
        "migration": layers.backup,
        "restore": proven,
        "disk": _line(lines, "off-the-disk"),
    }


def _line(lines: dict[str, SpokenLine], name: str) -> LayerState:
    states = {
        LineState.HOLDS: LayerState.GOOD,
        LineState.RED: LayerState.BAD,
        LineState.ACCEPTED: LayerState.WARN,
        LineState.UNKNOWN: LayerState.UNKNOWN,
    }
    return states[lines[name].state] if name in lines else LayerState.UNKNOWN


ROUTES = (
    Route("/", home, methods=["GET"]),
    Route("/fears", fears, methods=["GET"]),
)
