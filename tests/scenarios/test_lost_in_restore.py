"""What a restore lost is found by the drill although every tool ended well; what could not be looked at is said."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stratum.core.errors import StratumError
from stratum.core.proof import Proof, Verdict, newest_proven
from stratum.engine.run_drill import run_drill
from stratum.ports import Server
from tests.fakes.sabotaged_runtime import SabotagedRuntime
from tests.fixtures.archived_stacks import ArchivedStack, findings, with_programs
from tests.fixtures.postgresql_majors import MajorServer
from tests.fixtures.stacks import StackUnderTest

_SABOTAGE: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "nothing": ((), {}),
    "rows, a sequence and an index": (
        (
            "DELETE FROM receipt WHERE id = 7",
            "SELECT setval('account_id_seq', 3)",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'account_by_holder'::regclass",
        ),
        {
            "row-counts": "public.receipt: 501 expected, 500 found",
            "content": "the content differs in public.receipt",
            "sequences": "the next value is already taken: public.account_id_seq",
            "indexes": "invalid after the restore: public.account_by_holder",
            "schema": "missing: CREATE INDEX account_by_holder ON public.account USING btree (holder);",
        },
    ),
    "a value and a trigger": (
        (
            "ALTER TABLE account DISABLE TRIGGER ALL",
            "UPDATE account SET balance = balance + 1 WHERE id = 7",
            "ALTER TABLE account ENABLE TRIGGER ALL",
            "DROP TRIGGER account_stamp ON account",
        ),
        {
            "content": "the content differs in public.account",
            "schema": "missing: CREATE TRIGGER account_stamp BEFORE INSERT ON public.account FOR EACH ROW EXECUT",
        },
    ),
}


@pytest.mark.parametrize(("statements", "expected"), _SABOTAGE.values(), ids=_SABOTAGE)
def test_each_loss_is_found_by_its_own_check_and_no_loss_by_none(
    archived: ArchivedStack, statements: tuple[str, ...], expected: dict[str, str]
) -> None:
    real = archived.stack.ports().runtime
    ports = archived.stack.ports(runtime=SabotagedRuntime(real, *statements))

    run_drill(archived.newer.manifest(), ports)

    proof = ports.archive.proofs()[-1]
    assert findings(proof) == expected
    assert proof.verdict is (Verdict.FAILED if expected else Verdict.PROVEN)


_SMOKE = (
    ("SELECT count(*) > 0 FROM account", Verdict.PROVEN, "answered True"),
    ("SELECT 0", Verdict.PROVEN, "answered 0"),
    ("SELECT false", Verdict.FAILED, "answered False"),
    ("SELECT NULL", Verdict.FAILED, "answered None"),
    ("SELECT 1 WHERE false", Verdict.FAILED, "answered no row"),
    ("SELECT 1/0", Verdict.FAILED, "division by zero"),
    ("SELECT no_such_column FROM account", Verdict.FAILED, "does not exist"),
    ("DELETE FROM account RETURNING true", Verdict.FAILED, "read-only"),
    ("not even SQL", Verdict.FAILED, "syntax error"),
)


def test_the_stacks_own_questions_are_answered_by_the_restored_database(archived: ArchivedStack) -> None:
    ports = archived.stack.ports()
    stack = replace(ports.stack, drill=replace(ports.stack.drill, smoke_sql=tuple(text for text, _, _ in _SMOKE)))

    run_drill(archived.newer.manifest(), replace(ports, stack=stack))

    asked = [check for check in ports.archive.proofs()[-1].checks if check.name.startswith("smoke-")]
    assert [check.verdict for check in asked] == [verdict for _, verdict, _ in _SMOKE]
    assert [said in check.reason for check, (_, _, said) in zip(asked, _SMOKE, strict=True)] == [True] * len(_SMOKE)


_CORRUPTIBLE = """
CREATE TABLE ledger (id int PRIMARY KEY, note text);
INSERT INTO ledger SELECT n, md5(n::text) FROM generate_series(1, 5000) AS n;
CHECKPOINT;
"""


@pytest.mark.parametrize("relation", ["ledger", "ledger_pkey"])
def test_a_corrupted_page_is_found_by_amcheck_and_a_sound_one_is_not(archived: ArchivedStack, relation: str) -> None:
    """The copy made at file level is in no cache yet: what is read is what stands on the disk."""
    runtime = archived.stack.ports().runtime
    with runtime.scratch(purpose="drill", bootstrap_role="postgres") as server:
        _execute(server, "postgres", "CREATE DATABASE sound")
        for statement in _CORRUPTIBLE.strip().split("\n"):
            _execute(server, "sound", statement)
        (path,) = _execute(server, "sound", f"SELECT split_part(pg_relation_filepath('{relation}'), '/', 3)")
        _execute(server, "postgres", "CREATE DATABASE spoilt TEMPLATE sound STRATEGY file_copy")
        (oid,) = _execute(server, "postgres", "SELECT oid FROM pg_database WHERE datname = 'spoilt'")
        _spoil(_data_of(archived.stack) / "base" / str(oid) / str(path))

        sound, spoilt = server.tools.amcheck("sound"), server.tools.amcheck("spoilt")

    assert sound.verdict is Verdict.PROVEN, sound.reason
    assert spoilt.verdict is Verdict.FAILED, spoilt.reason
    assert relation in spoilt.reason


def _execute(server: Server, database: str, statement: str) -> tuple[Any, ...]:
    endpoint = server.database._endpoint  # type: ignore[attr-defined]  # the adapter's, which a test may look into
    with psycopg.connect(endpoint.conninfo(database), password=endpoint.password.reveal, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return (cursor.fetchone() or ()) if cursor.description else ()


def _data_of(stack: StackUnderTest) -> Path:
    (home,) = (path for path in (stack.directory / ".stratum" / "scratch").iterdir() if path.is_dir())
    return home / "data"


def _spoil(relation: Path) -> None:
    """Make the line pointers of the second page point to each other, beyond the page."""
    with relation.open("r+b") as stream:
        stream.seek(8192 + 24)
        stream.write(b"\x11" * 64)


def test_without_pg_amcheck_a_backup_could_not_be_verified_and_is_not_proven(archived: ArchivedStack) -> None:
    """The programs are linked one by one into a directory that lacks this one."""
    real = Path(archived.stack.ports().runtime._installation.bin_dir)  # type: ignore[attr-defined]  # the adapter's
    programs = archived.stack.directory / "bin"
    programs.mkdir(mode=0o755)
    for program in real.iterdir():
        if program.name != "pg_amcheck":
            (programs / program.name).symlink_to(program)

    proof = with_programs(archived, programs).newer.drill()

    assert proof.verdict is Verdict.COULD_NOT_VERIFY
    assert findings(proof) == {"amcheck": "pg_amcheck is not installed beside this server"}
    _is_no_proof(archived, proof)


def test_a_locale_this_machine_lacks_leaves_a_backup_unverified_with_its_own_exit_code(
    archived: ArchivedStack,
) -> None:
    def elsewhere(facts: dict[str, Any]) -> None:
        facts["properties"].update(locale_provider="libc", locale=None, collate="tlh_KX.UTF-8", ctype="tlh_KX.UTF-8")

    archived.newer.edit_facts(elsewhere)

    done = archived.stack.cli("drill", archived.newer.id)

    assert done.returncode == 12, done.stdout + done.stderr
    assert "could-not-verify" in done.stdout
    _is_no_proof(archived, archived.stack.ports().archive.proofs()[-1])
    assert re.search(rf"{archived.newer.id}.*could-not-verify", archived.stack.cli("backups", "list").stdout)


def _is_no_proof(archived: ArchivedStack, proof: Proof) -> None:
    assert newest_proven([archived.newer.manifest()], [proof]) is None


def test_tools_older_than_the_running_server_are_refused_by_name(
    stack: StackUnderTest, major_server: MajorServer
) -> None:
    older = replace(stack, programs=major_server(16).bin_dir)
    before = sorted((stack.archive / "dumps").iterdir())

    with pytest.raises(StratumError) as refused:
        older.backup()

    assert refused.value.code == "server-newer-than-tools"
    assert sorted((stack.archive / "dumps").iterdir()) == before
