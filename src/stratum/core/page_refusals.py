"""What the console's pages themselves refuse or cannot do, beside what the API answers them."""

from __future__ import annotations

from stratum.core.error_kinds import RUNNING, UNTOUCHED, ErrorKind, ExitCode

PAGES = (
    ErrorKind(
        code="console-unreachable",
        exit=ExitCode.FAILED,
        message="the console's backend does not answer as it should: {problem}",
        data="not touched by this; whether the database runs is not known here",
        next="wait a moment and load the page again; `stratum status` and `stratum logs backend` say more",
    ),
    ErrorKind(
        code="no-such-page",
        exit=ExitCode.USAGE,
        message="there is no page at this address",
        data=UNTOUCHED,
        next="go back to the first page; the menu leads to all others",
    ),
    ErrorKind(
        code="form-not-ours",
        exit=ExitCode.REFUSED,
        message="this form was not accepted: it is too old, or it did not come from this console",
        data=RUNNING,
        next="load the page again and send the form from there",
    ),
    ErrorKind(
        code="form-too-large",
        exit=ExitCode.USAGE,
        message="what was sent is larger than a form of the console can be",
        data=UNTOUCHED,
        next="send less; a form holds at most 1 MiB",
    ),
    ErrorKind(
        code="page-failed",
        exit=ExitCode.FAILED,
        message="a fault in the console itself: the page could not be made",
        data="not touched by the console's pages, which only ask; a job that was started goes on",
        next="load the page again; `stratum logs frontend` holds what went wrong",
    ),
)
