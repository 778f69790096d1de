"""Makes the rescue kit: where everything lies, what it takes, and the commands that bring it back by hand."""

from __future__ import annotations

import hashlib
from html import escape

from stratum import __version__
from stratum.adapters import durable
from stratum.adapters.kit_text import render_commands
from stratum.config import Settings
from stratum.core.backup import Manifest
from stratum.core.rescue_kit import RescueKit
from stratum.ports import Ports

INSTRUCTIONS = "RESTORE.md"
"""Of the archive: it is written anew with every backup, with the exact commands for that very archive."""
_HEAD = """RESCUE KIT OF THE STACK {stack}

Made {made_at} by Stratum {version}. Print it, and keep it away from the machine it is about.
{secrecy}

WHERE EVERYTHING IS

Archive              {archive}
It shares with the   {domain}
data's disk
Copies               {copies}
Sealed for           {recipients}
Cluster              {cluster}
PostgreSQL           {postgresql}
Newest dump          {dump}
Newest base backup   {base}
{key}
HOW TO BRING IT BACK BY HAND

{commands}
TO BRING BACK A DUMP INSTEAD

What follows is {instructions} of the archive, as it was when this page was made. The archive has it too, and newer.

{dumps}
"""
_NO_KEY = """It holds no password and no private key. A file whose name ends in .age is sealed: opening it takes the
private key, which has to be kept apart from this page and from the archive."""
_WITH_KEY = """It holds the private key: whoever finds it together with the archive, or with a copy of it, can read
everything. Keep it where you keep deeds and passports."""
_KEY = """
PRIVATE KEY

Write the next line to a file of its own, which KEY names below:

{key}
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Rescue kit of {stack}</title>
<style>
body {{ max-width: 60rem; margin: 0 auto; padding: 1rem; }}
pre {{ font: .9rem/1.4 monospace; white-space: pre-wrap; overflow-wrap: anywhere; }}
@media print {{ body {{ padding: 0; }} pre {{ font-size: 9pt; }} }}
</style>
</head>
<body><main><pre>{text}</pre></main></body>
</html>
"""
_DOMAINS = {"same-disk": "the disk: losing it loses both", "other-disk": "the machine", "other-host": "nothing"}
_UNDER = "\n" + " " * 21


def make_rescue_kit(ports: Ports, settings: Settings, *, key: str | None = None) -> RescueKit:
    """Read the archive, and put together what a stranger needs; with `key`, the private key too.

    Raises `archive-missing`.
    """
    now, recorded = ports.clock.now(), ports.archive.recorded_identity()
    manifests, bases = ports.archive.manifests(), ports.wal.bases()
    newest: Manifest | None = manifests[-1] if manifests else None
    major = bases[-1].cluster.major if bases else newest.cluster.major if newest else None
    with durable.archive_errors(settings.archive_path):
        dumps = (settings.archive_path / INSTRUCTIONS).read_text(encoding="utf-8")
    copies, recipients = settings.archive.copies, settings.archive.recipients
    text = _HEAD.format(
        stack=ports.stack.name,
        made_at=f"{now:%Y-%m-%d %H:%M:%S %Z}",
        version=__version__,
        secrecy=_WITH_KEY if key else _NO_KEY,
        archive=_place(settings),
        domain=_DOMAINS.get(ports.archive.failure_domain().name, "not known"),
        copies=_UNDER.join(f"{copy.name}: {copy.url}" for copy in copies) or "none",
        recipients=_UNDER.join(f"{r} (fingerprint {fingerprint(r)})" for r in recipients) or "nobody: it is not sealed",
        cluster=recorded.system_identifier if recorded else "none recorded",
        postgresql=f"{major}: its own tools are needed" if major else "no backup says which yet",
        dump=newest.id if newest else "none",
        base=bases[-1].id if bases else "none",
        key=_KEY.format(key=key) if key else "",
        commands=render_commands(
            archive=_place(settings), copies=copies, bases=bases, sealed=bool(recipients), version=__version__
        ),
        instructions=INSTRUCTIONS,
        dumps=dumps,
    )
    page = _PAGE.format(stack=escape(ports.stack.name), text=escape(text))
    return RescueKit(stack=ports.stack.name, made_at=now, page=page, text=text)


def fingerprint(recipient: str) -> str:
    """A few letters by which two people compare a recipient on paper."""
    digits = hashlib.sha256(recipient.encode()).hexdigest()[:16]
    return " ".join(digits[start : start + 4] for start in range(0, 16, 4))


def _place(settings: Settings) -> str:
    """As its owner knows it: inside a container the archive's own path says nothing."""
    known_outside = settings.environment.get("BACKUP_DIR") if settings.inside else None
    return known_outside or str(settings.archive_path)
