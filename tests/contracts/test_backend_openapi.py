"""The backend holds to its OpenAPI description whatever is sent: no fault, nothing that it does not describe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from stratum.backend.app import create_app
from tests.fixtures.ledger_server import LedgerServer
from tests.integration.test_backend_data import WithAgent, nowhere, with_agent


@pytest.fixture(scope="module")
def api(console_server: LedgerServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithAgent]:
    """One backend for all of them: what an earlier request did is part of what a later one has to bear."""
    folder: Path = tmp_path_factory.mktemp("api")
    console_server.create_database("console_contract")
    with with_agent(console_server, "console_contract", folder) as both:
        yield both


# Signing out ends the session that the other requests are made in; the tests of sign-ins are about it.
schema = schemathesis.openapi.from_dict(create_app(nowhere()).openapi()).exclude(
    path_regex="/auth/(logout|logout-everywhere|sessions/.*)$"
)


@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_every_answer_is_a_described_one(case: Case[Any], api: WithAgent) -> None:
    # A password that is too weak, or a time beside a backup, is refused by rules that a schema cannot state.
    case.call_and_validate(
        excluded_checks=[positive_data_acceptance], base_url=api.base, headers={"Authorization": f"Bearer {api.admin}"}
    )


def test_every_error_of_every_route_has_the_one_shape(api: WithAgent) -> None:
    """A generated client has one type for all errors."""
    paths = api.console.client.get(f"{api.base}/openapi.json").json()["paths"]
    shapes = {
        str(answer.get("content", {}).get("application/json", {}).get("schema"))
        for path, ways in paths.items()
        for way in ways.values()
        for status, answer in way["responses"].items()
        if status >= "400" and not path.startswith("/api/v1/health")
    }

    assert shapes == {"{'$ref': '#/components/schemas/ErrorAnswer'}"}


def test_every_route_has_a_name_of_its_own_for_generated_clients(api: WithAgent) -> None:
    paths = api.console.client.get(f"{api.base}/openapi.json").json()["paths"]
    names = [way["operationId"] for ways in paths.values() for way in ways.values()]

    assert len(names) == len(set(names)) >= 40
