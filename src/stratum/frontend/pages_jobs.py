"""The jobs: the list, one at work, its question, and its events as pieces of the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from stratum.adapters.records import parse
from stratum.core.job import ENDED, Job, JobEvent, JobsAnswer, JobState, Question
from stratum.frontend.shell import ApiRefusal, ask, form, fragment, listen, page, path_part, see, send
from stratum.frontend.watching import asking_step, is_cancellable, outcome, rate, seconds_left, seen_steps


async def jobs(request: Request) -> Response:
    """All jobs there are records of, newest first."""
    return page(request, "jobs.html", jobs=(await ask(request, "/jobs", JobsAnswer)).jobs)


async def job(request: Request) -> Response:
    """One job; it renews itself until it has ended."""
    return await _show(request)


async def _show(request: Request, *, refusal: ApiRefusal | None = None) -> Response:
    shown = await ask(request, f"/jobs/{_id(request)}", Job)
    status, error = (refusal.status, refusal.error) if refusal else (200, None)
    return page(request, "job.html", status=status, refusal=error, **job_context(shown))


async def answer(request: Request) -> Response:
    """Answer the job's question with the password and the stack's name; the API checks both.

    A refused answer, such as a wrong password, leaves the question as it stands: it is shown again, with the reason.
    """
    sent = await form(request)
    body = {"password": sent.get("password", ""), "confirm": sent.get("confirm", "")}
    try:
        await send(request, "POST", f"/jobs/{_id(request)}/answer", body)
    except ApiRefusal as refusal:
        return await _show(request, refusal=refusal)
    return see(f"/jobs/{_id(request)}")


async def decline(request: Request) -> Response:
    """Say no: what was prepared is taken away again."""
    await send(request, "POST", f"/jobs/{_id(request)}/decline")
    return see(f"/jobs/{_id(request)}")


async def cancel(request: Request) -> Response:
    """End the job where it stands; its steps are taken back."""
    await send(request, "POST", f"/jobs/{_id(request)}/cancel")
    return see(f"/jobs/{_id(request)}")


async def events(request: Request) -> Response:
    """The job's events as server-sent events that carry pieces of the page.

    `job` comes with every change, `question` only when the question comes or goes, so that nothing replaces a form
    somebody types into; `ended` closes the stream. (https://html.spec.whatwg.org/multipage/server-sent-events.html)
    """
    told = await listen(request, f"/jobs/{_id(request)}/events")
    return StreamingResponse(_pieces(request, told), media_type="text/event-stream")


async def _pieces(request: Request, told: AsyncIterator[str]) -> AsyncIterator[str]:
    asked: Question | None = None
    first = True
    async for data in told:
        event = parse(JobEvent, data, file="job event")
        context = job_context(event.job)
        yield _event("job", fragment(request, "_job.html", **context))
        question = event.job.question if event.job.state is JobState.ASKING else None
        if first or question != asked:
            yield _event("question", fragment(request, "_question.html", **context))
        asked, first = question, False
        if event.job.state in ENDED:
            yield _event("ended", "")
            return


def _event(name: str, html: str) -> str:
    """One server-sent event; a text of several lines is sent as several fields."""
    data = "".join(f"data: {line}\n" for line in html.splitlines() or [""])
    return f"event: {name}\n{data}\n"


def job_context(shown: Job) -> dict[str, Any]:
    """What the templates of a job need."""
    return {
        "job": shown,
        "steps": seen_steps(shown),
        "ended": shown.state in ENDED,
        "moving": shown.state in {JobState.QUEUED, JobState.RUNNING},
        "outcome": outcome(shown),
        "rate": rate(shown.progress),
        "left": seconds_left(shown.progress),
        "cancellable": is_cancellable(shown),
        "asking_step": asking_step(shown),
    }


def _id(request: Request) -> str:
    return path_part(request.path_params["job_id"])


ROUTES = (
    Route("/jobs", jobs, methods=["GET"]),
    Route("/jobs/{job_id}", job, methods=["GET"]),
    Route("/jobs/{job_id}/events", events, methods=["GET"]),
    Route("/jobs/{job_id}/answer", answer, methods=["POST"]),
    Route("/jobs/{job_id}/decline", decline, methods=["POST"]),
    Route("/jobs/{job_id}/cancel", cancel, methods=["POST"]),
)
