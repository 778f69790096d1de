"""status.json and status.html in the archive: how things stand, readable when everything else is down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html import escape
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.messages import say, speak_protection, spoken_languages
from stratum.adapters.records import to_json
from stratum.core.alarm import SpokenAlarm
from stratum.engine.report_status import Status

FORMAT = 1
REFRESH_AFTER = timedelta(seconds=60)
"""Written at least this often, so that an old page means a dead agent."""

TITLE = "Stratum: {stack}"
WRITTEN = "Written {at}. The agent writes this page at least once a minute: if it is older, the agent is down."
SILENCE = "Then nothing watches over the data: run `stratum up`, and read RESTORE.md beside this file if that fails."
ALL_WELL = "no alarm is on"
NOT_LOOKED = "the checklist was not looked at yet since the agent started"
DATABASE, BACKUPS, NEXT_BACKUP, NEXT_DRILL, CANARY, LOOKED, ALARMS = (
    "database",
    "backups",
    "next backup",
    "next drill",
    "last acknowledged write of the canary",
    "checklist looked at",
    "alarms",
)
NEVER = "none is scheduled"
NO_CANARY = "none since the agent started"
SINCE = "since {since}"
SENTENCES = (
    TITLE,
    WRITTEN,
    SILENCE,
    ALL_WELL,
    *(DATABASE, BACKUPS, NEXT_BACKUP, NEXT_DRILL, CANARY, LOOKED, ALARMS, NOT_LOOKED),
    *(NEVER, NO_CANARY, SINCE),
)

_PAGE = """<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 0 auto; padding: 1rem; }}
h1 {{ font-size: 1rem; font-weight: normal; }}
.sentence {{ font-size: 1.4rem; }}
dt {{ font-weight: bold; }}
dd {{ margin: 0 0 .5rem; overflow-wrap: anywhere; }}
li {{ margin-bottom: .75rem; overflow-wrap: anywhere; }}
footer {{ border-top: 1px solid; margin-top: 1.5rem; padding-top: .5rem; font-size: .95rem; }}
</style>
</head>
<body>
<h1>{title}</h1>
<main>
<p class="sentence">{sentence}</p>
<h2>{alarms_title}</h2>
{alarms}
<dl>
{facts}
</dl>
</main>
<footer><p>{written}</p><p>{silence}</p></footer>
</body>
</html>
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusFile:
    """status.json of the archive."""

    format: int = FORMAT
    written_at: datetime
    status: Status
    canary_at: datetime | None
    next_backup_at: datetime | None
    next_drill_at: datetime | None
    looked_at: datetime | None
    """When the checklist was last looked at; None when it was not since the agent started."""
    alarms: tuple[SpokenAlarm, ...]


def render_status_page(found: StatusFile) -> str:
    """The page: no script, nothing loaded from anywhere, the sentence first."""
    status = found.status
    canary = _time(found.canary_at) or say(NO_CANARY)
    facts = {
        DATABASE: status.database_detail,
        BACKUPS: str(status.backups),
        NEXT_BACKUP: _time(found.next_backup_at) or say(NEVER),
        NEXT_DRILL: _time(found.next_drill_at) or say(NEVER),
        CANARY: canary,
        LOOKED: _time(found.looked_at) or say(NOT_LOOKED),
    }
    return _PAGE.format(
        language="fr" if spoken_languages()[0].startswith("fr") else "en",
        title=escape(say(TITLE, {"stack": status.stack})),
        sentence=escape(speak_protection(status.protection)),
        alarms_title=escape(say(ALARMS)),
        alarms=_alarms(found),
        facts="\n".join(f"<dt>{escape(say(name))}</dt><dd>{escape(value)}</dd>" for name, value in facts.items()),
        written=escape(say(WRITTEN, {"at": _time(found.written_at) or ""})),
        silence=escape(say(SILENCE)),
    )


class StatusPage:
    """Writes both files, each in one step, when something changed or a minute has passed."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._last: StatusFile | None = None

    def write(self, found: StatusFile) -> bool:
        """Whether anything was written."""
        if self._last is not None and not _is_news(self._last, found):
            return False
        with durable.archive_errors(self._archive):
            durable.write_file(self._archive / "status.json", to_json(found) + "\n")
            durable.write_file(self._archive / "status.html", render_status_page(found))
        self._last = found
        return True


def _is_news(last: StatusFile, found: StatusFile) -> bool:
    """Ages grow and positions move by themselves, and the canary beats by itself: only the rest is a change."""
    if found.written_at - last.written_at >= REFRESH_AFTER:
        return True
    same = replace(found.status, protection=last.status.protection, receiver=last.status.receiver)
    quiet = replace(found, written_at=last.written_at, canary_at=last.canary_at, status=same)
    return quiet != last or _settled(found) != _settled(last)


def _settled(found: StatusFile) -> tuple[object, ...]:
    protection, receiver = found.status.protection, found.status.receiver
    backed_up = protection.newest_backup_at, protection.proven_at, protection.newest_drill, protection.failure_domain
    if receiver is None:
        return backed_up
    return *backed_up, receiver.phase, receiver.problem, receiver.unprotected_since, receiver.degraded_since


def _alarms(found: StatusFile) -> str:
    if not found.alarms:
        return f"<p>{escape(say(ALL_WELL if found.looked_at else NOT_LOOKED))}</p>"
    items = (
        f"<li><strong>{escape(alarm.name)}</strong> ({escape(say(SINCE, {'since': _time(alarm.since) or ''}))}): "
        f"{escape(alarm.statement)}<br>{escape(alarm.next)}</li>"
        for alarm in found.alarms
    )
    return "<ul>" + "".join(items) + "</ul>"


def _time(at: datetime | None) -> str | None:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else None
