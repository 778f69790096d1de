"""The backups: the list, one in detail, and what can be done with it."""

from __future__ import annotations

import asyncio

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from stratum.core.answers import BackupAnswer, BackupsAnswer
from stratum.core.backup import BackupKind
from stratum.core.coverage import BaseAnswer, CoverageAnswer, exact_stretches
from stratum.core.job import Job
from stratum.core.proof import standing_proofs
from stratum.core.timeline import Span, Timeline
from stratum.core.wal import render_lsn
from stratum.frontend.shell import ask, form, open_stream, page, path_part, see, send
from stratum.frontend.shell import order as order_job


async def backups(request: Request) -> Response:
    """All backups, newest first, and what is damaged."""
    answer, timeline, coverage = await asyncio.gather(
        ask(request, "/backups", BackupsAnswer),
        ask(request, "/timeline", Timeline),
        ask(request, "/coverage", CoverageAnswer),
    )
    stored = next(iter(coverage.wal), None)
    return page(request, "backups.html", answer=answer, exact=exact_by_base(timeline), stored=stored)


def exact_by_base(timeline: Timeline) -> dict[str, list[Span]]:
    """The stretches that each base backup reaches to the second, by its id, the newest first."""
    found: dict[str, list[Span]] = {}
    for span in reversed(exact_stretches(timeline)):
        found.setdefault(span.backup_id or "", []).append(span)
    return found


async def backup(request: Request) -> Response:
    """One backup: its tables, digests, files and proofs."""
    answer = await ask(request, f"/backups/{_id(request)}", BackupAnswer)
    proof = standing_proofs(answer.proofs).get(answer.manifest.id)
    return page(
        request,
        "backup.html",
        answer=answer,
        manifest=answer.manifest,
        verdict=proof.verdict if proof else None,
        here=f"/backups/{_id(request)}",
    )


async def base_backup(request: Request) -> Response:
    """One base backup: the seconds it reaches, its files and proofs."""
    answer, timeline = await asyncio.gather(
        ask(request, f"/bases/{_id(request)}", BaseAnswer), ask(request, "/timeline", Timeline)
    )
    base = answer.manifest
    return page(
        request,
        "base-backup.html",
        answer=answer,
        manifest=base,
        exact=exact_by_base(timeline).get(base.id, []),
        positions=(render_lsn(base.start_lsn), render_lsn(base.stop_lsn)),
        here=f"/backups/{_id(request)}",
    )


async def take(request: Request) -> Response:
    """Take a backup now, and show the job."""
    return see_job(await order_job(request, "/backups", {"accept_fewer_rows": False}))


async def take_base(request: Request) -> Response:
    """Take a base backup now, and show the job."""
    return see_job(await order_job(request, "/backups", {"kind": "base"}))


async def verify(request: Request) -> Response:
    """Read the stored bytes of one backup."""
    return see_job(await order_job(request, f"/backups/{_id(request)}/verify"))


async def drill(request: Request) -> Response:
    """Restore one backup beside and compare."""
    return see_job(await order_job(request, f"/backups/{_id(request)}/drill"))


async def drill_newest(request: Request) -> Response:
    """Drill the newest dump there is; without one, the list says so."""
    known = (await ask(request, "/backups", BackupsAnswer)).backups
    newest = [backup for backup in known if backup.kind is BackupKind.DUMP][:1]
    if not newest:
        return see("/backups")
    return see_job(await order_job(request, f"/backups/{path_part(newest[0].id)}/drill"))


async def drill_moment(request: Request) -> Response:
    """Recover one moment beside and compare."""
    sent = await form(request)
    return see_job(await order_job(request, "/drills", {"at": sent.get("at", "")}))


async def pin(request: Request) -> Response:
    """Keep one backup for good."""
    await send(request, "PUT", f"/backups/{_id(request)}/pin")
    return see(f"/backups/{_id(request)}")


async def unpin(request: Request) -> Response:
    """Leave one backup to retention again."""
    await send(request, "DELETE", f"/backups/{_id(request)}/pin")
    return see(f"/backups/{_id(request)}")


async def export(request: Request) -> Response:
    """The backup's directory as a tar file, passed on as it comes: it may be larger than the memory."""
    answer = await open_stream(request, f"/backups/{_id(request)}/export")
    kept = ("content-type", "content-disposition", "content-length")
    headers = {name: answer.headers[name] for name in kept if name in answer.headers}
    headers.setdefault("content-disposition", f'attachment; filename="{_id(request)}.tar"')
    return StreamingResponse(answer.aiter_raw(), headers=headers, background=BackgroundTask(answer.aclose))


def see_job(job: Job) -> Response:
    """To the page that shows the job at work."""
    return see(f"/jobs/{path_part(job.id)}")


def _id(request: Request) -> str:
    return path_part(request.path_params["backup_id"])


ROUTES = (
    Route("/backups", backups, methods=["GET"]),
    Route("/backups", take, methods=["POST"]),
    Route("/backups/base", take_base, methods=["POST"]),
    Route("/drill", drill_newest, methods=["POST"]),
    Route("/drill/moment", drill_moment, methods=["POST"]),
    Route("/backups/base/{backup_id}", base_backup, methods=["GET"]),
    Route("/backups/{backup_id}", backup, methods=["GET"]),
    Route("/backups/{backup_id}/verify", verify, methods=["POST"]),
    Route("/backups/{backup_id}/drill", drill, methods=["POST"]),
    Route("/backups/{backup_id}/pin", pin, methods=["POST"]),
    Route("/backups/{backup_id}/unpin", unpin, methods=["POST"]),
    Route("/backups/{backup_id}/export", export, methods=["GET"]),
)
