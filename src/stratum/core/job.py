"""A job: one verb that the agent runs for somebody, from the moment it is asked for to how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from stratum.core.answers import SpokenError
from stratum.core.backup import BackupKind
from stratum.core.plan import Facts, Plan
from stratum.core.proof import Verdict

FORMAT = 1


class JobVerb(StrEnum):
    """What the agent can be asked to run."""

    BACKUP = "backup"
    VERIFY = "verify"
    DRILL = "drill"
    RESTORE = "restore"
    UNDO_RESTORE = "undo-restore"
    PRUNE = "prune"


class JobState(StrEnum):
    """Where a job stands. The last five are ends: such a job does not change any more."""

    QUEUED = "queued"
    """It waits for its turn, or for another plan to let go of the stack's lock."""
    RUNNING = "running"
    ASKING = "asking"
    """All that can be prepared is prepared, beside what is live; the next step waits for an answer."""
    DONE = "done"
    DECLINED = "declined"
    """The person said no, or nobody answered in time; what had been prepared was taken away again."""
    FAILED = "failed"
    """A step failed and everything was taken back, or nothing was begun; `error` says which."""
    FINISHED_AFTER_RESTART = "finished-after-restart"
    """The agent was stopped in the middle; its plan had taken effect and was finished at the next start."""
    TAKEN_BACK_AFTER_RESTART = "taken-back-after-restart"
    """The agent was stopped in the middle; its plan was taken back at the next start."""


ENDED = frozenset(
    {
        JobState.DONE,
        JobState.DECLINED,
        JobState.FAILED,
        JobState.FINISHED_AFTER_RESTART,
        JobState.TAKEN_BACK_AFTER_RESTART,
    }
)
SUCCEEDED = frozenset({JobState.DONE, JobState.FINISHED_AFTER_RESTART})


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRequest:
    """What was asked for, and by whom."""

    verb: JobVerb
    who: str
    """As the journal names them: `ada (console)`, `schedule`."""
    backup_id: str | None = None
    """verify, drill, restore: a backup's id or its last part; None is the newest."""
    at: datetime | None = None
    """drill, restore: the moment to reach; where no WAL covers it, a restore takes the newest backup at this time."""
    database: str | None = None
    """restore, undo-restore: None is the application's."""
    into: str | None = None
    """restore: into a new database of this name; the live one stays."""
    accept_fewer_rows: bool = False
    """backup: call it a backup although most rows are gone."""
    kind: BackupKind = BackupKind.DUMP
    """backup: what to take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobProgress:
    """How far the work on hand came."""

    what: str
    done: int
    total: int | None
    unit: str
    """`bytes`, `rows`, …"""
    seconds: float
    """Since this piece of work began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a job asks before the step that sets something aside or removes it."""

    question: str
    """The step's summary."""
    lines: tuple[str, ...]
    """What is known by now, such as the rows that would come and go."""
    confirmations: int
    """How many times the stack's name has to be typed."""
    answer_by: datetime
    """Without an answer by then the job is declined: a question holds the stack's lock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One job, as of now."""

    format: int = FORMAT
    id: str
    request: JobRequest
    state: JobState
    queued_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    plan: Plan | None = None
    step: str | None = None
    """The step that runs, by its name in the plan."""
    steps_done: tuple[str, ...] = ()
    progress: JobProgress | None = None
    question: Question | None = None
    said: tuple[str, ...] = ()
    """What the job reported, in order; the newest 200 lines."""
    facts: Facts = field(default_factory=dict)
    """What the steps learned: the new backup's id, the databases' names."""
    verdict: Verdict | None = None
    """Of a drill or a verification."""
    error: SpokenError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEvent:
    """One change of a job. Each carries the whole job, so a reader who missed some has missed nothing."""

    format: int = FORMAT
    number: int
    """Rises by one with each event of a job."""
    at: datetime
    job: Job


@dataclass(frozen=True, kw_only=True, slots=True)
class JobsAnswer:
    """The jobs there are records of, newest first."""

    format: int = FORMAT
    jobs: tuple[Job, ...]
