"""Errors of the agent's own interface: who may ask it, and what can be asked of a job."""

from __future__ import annotations

from stratum.core.error_kinds import RUNNING, ErrorKind, ExitCode

_NOT_CARRIED_OUT = "untouched; the request was not carried out"

AGENT: tuple[ErrorKind, ...] = (
    ErrorKind(
        code="agent-secret-refused",
        exit=ExitCode.REFUSED,
        message="the request does not carry the agent's secret",
        data=_NOT_CARRIED_OUT,
        next="send the content of the file AGENT_SECRET_FILE as `Authorization: Bearer …`",
    ),
    ErrorKind(
        code="agent-unreachable",
        exit=ExitCode.FAILED,
        message="the agent does not answer: {problem}",
        data=RUNNING,
        next="see `stratum ps` and `stratum logs agent`; `stratum up` starts it again",
    ),
    ErrorKind(
        code="agent-start-failed",
        exit=ExitCode.FAILED,
        message="the agent could not begin to serve at {host}:{port}: {problem}",
        data=RUNNING,
        next="see that AGENT_PORT is free and AGENT_SECRET_FILE holds a secret, then start it again",
    ),
    ErrorKind(
        code="unknown-job",
        exit=ExitCode.USAGE,
        message="there is no job {job}",
        data=_NOT_CARRIED_OUT,
        next="look at the list of jobs",
    ),
    ErrorKind(
        code="too-many-jobs",
        exit=ExitCode.REFUSED,
        message="{waiting} jobs are waiting already, which is as many as may wait",
        data=_NOT_CARRIED_OUT,
        next="wait until some have run, or cancel those that nobody needs",
    ),
    ErrorKind(
        code="job-not-asking",
        exit=ExitCode.REFUSED,
        message="job {job} asks nothing now: it is {state}",
        data=_NOT_CARRIED_OUT,
        next="look at the job; its question may have been answered, or have run out of time",
    ),
    ErrorKind(
        code="job-over",
        exit=ExitCode.REFUSED,
        message="job {job} has ended: it is {state}",
        data=_NOT_CARRIED_OUT,
        next="look at the job; `stratum restore --undo` takes back a restore that was carried out",
    ),
    ErrorKind(
        code="agent-stopping",
        exit=ExitCode.REFUSED,
        message="the agent is being stopped and takes no more jobs",
        data=_NOT_CARRIED_OUT,
        next="ask again when it is back; `stratum ps` shows it",
    ),
)
