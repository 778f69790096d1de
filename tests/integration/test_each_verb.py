"""Each verb connects as the roles the reference names, and prints with `--json` what its schema says."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from stratum.adapters.embedded_postgresql import EmbeddedPostgresql
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.records import parse
from stratum.cli.main import app
from stratum.cli.reference_schemas import SCHEMAS
from stratum.cli.reference_verbs import ANSWERS, CONNECTS_AS, verbs
from stratum.core.errors import ExitCode
from stratum.ports import Role
from tests.fixtures.json_schema import offences
from tests.fixtures.stacks import NAME, StackUnderTest

_UNSEEN = {"init", "demo", "notify", "agent", "adopt", "build", "update", "rollback", "shell", "rehearsal-clone",
           "upgrade-postgres"}  # fmt: skip
"""There is no stack before the first; the second is a long story of the others; the third asks no database, and the
fourth runs until it is stopped; the others are about containers, a clone for the host, another's server or another
PostgreSQL. All have tests of their own."""


def test_every_verb_stands_in_the_table_of_rights() -> None:
    groups = {"", "backups", "identity"}
    named = {name.removeprefix("stratum").strip() for name, _ in verbs(typer.main.get_command(app))}

    assert named - groups == CONNECTS_AS.keys()


def test_verbs_connect_as_the_reference_names_and_print_what_their_schemas_say(
    stopped_stack: StackUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _Seen(stopped_stack, monkeypatch)
    _set_commands(stopped_stack)

    for verb in ("up", "status", "check", "ps", "logs", "console-token", "identity show", "backups list", "releases"):
        seen.run(verb)
    for verb in ("migrate", "seed", "backup"):
        seen.run(verb)
    newest = stopped_stack.ports().archive.manifests()[-1].id
    for verb in ("backups show", "backups pin", "backups unpin", "verify", "drill"):
        seen.run(verb, newest)
    seen.run("backups export", newest, str(stopped_stack.directory / "exported"))
    seen.run("identity check")
    for verb in ("copies", "kit", "protect"):
        seen.run(verb)
    seen.run("restore-point", "before-the-move")
    seen.run("rehearse")
    with monkeypatch.context() as under_a_plan:
        under_a_plan.setenv("STRATUM_UNDER", "an update")
        seen.run("undo-copy", "make", "k3f9")
        seen.run("undo-copy", "drop", "k3f9")
    for verb in ("backup", "drill", "restore", "prune", "destroy"):
        _assert_is_a_dry_run(seen.run(verb, "--dry-run"))
    seen.run("rotate")
    for verb in ("restore", "prune", "stop", "identity accept", "down", "up", "destroy"):
        seen.run(verb, *_CONFIRMED.get(verb, ()))

    assert seen.roles == {verb: set(roles) for verb, roles in CONNECTS_AS.items() if verb not in _UNSEEN}
    assert seen.printed == set(ANSWERS) - _UNSEEN
    _assert_the_archive_holds_what_the_schemas_say(stopped_stack.archive)


def test_a_refusal_prints_an_error_object_and_exits_with_its_code(stopped_stack: StackUnderTest) -> None:
    done = stopped_stack.cli("backup", "--json")

    printed = json.loads(done.stdout)
    assert done.returncode == ExitCode.REFUSED
    assert offences(printed, "error") == []
    assert printed["error"]["code"] == "not-running"


@pytest.mark.parametrize("what", ["make", "back", "forward", "drop"])
def test_nobody_swaps_or_deletes_the_copies_of_an_update_by_hand(stopped_stack: StackUnderTest, what: str) -> None:
    done = stopped_stack.cli("undo-copy", what, "k3f9", "--json")

    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (ExitCode.REFUSED, "not-from-here")


def test_a_value_that_is_not_of_its_schema_is_found() -> None:
    """The judge of the tests above can say no."""
    error: dict[str, object] = {"code": "x", "message": "x", "data": "x", "next": "x", "details": {}}
    record = {"format": 1, "error": error}

    assert offences(record, "error") == []
    assert offences(record | {"format": 2}, "error") != []
    assert offences(record | {"more": 1}, "error") != []
    assert offences({"format": 1}, "error") != []
    assert offences({"format": 1, "error": error | {"code": 7}}, "error") != []


_CONFIRMED = {
    "restore": ("--confirm", NAME),
    "identity accept": ("--confirm", NAME),
    "destroy": ("--confirm", NAME) * 3,
}


class _Seen:
    """Runs verbs in this process, notes whom the runtime was asked to connect as, and judges what they print."""

    def __init__(self, stack: StackUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        self.roles: dict[str, set[Role]] = defaultdict(set)
        self.printed: set[str] = set()
        self._verb = ""
        self._stack = stack
        endpoint, run_command = EmbeddedPostgresql.endpoint, EmbeddedPostgresql.run_command

        def note_endpoint(runtime: EmbeddedPostgresql, role: Role) -> Endpoint:
            self.roles[self._verb].add(role)
            return endpoint(runtime, role)

        def note_command(
            runtime: EmbeddedPostgresql, argv: Sequence[str], *, told: Mapping[str, str] | None = None
        ) -> None:
            self.roles[self._verb].add(Role.OWNER)
            run_command(runtime, argv, told=told)

        monkeypatch.setattr(EmbeddedPostgresql, "endpoint", note_endpoint)
        monkeypatch.setattr(EmbeddedPostgresql, "run_command", note_command)

    def run(self, verb: str, *arguments: str) -> dict[str, Any]:
        """What it printed, which fits its schema and reads back as the record that the schema was made from."""
        self._verb = verb
        self.roles[verb] |= set()
        argv = [*verb.split(), *arguments, "--json", "--stack", str(self._stack.directory)]
        done = CliRunner().invoke(app, argv)
        assert done.exit_code == (ExitCode.AT_RISK if verb == "check" else ExitCode.DONE), done.output
        printed: dict[str, Any] = json.loads(done.stdout)
        if verb in ANSWERS and "--dry-run" not in arguments:
            assert offences(printed, ANSWERS[verb]) == []
            parse(SCHEMAS[ANSWERS[verb]], done.stdout, file=verb)
            self.printed.add(verb)
        return printed


def _assert_is_a_dry_run(printed: dict[str, Any]) -> None:
    assert offences(printed, "outcome") == []
    assert offences(printed["plan"], "plan") == []
    assert printed["end"] is None


def _assert_the_archive_holds_what_the_schemas_say(archive: Path) -> None:
    manifests = [json.loads(file.read_text()) for file in archive.glob("dumps/*/manifest.json")]
    for name, found in (
        ("manifest", manifests),
        ("proof", _lines(archive / "proofs")),
        ("journal-entry", _lines(archive / "journal")),
    ):
        assert found != []
        assert [offence for record in found for offence in offences(record, name)] == []


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def _set_commands(stack: StackUnderTest) -> None:
    file = stack.directory / "stratum.toml"
    text = file.read_text(encoding="utf-8")
    changed = text.replace("migrate = []", 'migrate = ["true"]').replace("seed = []", 'seed = ["true"]')
    file.write_text(changed, encoding="utf-8")
