"""A server of the user's own: the whole story with no more rights than the printed script gives."""

from __future__ import annotations

import dataclasses
import json

import pytest

from stratum.adapters.env_file import replace_variable
from stratum.config import load_settings
from stratum.core.checklist import LineState
from stratum.core.errors import StratumError
from stratum.core.proof import Verdict
from stratum.core.services import ServicePhase
from stratum.engine.check import run_check
from stratum.engine.destroy import destroy
from stratum.ports import Role, RunState
from stratum.wiring import open_canary
from tests.fixtures.ledger_server import OWNER, LedgerServer, served_ledger
from tests.fixtures.own_servers import DATABASE, OwnServerStack, adopted_on
from tests.fixtures.ports import own_port


def _rows(stack: OwnServerStack) -> str:
    return stack.scalar("SELECT count(*) FROM orders")


def _line(stack: OwnServerStack, name: str) -> tuple[LineState, dict[str, str]]:
    (line,) = [line for line in run_check(stack.stack.ports()) if line.name == name]
    return line.state, line.details


def test_a_loss_on_a_server_of_the_users_own_is_brought_back_and_taken_back_again(
    own_server_stack: OwnServerStack,
) -> None:
    stack = own_server_stack.stack
    before = _rows(own_server_stack)
    backup_id = stack.backup()
    proof = stack.drill(backup_id)
    assert proof.verdict is Verdict.PROVEN, proof.checks
    own_server_stack.administer("DELETE FROM orders")

    stack.restore(backup_id)
    assert _rows(own_server_stack) == before

    stack.undo()
    assert _rows(own_server_stack) == "0"


def test_the_command_line_does_the_same_from_the_directory_alone(own_server_stack: OwnServerStack) -> None:
    cli = own_server_stack.stack.cli
    for words in (("up",), ("backup",), ("drill",), ("restore", "--table", "accounts"), ("status",)):
        done = cli(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    own_server_stack.administer("DROP TABLE events")
    done = cli("restore", "--confirm", "shop")
    assert done.returncode == 0, done.stdout + done.stderr

    assert own_server_stack.scalar("SELECT count(*) FROM events") == "300"
    assert "its disk, its start and its stop are yours to look after" in cli("status").stdout


def test_what_several_roles_own_comes_back_under_their_names(own_server_stack: OwnServerStack) -> None:
    own_server_stack.administer(
        "CREATE ROLE teller",
        "CREATE TABLE till (id int)",
        "INSERT INTO till VALUES (1)",
        "ALTER TABLE till OWNER TO teller",
    )
    own_server_stack.run_roles_script()
    backup_id = own_server_stack.stack.backup()
    own_server_stack.administer("DROP TABLE till")

    own_server_stack.stack.restore(backup_id)

    assert own_server_stack.scalar("SELECT tableowner FROM pg_tables WHERE tablename = 'till'") == "teller"
    assert own_server_stack.scalar("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'") == OWNER


def test_large_objects_of_the_application_are_in_the_backup_and_come_back(own_server_stack: OwnServerStack) -> None:
    own_server_stack.server.execute(DATABASE, "SELECT lo_from_bytea(4711, 'a letter')", user=OWNER)
    backup_id = own_server_stack.stack.backup()
    own_server_stack.administer("SELECT lo_unlink(4711)")

    own_server_stack.stack.restore(backup_id)

    assert own_server_stack.scalar("SELECT convert_from(lo_get(4711), 'UTF8')") == "a letter"


def test_the_script_gives_each_role_what_it_needs_and_no_superuser(own_server_stack: OwnServerStack) -> None:
    own_server_stack.run_roles_script()  # again: it changes nothing

    found = own_server_stack.scalar(
        "SELECT json_object_agg(rolname, concat_ws(' ', CASE WHEN rolsuper THEN 'super' END, "
        "CASE WHEN rolcreatedb THEN 'createdb' END, CASE WHEN rolcreaterole THEN 'createrole' END, "
        "CASE WHEN rolreplication THEN 'replication' END, CASE WHEN rolbypassrls THEN 'bypassrls' END)) "
        "FROM pg_roles WHERE rolname LIKE 'stratum%'"
    )
    assert json.loads(found.replace("'", '"')) == {
        "stratum_backup": "bypassrls",
        "stratum_maintenance": "createdb bypassrls",
        "stratum_replication": "replication",
    }


def test_no_password_stands_in_the_script_or_in_the_servers_log_of_every_statement(
    adopted_stack: OwnServerStack,
) -> None:
    adopted_stack.administer("ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()")
    adopted_stack.run_roles_script()

    settings = load_settings(adopted_stack.stack.directory)
    log = (adopted_stack.server.root / "log").read_text()
    script = (adopted_stack.server.root / "roles.sql").read_text()
    assert "stratum_maintenance" in log
    for name in ("BACKUP_PASSWORD", "REPLICATION_PASSWORD", "MAINTENANCE_PASSWORD"):
        assert settings.value(name) not in log + script
    assert adopted_stack.server.password not in script


def test_whoever_may_not_give_a_right_is_told_what_it_costs_and_the_rest_is_given(
    adopted_stack: OwnServerStack,
) -> None:
    _run_as_a_managed_server_would(adopted_stack)
    stack = adopted_stack.stack
    stack.up()

    state, details = _line(adopted_stack, "own-server")
    assert state is LineState.RED
    assert "stratum_backup is not exempt from row-level security" in details["missing"]
    assert details["replication"].startswith("no")
    with pytest.raises(StratumError) as refused:
        stack.backup()
    assert "row-level security" in refused.value.message
    assert stack.ports().archive.manifests() == ()

    adopted_stack.administer("ALTER TABLE orders DISABLE ROW LEVEL SECURITY")
    before = _rows(adopted_stack)
    stack.backup()
    adopted_stack.administer("DELETE FROM orders")
    stack.restore()
    assert _rows(adopted_stack) == before
    assert _line(adopted_stack, "own-server")[0] is LineState.HOLDS


def _run_as_a_managed_server_would(adopted: OwnServerStack) -> None:
    """As an administrator who is no superuser: some rights are not theirs to give."""
    adopted.administer(
        f"CREATE ROLE admin LOGIN CREATEROLE CREATEDB PASSWORD '{adopted.server.password}'",
        "GRANT pg_read_all_data, pg_monitor, pg_signal_backend TO admin WITH ADMIN OPTION",
        f"GRANT {OWNER} TO admin WITH ADMIN OPTION",
    )
    said = adopted.run_roles_script(user="admin")
    assert "not given (ALTER ROLE stratum_backup BYPASSRLS): a backup of a table with row-level security" in said
    assert "not given (ALTER ROLE stratum_replication REPLICATION): there is no restore to any moment" in said
    assert "the agent has no canary there" in said


def test_a_dump_of_the_roles_needs_no_look_at_their_passwords(own_server_stack: OwnServerStack) -> None:
    backup_id = own_server_stack.stack.backup()

    roles = (own_server_stack.stack.ports().archive.backup_path(backup_id) / "globals.sql").read_text()
    assert f"CREATE ROLE {OWNER}" in roles
    assert "SCRAM-SHA-256" not in roles


def test_no_membership_of_a_superuser_is_given_and_a_restore_there_is_refused_untouched(
    own_server_stack: OwnServerStack,
) -> None:
    own_server_stack.administer("CREATE TABLE vault (id int)", "INSERT INTO vault VALUES (1)")

    said = own_server_stack.run_roles_script()

    assert "not given: membership of postgres, who owns something in shop and is a superuser" in said
    state, details = _line(own_server_stack, "own-server")
    assert (state, "is no member of postgres" in details["missing"]) == (LineState.RED, True)
    backup_id = own_server_stack.stack.backup()
    own_server_stack.administer("DELETE FROM vault")
    with pytest.raises(StratumError) as refused:
        own_server_stack.stack.restore(backup_id)
    assert refused.value.code == "tool-failed"
    assert own_server_stack.server.scalar(DATABASE, "SELECT count(*) FROM vault", user="postgres") == "0"
    assert own_server_stack.stack.databases() == {"postgres", DATABASE}


def test_the_server_is_neither_stopped_nor_deleted_from_here(own_server_stack: OwnServerStack) -> None:
    own_server_stack.stack.backup()
    for refuse in (own_server_stack.stack.stop, lambda: destroy(own_server_stack.stack.ports())):
        with pytest.raises(StratumError) as refused:
            refuse()
        assert refused.value.code == "not-from-here"

    assert _rows(own_server_stack) == "200"
    assert own_server_stack.stack.ports().runtime.observe().state is RunState.RUNNING


def test_a_server_that_is_away_is_said_to_be_and_not_started(own_server_stack: OwnServerStack) -> None:
    own_server_stack.server.stop()
    with pytest.raises(StratumError) as refused:
        own_server_stack.stack.up()
    assert refused.value.code == "not-started-from-here"

    own_server_stack.server.start()
    own_server_stack.stack.up()
    assert _rows(own_server_stack) == "200"


def test_another_server_at_the_same_address_is_refused(own_server_stack: OwnServerStack) -> None:
    own_server_stack.stack.backup()
    own_server_stack.administer("DROP DATABASE shop", database="postgres")
    own_server_stack.server.create_database(DATABASE)
    with pytest.raises(StratumError) as refused:
        own_server_stack.stack.backup()
    assert refused.value.code == "cluster-recreated"


def test_a_lost_server_is_replaced_by_an_empty_one_at_its_address_and_the_data_restored_into_it(
    own_server_stack: OwnServerStack,
) -> None:
    own_server_stack.stack.backup()
    own_server_stack.server.stop()
    with served_ledger(port=own_server_stack.server.port) as empty:
        # What makes servers in tests makes this role too; on a new server nobody has.
        empty.execute("postgres", f"DROP ROLE {OWNER}")
        anew = dataclasses.replace(own_server_stack, server=empty)
        assert "there is no database shop yet" in anew.run_roles_script(database="postgres")

        anew.stack.restore()

        assert anew.server.scalar(DATABASE, "SELECT count(*) FROM orders", user="postgres") == "200"
        assert anew.stack.ports().runtime.server(Role.OWNER).database.observe_size(DATABASE) > 0
        anew.stack.backup()
    own_server_stack.server.start()


def test_the_console_keeps_its_users_on_the_server_too_and_stop_ends_the_console_alone(
    own_server: LedgerServer,
) -> None:
    with adopted_on(own_server, console=True) as adopted:
        adopted.run_roles_script()
        for variable in ("FRONTEND_PORT", "BACKEND_PORT", "AGENT_PORT"):
            replace_variable(adopted.stack.directory / ".env", variable, str(own_port()))
        adopted.stack.up()
        assert [state.name for state in adopted.stack.ports().services.observe(ask=True) if not state.serves] == []
        backup_id = adopted.stack.backup()
        assert adopted.stack.ports().archive.manifests()[-1].databases[1].facts.properties.owner == "stratum_console"
        assert adopted.stack.drill(backup_id).verdict is Verdict.PROVEN

        adopted.stack.stop()

        assert adopted.stack.ports().runtime.observe().state is RunState.RUNNING
        assert {state.phase for state in adopted.stack.ports().services.observe(ask=False)} == {ServicePhase.STOPPED}


def test_the_canary_beats_in_a_schema_the_script_made(own_server_stack: OwnServerStack) -> None:
    canary = open_canary(own_server_stack.stack.directory)
    try:
        first = canary.beat()
        assert canary.beat().beat == first.beat + 1
    finally:
        canary.close()


def test_the_applications_commands_are_told_the_address_as_it_was_written(own_server_stack: OwnServerStack) -> None:
    runtime = own_server_stack.stack.ports().runtime

    url = runtime.application_environment()["DATABASE_URL"]

    assert url.endswith(f":{own_server_stack.server.port}/{DATABASE}?schema=public")
    seen = own_server_stack.stack.directory / "seen"
    runtime.run_command(("sh", "-c", f"printenv DATABASE_URL > {seen}"))
    assert seen.read_text().strip() == url


def test_only_the_rights_of_the_script_are_used(own_server_stack: OwnServerStack) -> None:
    """What the tests above prove is worth something only if nobody in them was a superuser."""
    for role in Role:
        database = own_server_stack.stack.ports().runtime.server(role).database
        assert not database.is_superuser(), role
