"""A server of one's own that lets nobody replicate: the printed script says the line that is missing, and adds none."""

from __future__ import annotations

import re

import psycopg

from tests.fixtures.own_servers import DATABASE, OwnServerStack


def _keep_out(stack: OwnServerStack) -> None:
    file = stack.server.data / "pg_hba.conf"
    kept = [line for line in file.read_text(encoding="utf-8").splitlines() if "replication" not in line]
    file.write_text("\n".join(kept) + "\n", encoding="utf-8")
    stack.administer("SELECT pg_reload_conf()")


def test_the_line_that_the_script_says_and_a_reload_let_the_replication_role_in(adopted_stack: OwnServerStack) -> None:
    file = adopted_stack.server.data / "pg_hba.conf"
    _keep_out(adopted_stack)
    before = file.read_text(encoding="utf-8")

    said = adopted_stack.run_roles_script()

    assert file.read_text(encoding="utf-8") == before, "a line nobody agreed to was added"
    found = re.search(r'Add to it: "([^"]+)"', said)
    assert found is not None, said
    file.write_text(f"{before}{found.group(1)}\n", encoding="utf-8")
    adopted_stack.administer("SELECT pg_reload_conf()")
    assert "WARNING" not in adopted_stack.run_roles_script()
    settings = (adopted_stack.stack.directory / ".env").read_text(encoding="utf-8")
    password = re.search(r"^REPLICATION_PASSWORD=(\S+)$", settings, re.MULTILINE)
    assert password is not None
    with psycopg.connect(
        host="127.0.0.1", port=adopted_stack.server.port, user="stratum_replication", password=password.group(1),
        dbname=DATABASE, replication="true",
    ) as connection:  # fmt: skip
        assert connection.info.user == "stratum_replication"


def test_an_administrator_who_may_not_see_the_file_is_told_the_line(adopted_stack: OwnServerStack) -> None:
    adopted_stack.administer(
        "CREATE ROLE rented LOGIN CREATEDB CREATEROLE PASSWORD 'rented-password'",
        "GRANT CREATE ON SCHEMA public TO rented",
    )

    said = adopted_stack.run_roles_script(user="postgres")
    assert "WARNING" not in said

    script = (adopted_stack.server.root / "roles.sql").read_text(encoding="utf-8")
    section = script[script.index("DO $replication$") : script.index("$replication$;") + len("$replication$;")]
    with psycopg.connect(adopted_stack.server.dsn(DATABASE, user="postgres"), autocommit=True) as connection:
        told: list[str] = []
        connection.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))
        connection.execute("SET stratum.replication_line = 'host replication one'; SET ROLE rented")
        connection.execute("SET stratum.replication_from_afar = 'off'")
        connection.execute(section.encode())
    assert "host replication one" in "".join(told)


def test_the_maintenance_role_may_set_what_receiving_needs_and_nothing_else(adopted_stack: OwnServerStack) -> None:
    assert "WARNING" not in adopted_stack.run_roles_script()
    allowed = ("max_slot_wal_keep_size", "synchronous_standby_names", "archive_command", "work_mem")
    asked = " ,".join(f"has_parameter_privilege('stratum_maintenance', '{name}', 'ALTER SYSTEM')" for name in allowed)

    assert adopted_stack.scalar(f"SELECT ARRAY[{asked}]") == "[True, True, False, False]"
    assert adopted_stack.server.scalar(
        "postgres",
        "SELECT has_function_privilege('stratum_maintenance', 'pg_reload_conf()', 'EXECUTE')"
        " AND has_function_privilege('stratum_maintenance', 'pg_create_restore_point(text)', 'EXECUTE')"
    ) == "True"  # fmt: skip
