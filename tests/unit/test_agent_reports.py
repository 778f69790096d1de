"""What a job's process tells becomes a job: never past its end, and never more than a reader needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stratum.adapters.messages import speak_error
from stratum.adapters.records import parse, to_json
from stratum.agent.reports import SAID_KEPT, Report, ReportKind, end_job, is_worth_recording, note_report
from stratum.agent.settling import settle_job
from stratum.core.errors import StratumError
from stratum.core.job import ENDED, Job, JobProgress, JobRequest, JobState, JobVerb
from stratum.core.plan import JournalEntry, JournalKind, Plan, PlanEnd
from tests.fakes.console_records import restore_plan

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PLAN = restore_plan("b1")
_KINDS = st.sampled_from(ReportKind)


def _job(state: JobState = JobState.QUEUED, plan: Plan | None = None) -> Job:
    request = JobRequest(verb=JobVerb.RESTORE, who="ada (console)")
    return Job(id="j1", request=request, state=state, queued_at=NOW, started_at=NOW, plan=plan)


def _report(kind: ReportKind, **values: str) -> Report:
    error = speak_error(StratumError("declined", verb="restore")) if values.get("line") == "error" else None
    progress = JobProgress(what="restoring", done=1, total=2, unit="bytes", seconds=1)
    step = PLAN.steps[0].name
    return Report(kind=kind, plan=PLAN, step=step, progress=progress, error=error, line=values.get("line", "a line"))


@given(st.lists(_KINDS, max_size=30))
def test_a_job_that_has_ended_does_not_change_any_more(kinds: list[ReportKind]) -> None:
    job = _job()
    for kind in kinds:
        after = note_report(job, _report(kind), now=NOW)
        if job.state in ENDED:
            assert after == job
        assert (after.question is not None) <= (after.state is JobState.ASKING)
        job = after


@given(_KINDS)
def test_a_report_survives_the_pipe(kind: ReportKind) -> None:
    report = _report(kind)

    assert parse(Report, to_json(report), file="the pipe") == report


def test_a_question_names_the_time_until_which_it_waits() -> None:
    asking = note_report(_job(JobState.RUNNING), _report(ReportKind.ASKS, line="swap?"), now=NOW)

    assert asking.state is JobState.ASKING
    assert asking.question is not None
    assert asking.question.answer_by == NOW + timedelta(minutes=15)


def test_only_the_newest_lines_of_what_was_said_are_kept() -> None:
    job = _job(JobState.RUNNING)
    for number in range(SAID_KEPT + 7):
        job = note_report(job, _report(ReportKind.SAID, line=f"line {number}"), now=NOW)

    assert (len(job.said), job.said[-1]) == (SAID_KEPT, f"line {SAID_KEPT + 6}")


def test_a_line_that_is_said_again_and_again_stands_there_once() -> None:
    job = _job()
    for _ in range(3):
        job = note_report(job, _report(ReportKind.WAITING, line="held by ada"), now=NOW)

    assert (job.state, job.said) == (JobState.QUEUED, ("held by ada",))


def test_progress_is_not_worth_a_line_in_the_archive_and_a_question_is() -> None:
    job = _job(JobState.RUNNING, PLAN)

    assert not is_worth_recording(job, note_report(job, _report(ReportKind.PROGRESS), now=NOW))
    assert is_worth_recording(job, note_report(job, _report(ReportKind.ASKS), now=NOW))


def test_a_job_that_was_declined_is_not_one_that_failed() -> None:
    declined = note_report(_job(JobState.ASKING), _report(ReportKind.ENDED, line="error"), now=NOW)
    failed = end_job(
        _job(JobState.RUNNING), Report(kind=ReportKind.ENDED, error=speak_error(StratumError("no-backup-yet"))), now=NOW
    )

    assert (declined.state, failed.state) == (JobState.DECLINED, JobState.FAILED)


def test_a_job_without_a_plan_in_the_journal_had_begun_nothing() -> None:
    settled = settle_job(_job(JobState.RUNNING), (), since=NOW, now=NOW, problem=None)

    assert settled.state is JobState.TAKEN_BACK_AFTER_RESTART


def test_a_cut_job_ends_as_its_plan_did() -> None:
    def state(end: PlanEnd, *, at: datetime) -> JobState:
        job = _job(JobState.RUNNING, PLAN)
        return settle_job(job, _journal(end, at), since=NOW, now=NOW, problem=None).state

    assert state(PlanEnd.DONE, at=NOW - timedelta(seconds=1)) is JobState.DONE
    assert state(PlanEnd.DONE, at=NOW) is JobState.FINISHED_AFTER_RESTART
    assert state(PlanEnd.COMPENSATED, at=NOW) is JobState.TAKEN_BACK_AFTER_RESTART


def test_a_cut_job_whose_plan_cannot_be_brought_to_an_end_fails_with_the_reason() -> None:
    problem = speak_error(StratumError("archive-full", path="/archive"))
    job = _job(JobState.RUNNING, PLAN)

    settled = settle_job(job, _journal(None, NOW)[:1], since=NOW, now=NOW, problem=problem)

    assert (settled.state, settled.error) == (JobState.FAILED, problem)


def test_a_plan_that_the_agent_never_heard_of_is_found_by_who_asked_for_it_and_when() -> None:
    settled = settle_job(_job(JobState.RUNNING), _journal(PlanEnd.DONE, NOW), since=NOW, now=NOW, problem=None)

    assert settled.plan == PLAN


def _journal(end: PlanEnd | None, at: datetime) -> tuple[JournalEntry, ...]:
    def entry(kind: JournalKind, when: datetime, plan: Plan | None = None) -> JournalEntry:
        ended = end if kind is JournalKind.PLAN_ENDED else None
        return JournalEntry(
            at=when, kind=kind, plan_id=PLAN.id, verb=PLAN.verb, who="ada (console)", plan=plan, end=ended
        )

    return entry(JournalKind.PLAN_STARTED, NOW, PLAN), entry(JournalKind.PLAN_ENDED, at)
