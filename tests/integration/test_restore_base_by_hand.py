"""The commands of base/RESTORE.md, run by a shell as they stand: any second, with stock tools and without Stratum."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from stratum.adapters.embedded_postgresql import EmbeddedPostgresql
from stratum.adapters.postgresql_installation import observe_run_as
from stratum.adapters.wal_store import DirectoryWalStore
from stratum.core.wal import parse_segment_name
from stratum.engine.take_base_backup import take_base_backup
from tests.fixtures.stacks import StackUnderTest


@dataclass(frozen=True, kw_only=True, slots=True)
class _Person:
    """Somebody with an ordinary account, a copy of the archive and PostgreSQL's programs."""

    home: Path
    programs: str

    def run(self, folder: Path, *, time: str, to: str) -> subprocess.CompletedProcess[str]:
        page = (folder / "RESTORE.md").read_text()
        account = observe_run_as()
        env = {"PATH": f"{self.programs}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TO": str(self.home / to), "TIME": time}
        argv = ("sh", "-c", page.split("```sh\n")[1].split("```")[0])
        uid, gid = (account.uid, account.gid) if account else (None, None)
        return subprocess.run(
            argv, cwd=folder, env=env, capture_output=True, text=True, check=False, user=uid, group=gid
        )

    def ask(self, to: str, sql: str) -> str:
        argv = ("psql", "-XAt", f"--host={self.home / to}", "--username=postgres", "--dbname=stratum_db", "-c", sql)
        env = {"PATH": f"{self.programs}:/usr/bin:/bin"}
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout.strip()

    def stop(self, to: str) -> None:
        account = observe_run_as()
        argv = (f"{self.programs}/pg_ctl", "--mode=immediate", f"--pgdata={self.home / to / 'data'}", "stop")
        subprocess.run(argv, capture_output=True, check=False, user=account.uid if account else None)

    def owns(self, *paths: Path) -> None:
        """Hand over what is in these directories."""
        account = observe_run_as()
        if account is not None:
            for found in (path for top in paths for path in (top, *top.rglob("*"))):
                os.chown(found, account.uid, account.gid)


@pytest.fixture
def person(stack: StackUnderTest) -> Iterator[_Person]:
    runtime = cast("EmbeddedPostgresql", stack.ports().runtime)
    programs = Path(runtime.installation().program("postgres")).parent
    with tempfile.TemporaryDirectory(prefix="stratum-", dir="/tmp") as home:
        found = _Person(home=Path(home), programs=str(programs))
        found.owns(found.home)
        yield found
        for data in found.home.glob("*/data/PG_VERSION"):
            found.stop(data.parent.parent.name)


def _receive(stack: StackUnderTest) -> DirectoryWalStore:
    """All WAL of the server, as a receiver would have left it by now: whole segments filed, the last one partial."""
    store = DirectoryWalStore(stack.archive, stack="led")
    identifier = str(stack.scalar("SELECT system_identifier FROM pg_control_system()"))
    current = str(stack.scalar("SELECT pg_walfile_name(pg_current_wal_lsn())"))
    now = datetime.now(UTC)
    begun = store.begin_incarnation(identifier, timeline=1, at=now)
    folder = store.receiving_path(identifier, begun.name)
    for file in (stack.data / "pg_wal").iterdir():
        if parse_segment_name(file.name) is not None and file.name <= current:
            shutil.copyfile(file, folder / (file.name if file.name < current else f"{file.name}.partial"))
    store.store_closed(identifier, now=now)
    return store


def _give_tablespace(stack: StackUnderTest, person: _Person) -> None:
    space = person.home / "space"
    space.mkdir(mode=0o700)
    person.owns(space)
    stack.execute(f"CREATE TABLESPACE elsewhere LOCATION '{space}'")


def test_the_commands_of_the_page_go_to_a_second_and_to_the_last_received_write(
    stack: StackUnderTest, person: _Person
) -> None:
    _give_tablespace(stack, person)
    stack.execute("CREATE TABLE marks (what text) TABLESPACE elsewhere", "INSERT INTO marks VALUES ('base')")
    base_id = str(take_base_backup(stack.ports()).facts["backup_id"])
    stack.execute("INSERT INTO marks VALUES ('before')")
    moment = stack.scalar("SELECT clock_timestamp()::text")
    stack.execute("INSERT INTO marks VALUES ('after')", "SELECT pg_switch_wal()", "INSERT INTO marks VALUES ('last')")
    store = _receive(stack)
    archive = person.home / "archive"
    shutil.copytree(stack.archive, archive)
    person.owns(archive)
    before = sorted((path, path.stat().st_mtime_ns) for path in archive.rglob("*"))

    for time, wanted in ((str(moment), "base before"), ("", "base before after last")):
        to = f"back-{len(time)}"
        done = person.run(archive / "base", time=time, to=to)
        assert done.returncode == 0, done.stderr
        assert person.ask(to, "SELECT string_agg(what, ' ') FROM marks") == wanted
        assert str(person.home / to) in person.ask(to, "SELECT pg_tablespace_location(oid) FROM pg_tablespace"
                                                       " WHERE spcname = 'elsewhere'")  # fmt: skip
    assert sorted((path, path.stat().st_mtime_ns) for path in archive.rglob("*")) == before, "it is only read"

    exported = person.home / "exported"
    store.export_base(base_id, exported)
    person.owns(exported)
    done = person.run(exported, time="", to="alone")
    assert done.returncode == 0, done.stderr
    assert person.ask("alone", "SELECT string_agg(what, ' ') FROM marks") == "base"


def test_a_damaged_wal_file_ends_the_recovery_by_hand_and_is_not_taken_for_the_end(
    stack: StackUnderTest, person: _Person
) -> None:
    take_base_backup(stack.ports())
    stack.execute("CREATE TABLE marks (what text)", "SELECT pg_switch_wal()", "INSERT INTO marks VALUES ('last')")
    _receive(stack)
    archive = person.home / "archive"
    shutil.copytree(stack.archive, archive)
    damaged = max(archive.glob("wal/*/00000001/*.zst"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    person.owns(archive)

    done = person.run(archive / "base", time="", to="back")

    assert done.returncode != 0
    assert damaged.name in (person.home / "back" / "log").read_text()
