"""demo: the whole story on the embedded runtime."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from stratum.cli.session import JsonOption, fail, reported, show_record
from stratum.core.errors import ExitCode


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the stack at the end, and start its console.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a stack up, fill it under live writes, back it up, prove it, lose it in several ways, get it back."""
    from stratum.adapters.records import to_dict
    from stratum.cli.render import SilentProgress
    from stratum.core.proof import Verdict
    from stratum.demo.story import StoryStopped, tell

    def say(line: str) -> None:
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    with reported(as_json=as_json):
        try:
            report = tell(say=say, progress=SilentProgress(), keep=keep)
        except StoryStopped as stopped:
            say(f"\nThe story stopped: {stopped}")
            fail(ExitCode.AT_RISK)
        missing = sum(result.rows_missing for result in report.disasters)
        after = sum(result.rows_after_point for result in report.disasters)
        text = (
            f"\n{len(report.disasters)} disasters, verdict: {report.verdict}\n"
            f"rows of the recovery points that are missing: {missing}\n"
            f"rows acknowledged after them, which a dump cannot bring back: {after}\n"
            f"a backup takes {report.backup_s:.1f} s here, a restore {report.restore_s:.1f} s"
        )
        if report.kept:
            text += _told_of(report.kept, report.console)
        show_record(to_dict(report), text, as_json=as_json)
        if report.verdict is not Verdict.PROVEN:
            fail(ExitCode.AT_RISK)


def _told_of(directory: str, console: str | None) -> str:
    stack = f"--stack {shlex.quote(directory)}"
    return (
        f"\n\nthe stack is kept in {directory}, and runs\n"
        f"its console: {console}\n"
        f"its first administrator is made with a one-time token: `stratum logs backend {stack}` shows it\n"
        f"`stratum stop {stack}` ends it; then the directory can be deleted"
    )
