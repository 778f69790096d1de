"""The JSON Schemas of what Stratum writes and prints, made from the records themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from stratum.adapters.records import json_schema
from stratum.cli.attribute_docstrings import attribute_docstrings, one_line
from stratum.core import (
    agent_status,
    alarm,
    answers,
    backup,
    base_backup,
    checklist,
    console_access,
    copies,
    coverage,
    file_sets,
    guard,
    identity,
    job,
    plan,
    proof,
    protect_answer,
    protection,
    receiving,
    rehearsal,
    release,
    rescue_kit,
    services,
    timeline,
    wal,
)
from stratum.demo import story

SCHEMAS: dict[str, type[object]] = {
    "adopt": answers.AdoptAnswer,
    "agent-status": agent_status.AgentStatus,
    "backup": answers.BackupAnswer,
    "backups": answers.BackupsAnswer,
    "base-backup": coverage.BaseAnswer,
    "checklist": answers.ChecklistAnswer,
    "console-token": console_access.ConsoleTokenAnswer,
    "copies": copies.CopiesAnswer,
    "coverage": coverage.CoverageAnswer,
    "demo": story.DemoReport,
    "error": answers.ErrorAnswer,
    "job": job.Job,
    "job-event": job.JobEvent,
    "jobs": job.JobsAnswer,
    "journal": answers.JournalAnswer,
    "journal-entry": plan.JournalEntry,
    "kit": rescue_kit.KitAnswer,
    "manifest": backup.Manifest,
    "notify": answers.NotifyAnswer,
    "outcome": answers.OutcomeAnswer,
    "pin": answers.PinAnswer,
    "plan": plan.Plan,
    "proof": proof.Proof,
    "proofs": answers.ProofsAnswer,
    "protect": protect_answer.ProtectAnswer,
    "protection": protection.Protection,
    "rehearsal": rehearsal.Rehearsal,
    "releases": release.ReleasesAnswer,
    "rescue-kit": rescue_kit.RescueKit,
    "restore-point": protect_answer.RestorePointAnswer,
    "services": services.ServicesAnswer,
    "settings": answers.SettingsAnswer,
    "status": agent_status.Status,
    "timeline": timeline.Timeline,
    "undo-copy": answers.UndoCopyAnswer,
}
"""Each file of schemas/ and the record it describes."""

_MODULES = (
    agent_status,
    alarm,
    answers,
    backup,
    base_backup,
    checklist,
    console_access,
    copies,
    file_sets,
    coverage,
    guard,
    identity,
    job,
    plan,
    proof,
    protect_answer,
    protection,
    receiving,
    rehearsal,
    release,
    rescue_kit,
    services,
    story,
    timeline,
    wal,
)
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def render_schema(name: str) -> str:
    """One schema as its file holds it.

    The format number is fixed and required. Other keys may be added within a format, so a reader passes over
    those it does not know.
    """
    kind = SCHEMAS[name]
    found = json_schema(kind)
    for record, schema in _records(kind, found):
        _describe(record, schema)
    return json.dumps({"$schema": _DIALECT, **found}, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


@cache
def render_openapi() -> str:
    """The description of the backend's public API, for generated clients. Nothing is connected to."""
    from stratum.backend.app import create_app
    from stratum.backend.settings import BackendSettings

    nowhere = BackendSettings(
        database_url="postgresql+psycopg://nobody@127.0.0.1:1/none",
        agent_url="http://127.0.0.1:1",
        agent_secret_file=Path("/nonexistent"),
        jwt_secret="x" * 32,  # signs nothing here
    )
    return json.dumps(create_app(nowhere).openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _records(kind: type[object], schema: dict[str, Any]) -> Iterator[tuple[type[object], dict[str, Any]]]:
    """Each record in the schema with its part of it: the root, and those it refers to."""
    yield kind, schema
    for name, part in schema.get("$defs", {}).items():
        yield next(getattr(module, name) for module in _MODULES if hasattr(module, name)), part


def _describe(record: type[object], schema: dict[str, Any]) -> None:
    schema["description"] = one_line(record.__doc__)
    if issubclass(record, Enum):
        return
    properties: dict[str, dict[str, Any]] = schema["properties"]
    for field, text in attribute_docstrings(record).items():
        if field in properties:
            properties[field]["description"] = text
    for part in properties.values():
        part.pop("title", None)
    if "format" in properties:
        number = properties["format"].pop("default")
        properties["format"] |= {"const": number, "description": "The number of this format."}
        schema["required"] = sorted({*schema.get("required", ()), "format"})
