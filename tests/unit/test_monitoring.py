"""The rules and the dashboard that are shipped name only numbers the agent shows, in files their programs can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml

from stratum.agent.metrics import Measured, WatchMetrics
from stratum.core.alarm import Alarm, AlarmBook, Condition
from stratum.core.checklist import Line, LineState
from stratum.core.job import Job, JobRequest, JobState, JobVerb
from stratum.core.protection import describe_protection
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.engine.report_status import Status
from tests.architecture.sources import ROOT
from tests.fixtures.manifests import NOW, a_manifest, a_proof

_FOLDER = ROOT / "src" / "stratum" / "monitoring"
_WORDS = frozenset(
    ["absent", "and", "by", "increase", "on", "or", "rate", "sum", "time", "state", "verb", "failed", "red", "name"]
)


_RECEIVER = ReceiverState(
    at=NOW,
    mode=ProtectMode.STREAMING,
    phase=ReceiverPhase.RECEIVING,
    behind_bytes=128,
    safe_at=NOW - timedelta(seconds=1),
)


def _measured() -> Measured:
    protection = describe_protection(
        (a_manifest("b", taken_at=NOW - timedelta(seconds=90)),),
        (a_proof("b", finished_at=NOW - timedelta(hours=3), restore_seconds=41.0),),
        failure_domain="other-disk",
        now=NOW,
    )
    status = Status(
        stack="led",
        protection=protection,
        database="running",
        database_detail="",
        port=5433,
        cluster="7",
        backups=1,
        broken_backups=(),
        foreign_files=(),
        cut_plans=(),
    )
    alarm = Alarm(condition=Condition(name="clock", message="", data="", next=""), red=True, since=NOW)
    return Measured(
        now=NOW,
        status=status,
        backup_bytes=4096,
        last_success={"backup": NOW},
        canary_at=NOW - timedelta(seconds=2),
        book=AlarmBook(alarms=(alarm,)),
        lines=(Line(name="clock", state=LineState.RED),),
        looked_at=NOW,
        receiver=_RECEIVER,
        wal_bytes=1 << 20,
        bases=2,
    )


def _shown(measured: Measured) -> dict[str, float]:
    metrics = WatchMetrics()
    request = JobRequest(verb=JobVerb.BACKUP, who="schedule")
    metrics.job_ended(
        Job(
            id="j",
            request=request,
            state=JobState.DONE,
            queued_at=NOW,
            started_at=NOW,
            ended_at=NOW + timedelta(seconds=7),
        )
    )
    lines = [line for line in metrics.render(measured).decode().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_the_numbers_are_those_of_the_status() -> None:
    shown = _shown(_measured())

    assert shown["stratum_protection_loss_seconds"] == 90
    assert shown["stratum_protection_recovery_seconds"] == 41
    assert shown["stratum_protection_proven_age_seconds"] == 3 * 3600
    assert shown["stratum_canary_age_seconds"] == 2
    assert shown["stratum_database_up"] == 1
    assert shown["stratum_receiver_up"] == 1
    assert shown["stratum_receiver_lag_bytes"] == 128
    assert shown["stratum_receiver_lag_seconds"] == 1
    assert shown["stratum_unprotected"] == shown["stratum_degraded"] == 0
    assert shown["stratum_wal_bytes"] == 1 << 20
    assert shown["stratum_base_backups"] == 2
    assert shown['stratum_alarm{name="clock"}'] == 1
    assert shown['stratum_checklist_lines{state="red"}'] == 1
    assert shown['stratum_jobs_total{state="done",verb="backup"}'] == 1
    assert shown['stratum_job_duration_seconds_sum{verb="backup"}'] == 7


def test_what_was_not_measured_is_left_out_and_never_zero() -> None:
    shown = _shown(replace(_measured(), canary_at=None, looked_at=None, last_success={}))

    assert not [name for name in shown if name.startswith(("stratum_canary", "stratum_checklist", "stratum_last"))]


def test_a_receiver_whose_agent_died_is_not_shown_as_up() -> None:
    old = replace(_RECEIVER, at=NOW - timedelta(minutes=1))

    assert _shown(replace(_measured(), receiver=old))["stratum_receiver_up"] == 0


def test_where_no_wal_is_asked_for_there_is_no_number_of_a_receiver() -> None:
    off = replace(_RECEIVER, mode=ProtectMode.DUMPS, phase=ReceiverPhase.OFF)

    assert not [name for name in _shown(replace(_measured(), receiver=off)) if name.startswith("stratum_receiver")]


def _rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((_FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def _dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
    return found


def _expressions() -> list[str]:
    panels = [target["expr"] for panel in _dashboard()["panels"] for target in panel["targets"]]
    return [rule["expr"] for rule in _rules()] + panels


@pytest.mark.parametrize("expression", _expressions())
def test_an_expression_names_numbers_that_are_shown_and_is_balanced(expression: str) -> None:
    shown = {name.partition("{")[0] for name in _shown(_measured())}
    words = set(re.findall(r"[A-Za-z_:][A-Za-z0-9_:]*", re.sub(r"\[[0-9]+[smhd]\]", "", expression)))

    assert words - shown - _WORDS == set()
    assert words & shown
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)
    assert expression.count('"') % 2 == 0


def test_each_rule_says_what_is_wrong_and_what_to_do() -> None:
    rules = list(_rules())

    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_no_two_panels_lie_on_one_another() -> None:
    panels = _dashboard()["panels"]
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in panels}) == len(panels)
