"""The console's database: made by `up`, guarded like the application's, and never a way back in for old sessions."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest

from stratum.adapters.service_record import SupervisionFiles
from stratum.core.errors import StratumError
from stratum.core.plan import PlanEnd
from stratum.core.services import ServicePhase, ServiceState
from stratum.engine.bring_up import bring_up
from stratum.engine.destroy import destroy
from stratum.engine.restore import Target, restore
from stratum.engine.take_dump import take_dump
from stratum.engine.undo_restore import undo_restore
from stratum.ports import RunState
from tests.fixtures.console_stacks import (
    CONSOLE,
    as_console,
    lay_down_with_console,
    stand_ins,
    turn_console_on,
)
from tests.fixtures.stacks import DATABASE, OWNER, Asked, StackUnderTest, wait_until


def _services(stack: StackUnderTest) -> dict[str, ServiceState]:
    return {state.name: state for state in stack.ports().services.observe(ask=True)}


def _epoch(stack: StackUnderTest) -> int:
    return stack.ports().archive.token_epoch()


def _restore_console(stack: StackUnderTest, *, asked: Asked | None = None) -> None:
    restore(stack.ports(asked=asked), Target(database=CONSOLE))


def _users(stack: StackUnderTest) -> object:
    return stack.scalar("SELECT count(*) FROM users", database=CONSOLE)


def test_the_consoles_role_owns_its_database_and_is_nobody_elsewhere(stack_with_console: StackUnderTest) -> None:
    rights = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = 'stratum_console'"
    owner = f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{CONSOLE}'"

    assert stack_with_console.rows(rights) == [(False, False, False, False)]
    assert stack_with_console.scalar(owner) == "stratum_console"
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        stack_with_console.connect(user=OWNER, database=CONSOLE)


def test_a_backup_holds_both_databases_and_a_drill_proves_both(stack_with_console: StackUnderTest) -> None:
    (manifest,) = stack_with_console.ports().archive.manifests()

    assert [found.facts.properties.name for found in manifest.databases] == [DATABASE, CONSOLE]
    assert stack_with_console.drill().verdict == "proven"


def test_bringing_up_again_changes_nothing(stack_with_console: StackUnderTest) -> None:
    before, epoch = _services(stack_with_console), _epoch(stack_with_console)

    stack_with_console.up()

    assert _services(stack_with_console) == before
    assert _epoch(stack_with_console) == epoch


def test_restoring_the_console_ends_its_sessions_once_and_starts_the_backend_anew(
    stack_with_console: StackUnderTest,
) -> None:
    epoch, before = _epoch(stack_with_console), _services(stack_with_console)
    with as_console(stack_with_console) as connection:
        connection.execute("DELETE FROM users WHERE id > 1")

    _restore_console(stack_with_console)

    assert _users(stack_with_console) == 3
    assert _epoch(stack_with_console) == epoch + 1
    wait_until(lambda: _services(stack_with_console)["backend"].healthy is True)
    after = _services(stack_with_console)
    assert after["backend"].pid != before["backend"].pid
    assert after["agent"].pid == before["agent"].pid


def test_taking_a_restore_of_the_console_back_ends_its_sessions_again(stack_with_console: StackUnderTest) -> None:
    _restore_console(stack_with_console)
    epoch = _epoch(stack_with_console)

    undo_restore(stack_with_console.ports(), CONSOLE)

    assert _epoch(stack_with_console) == epoch + 1


def test_restoring_the_application_ends_no_session(stack_with_console: StackUnderTest) -> None:
    epoch, before = _epoch(stack_with_console), _services(stack_with_console)

    stack_with_console.restore()
    stack_with_console.undo()

    assert _epoch(stack_with_console) == epoch
    assert _services(stack_with_console) == before


def test_a_declined_restore_of_the_console_ends_no_session(stack_with_console: StackUnderTest) -> None:
    epoch = _epoch(stack_with_console)

    with pytest.raises(StratumError) as declined:
        _restore_console(stack_with_console, asked=Asked(answer=False))

    assert declined.value.code == "declined"
    assert _epoch(stack_with_console) == epoch


def test_a_dropped_console_is_a_loss_and_comes_back_from_its_backup(stack_with_console: StackUnderTest) -> None:
    stack_with_console.execute(f"DROP DATABASE {CONSOLE} WITH (FORCE)")
    with pytest.raises(StratumError) as refused:
        stack_with_console.up()
    assert refused.value.code == "cluster-recreated"
    assert CONSOLE in refused.value.details["databases"]

    _restore_console(stack_with_console)
    stack_with_console.up()

    assert _users(stack_with_console) == 3


def test_after_a_total_loss_the_console_begins_empty_until_it_is_restored_too(
    stack_with_console: StackUnderTest,
) -> None:
    epoch = _epoch(stack_with_console)
    stack_with_console.kill()
    shutil.rmtree(stack_with_console.data)

    outcome = stack_with_console.restore()
    assert any(f"not restored yet: {CONSOLE}" in note for note in outcome.plan.notes)
    stack_with_console.up()

    assert stack_with_console.scalar("SELECT count(*) FROM orders") == 20
    assert (
        stack_with_console.scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database=CONSOLE) == 0
    )
    assert _epoch(stack_with_console) == epoch + 1
    with as_console(stack_with_console) as connection:
        connection.execute("CREATE TABLE users AS SELECT 9 AS id")
    backup = stack_with_console.backup()
    assert stack_with_console.drill(backup).verdict == "proven"

    first = stack_with_console.ports().archive.manifests()[0].id
    restore(stack_with_console.ports(), Target(backup_id=first, database=CONSOLE))
    stack_with_console.up()

    assert _users(stack_with_console) == 3
    assert _epoch(stack_with_console) == epoch + 2
    assert all(state.healthy for state in _services(stack_with_console).values())


def test_after_a_total_loss_the_restored_console_is_opened_with_the_password_of_the_settings(
    stack_with_console: StackUnderTest,
) -> None:
    epoch = _epoch(stack_with_console)
    stack_with_console.stop()
    shutil.rmtree(stack_with_console.data)
    stack_with_console.restore()

    _restore_console(stack_with_console)
    stack_with_console.up()

    with as_console(stack_with_console) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchall() == [(3,)]
    assert _epoch(stack_with_console) == epoch + 1


def test_a_stack_of_which_only_the_archive_is_left_gets_its_console_back(
    stack_with_console: StackUnderTest, tmp_path: Path
) -> None:
    survivor = tmp_path / "survivor"
    stack_with_console.stop()
    shutil.move(stack_with_console.archive, survivor)
    shutil.rmtree(stack_with_console.directory)
    lay_down_with_console(stack_with_console.directory, archive=str(survivor))

    stack_with_console.restore()
    _restore_console(stack_with_console)
    stack_with_console.up()

    with as_console(stack_with_console) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchall() == [(3,)]
    assert stack_with_console.scalar("SELECT count(*) FROM orders") == 20


def test_the_consoles_rows_do_not_hide_that_the_application_lost_its_own(stack_with_console: StackUnderTest) -> None:
    stack_with_console.execute("DELETE FROM orders WHERE id > 2")

    with pytest.raises(StratumError) as refused:
        stack_with_console.backup()

    assert refused.value.code == "rows-collapsed"


def test_events_that_were_cleared_from_the_console_stop_no_backup(stack_with_console: StackUnderTest) -> None:
    with as_console(stack_with_console) as connection:
        connection.execute("DELETE FROM events")

    assert take_dump(stack_with_console.ports()).end is PlanEnd.DONE


def test_stopping_ends_the_services_before_the_database(stack_with_console: StackUnderTest) -> None:
    stack_with_console.stop()

    assert {state.phase for state in _services(stack_with_console).values()} == {ServicePhase.STOPPED}
    assert stack_with_console.ports().runtime.observe().state is RunState.STOPPED


def test_a_service_that_does_not_start_leaves_the_database_running(
    stack_with_console: StackUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack_with_console.stop()
    ports = stack_with_console.ports()

    def refuse() -> None:
        raise StratumError("service-not-serving", service="backend", said="it ended with 10", log="diverged")

    monkeypatch.setattr(ports.services, "start", refuse)
    with pytest.raises(StratumError) as failed:
        bring_up(ports)

    assert failed.value.code == "service-not-serving"
    assert ports.runtime.observe().state is RunState.RUNNING
    assert ports.journal.entries()[-1].end is PlanEnd.DONE


def test_a_dry_run_shows_the_console_and_starts_nothing(stack_with_console: StackUnderTest) -> None:
    stack_with_console.stop()

    shown = stack_with_console.cli("up", "--dry-run")

    assert shown.returncode == 0
    assert "make the console's role and database where they are missing" in shown.stdout
    assert "start what does not run of the agent, the backend and the frontend" in shown.stdout
    assert {state.phase for state in _services(stack_with_console).values()} == {ServicePhase.STOPPED}


def test_the_checklist_is_red_while_a_service_does_not_answer(stack_with_console: StackUnderTest) -> None:
    def line() -> str:
        shown = stack_with_console.cli("check").stdout
        return next(part for part in shown.splitlines() if " services: " in part)

    assert "the stack's services answer: agent, backend, frontend" in line()
    stack_with_console.ports().services.stop()
    assert "RED" in line()
    assert "agent, backend, frontend" in line()


def test_destroying_ends_the_services_and_keeps_both_databases_in_the_final_backup(
    stack_with_console: StackUnderTest,
) -> None:
    stack_with_console.drill()

    destroy(stack_with_console.ports())

    assert {state.phase for state in _services(stack_with_console).values()} == {ServicePhase.STOPPED}
    assert not stack_with_console.data.exists()
    last = stack_with_console.ports().archive.manifests()[-1]
    assert [found.facts.properties.name for found in last.databases] == [DATABASE, CONSOLE]


def test_a_console_token_is_made_with_everything_down_and_signs_in_once(stack_with_console: StackUnderTest) -> None:
    stack_with_console.stop()

    said = stack_with_console.cli("console-token")
    token = said.stdout.split()[0]

    ports = stack_with_console.ports()
    now = ports.clock.now()
    assert said.returncode == 0
    assert token not in (stack_with_console.archive / "console.json").read_text(encoding="utf-8")
    assert (stack_with_console.archive / "console.json").stat().st_mode & 0o777 == 0o600
    assert ports.archive.redeem_console_token(token, now=now)
    assert not ports.archive.redeem_console_token(token, now=now)


def test_a_stack_from_before_gets_a_console_by_its_settings(
    stack: StackUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stratum.services_wiring.build_services", stand_ins)
    turn_console_on(stack.directory)
    try:
        stack.up()

        assert {state.name for state in _services(stack).values() if state.healthy} == {"agent", "backend", "frontend"}
        backup = stack.backup()
        assert stack.drill(backup).verdict == "proven"
        names = [d.facts.properties.name for d in stack.ports().archive.manifests()[-1].databases]
        assert names == [DATABASE, CONSOLE]
    finally:
        stack.ports().services.stop()


def test_a_console_that_is_turned_off_is_ended_by_the_next_up(stack_with_console: StackUnderTest) -> None:
    file = stack_with_console.directory / "stratum.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("enabled = true", "enabled = false"), encoding="utf-8")

    stack_with_console.up()

    assert not SupervisionFiles(directory=stack_with_console.directory / ".stratum").is_supervised()
