"""Updates of a stack on Docker: one that goes well, each way in which one fails, and the way back afterwards."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stratum.core.plan import JournalKind, PlanEnd
from tests.fixtures.database_stacks import ROWS, DatabaseStack
from tests.fixtures.released_stacks import ReleasedStack
from tests.fixtures.stacks import wait_until

_STRATUM = str(Path(sys.executable).with_name("stratum"))
_RUNNING = {"postgres", "backup", "backend", "app-1"}
_DESTROYING = "DELETE FROM orders WHERE id > 7"
_ACCEPTED = ("--accept", "migrate", "--accept", "app", "--accept", "orders")
"""For releases that a rehearsal finds out, where what comes after it is tried."""

_ASK_AGENT = """
import sys, urllib.request
secret = open("/run/secrets/agent").read().strip()
asked = urllib.request.Request(f"http://127.0.0.1:4002/rollback-cost{sys.argv[1]}")
asked.add_header("Authorization", f"Bearer {secret}")
print(urllib.request.urlopen(asked).read().decode())
"""
"""What the console's page of the cost asks, from inside the backup service."""


_SHY = """
psql -X -q -c 'INSERT INTO boots VALUES (1)'
[ "$(psql -X -At -c 'SELECT count(*) FROM boots')" -lt 2 ] || exit 1
exec perl /release/serve.pl
"""
"""A release that serves when it is started first, and never again."""


@pytest.fixture
def released(released_stack: ReleasedStack) -> ReleasedStack:
    """The module's stack, with every row and all its services, whatever the scenario before did."""
    assert released_stack.runs() == _RUNNING
    assert _rows(released_stack.stack) == ROWS
    return released_stack


def _rows(stack: DatabaseStack) -> int:
    return int(stack.sql("SELECT count(*) FROM orders"))


def _image(released: ReleasedStack) -> str:
    return released.stack.docker.ask("inspect", "--format", "{{.Image}}", f"{released.stack.name}-app-1")


def _container(released: ReleasedStack) -> str:
    return released.stack.docker.ask("inspect", "--format", "{{.Id}}", f"{released.stack.name}-app-1")


def _starts(released: ReleasedStack, since: float) -> int:
    """How often the application's container was started since then."""
    moments = ("--since", f"{since:.3f}", "--until", f"{time.time():.3f}")
    which = ("--filter", f"container={released.stack.name}-app-1", "--filter", "event=start")
    return len(released.stack.docker.ask("events", *moments, *which, "--format", "{{.Action}}").split())


def _end(released: ReleasedStack, verb: str) -> PlanEnd | None:
    ends = [entry.end for entry in released.entries(verb) if entry.kind is JournalKind.PLAN_ENDED]
    return ends[-1] if ends else None


@contextmanager
def _all_as_before(released: ReleasedStack) -> Iterator[None]:
    """The release, its image and every row are those of before when the block ends, and nothing else runs."""
    before = (released.serves(), _image(released), released.stack.digest())
    yield
    assert (released.serves(), _image(released), released.stack.digest()) == before
    assert released.runs() == _RUNNING


def test_an_update_keeps_every_row_and_the_way_back_leaves_or_takes_its_data(released: ReleasedStack) -> None:
    stack, before = released.stack, _image(released)
    released.write_release("2", migration="ALTER TABLE orders ADD COLUMN paid boolean")
    began = time.time()
    stack.done("update")

    assert _starts(released, began) == 2, (
        "unpublished, and published; a third one would be time away that nobody is told"
    )
    made = _container(released)
    stack.done("up")
    assert _container(released) == made, "it is as `up` wants it"

    assert (released.serves(), _rows(stack)) == ("2", ROWS)
    assert _image(released) != before
    assert stack.sql("SELECT count(paid) FROM orders") == "0"
    assert _end(released, "update") is PlanEnd.DONE
    assert "proven" in stack.done("backups", "list")

    assert stack.refusal("rollback")["code"] == "confirmation-needed"
    assert stack.refusal("rollback", "--confirm", "another")["code"] == "declined"
    assert released.serves() == "2"

    assert "public.orders.paid" in stack.done("rollback", "--dry-run"), "what the older release does not know"
    stack.done("rollback", "--confirm", stack.name)
    assert (released.serves(), _image(released), released.is_open()) == ("1", before, True)
    assert stack.sql("SELECT count(paid) FROM orders") == "0", "the data stays without --data"

    stack.done("rollback", "--confirm", stack.name)
    assert released.serves() == "2", "a rollback of a rollback goes forward again"
    recorded = json.loads(stack.done("releases", "--json"))["releases"]
    assert [one["verb"] for one in recorded[:3]] == ["rollback", "rollback", "update"]
    assert [one["running"] for one in recorded[:3]] == [True, False, False]
    assert recorded[0]["images"] == recorded[2]["images"] != recorded[1]["images"] == recorded[3]["images"]
    assert recorded[1]["kept"]
    stack.sql("ALTER TABLE orders DROP COLUMN paid")


def test_a_way_back_with_data_says_what_it_costs_and_keeps_what_it_replaces(released: ReleasedStack) -> None:
    stack = released.stack
    stack.sql("ALTER TABLE orders ADD COLUMN note text")
    changed = "ALTER TABLE orders ADD COLUMN paid boolean; ALTER TABLE orders DROP COLUMN note"
    released.write_release("3", migration=changed)
    stack.done("update", "--accept", "orders.note")
    stack.sql("INSERT INTO orders VALUES (100001, 'ordered after the update')")

    refused = stack.refusal("rollback", "--confirm", stack.name)
    assert refused["code"] == "code-needs-its-data"
    assert "stratum_db.public.orders.note is gone" in refused["message"]

    for query, is_refused in (("", True), ("?data=true", False)):
        asked = json.loads(stack.docker.ask("exec", f"{stack.name}-backup", "python", "-c", _ASK_AGENT, query))
        counted = next(one for one in asked["databases"] if one["database"] == "stratum_db")
        assert asked["refused"] is is_refused
        assert (counted["rows_lost"], counted["gone"][0]["name"]) == (1, "public.orders.note")

    planned = stack.done("rollback", "--data", "--dry-run")
    stack.done("rollback", "--data", "--confirm", stack.name)

    assert "orders" in planned
    assert "1" in next(line for line in planned.splitlines() if "orders" in line)
    assert _rows(stack) == ROWS
    assert stack.sql("SELECT count(*) FROM information_schema.columns WHERE column_name = 'paid'") == "0"
    (kept,) = (name for name in released.databases() if "taken_back" in name and name.startswith("stratum_db"))
    stack.sql(f'ALTER DATABASE "{kept}" ALLOW_CONNECTIONS true', user="postgres", database="postgres")
    assert stack.sql("SELECT name FROM orders WHERE id = 100001", database=kept) == "ordered after the update"

    stack.done("rollback", "--data", "--confirm", stack.name)
    assert released.serves() == "3"
    assert stack.sql("DELETE FROM orders WHERE id = 100001 RETURNING name") == "ordered after the update"
    assert stack.sql("SELECT count(paid) FROM orders") == "0", "what it set aside is live again"


def test_no_acknowledged_order_is_lost_whether_an_update_is_taken_back_or_done(released: ReleasedStack) -> None:
    stack = released.stack
    with released.orders(1_000_000) as acknowledged:
        _is_not_healthy(released)
        refused = stack.refusal("update", *_ACCEPTED)
        failed = next(name for name in released.databases() if "taken_back" in name and name.startswith("stratum_db"))
        taken_back = len(acknowledged)
        wait_until(lambda: len(acknowledged) > taken_back)
        released.write_release("6")
        facts = json.loads(stack.done("update", "--json"))["facts"]
        done = len(acknowledged)
        wait_until(lambda: len(acknowledged) > done)

    there = set(map(int, stack.sql("DELETE FROM orders WHERE id >= 1000000 RETURNING id").split()))
    assert set(acknowledged) - there == set()
    assert refused["details"]["code"] == "container-not-serving"
    assert failed in refused["data"]
    assert facts["downtime_seconds"] > 0
    stack.done("backup", "--accept-fewer-rows")


_DIES_WHEN_TOLD = "perl /release/serve.pl & until [ -e /release/die ]; do sleep 0.1; done; exit 1"


def test_a_release_that_dies_after_its_commit_is_named_and_led_back_from(released: ReleasedStack) -> None:
    """No way back by itself any more: people have written to it, and those rows stay."""
    stack, before = released.stack, released.serves()
    released.write_release("dies later", run=_DIES_WHEN_TOLD)
    stack.done("update")
    with released.orders(2_000_000) as acknowledged:
        wait_until(lambda: len(acknowledged) > 5)
        stack.docker.run("exec", f"{stack.name}-app-1", "touch", "/release/die")
        wait_until(lambda: "app-1" not in released.runs())

        (red,) = (
            line for line in json.loads(stack.run("check", "--json").stdout)["lines"] if line["name"] == "services"
        )
        stack.done("rollback", "--confirm", stack.name)
        served = len(acknowledged)
        wait_until(lambda: len(acknowledged) > served)

    assert red["state"] == "red"
    assert red["statement"].startswith("these services do not answer: app")
    assert "`stratum rollback`" in red["fix"]
    assert released.serves() == before
    there = set(map(int, stack.sql("DELETE FROM orders WHERE id >= 2000000 RETURNING id").split()))
    assert set(acknowledged) - there == set()
    stack.done("backup", "--accept-fewer-rows")


_WRITES_FIRST = "psql -X -q -c 'INSERT INTO started DEFAULT VALUES' && exec perl /release/serve.pl"


def test_an_older_release_that_dies_on_the_data_of_now_is_not_brought_back(released: ReleasedStack) -> None:
    stack = released.stack
    released.write_release("7", migration="CREATE TABLE started (n serial)", run=_WRITES_FIRST)
    stack.done("update")
    released.write_release("8", migration="ALTER TABLE started ADD CONSTRAINT closed CHECK (n < 0) NOT VALID")
    stack.done("update")
    before = stack.digest()

    refused = stack.refusal("rollback", "--confirm", stack.name)

    assert refused["code"] == "release-does-not-run"
    assert 'violates check constraint "closed"' in refused["message"], "in its own words"
    assert "--data" in refused["next"]
    assert (released.serves(), stack.digest()) == ("8", before)
    last = released.entries("rollback")[-1].plan_id
    assert "stop" not in [entry.step for entry in released.entries("rollback") if entry.plan_id == last]

    stack.sql("ALTER TABLE started DROP CONSTRAINT closed")
    stack.done("rollback", "--confirm", stack.name)

    assert released.serves() == "7"
    tried = [e for e in released.entries("rollback") if e.kind is JournalKind.STEP_DONE and e.step == "try"]
    assert tried[-1].facts["rehearsal"] == "safe"
    # What comes after this restarts what serves: 7 would not live without its table.
    stack.done("rollback", "--confirm", stack.name)
    assert released.serves() == "8"
    stack.sql("DROP TABLE started")
    stack.done("backup", "--accept-fewer-rows")


_ORDERS_ONE = """perl -MIO::Socket::INET -e '
my $app = IO::Socket::INET->new(PeerAddr => "$ENV{STRATUM_HOST}:8080") or die "nobody there: $!";
print $app "300001\\n";
die "not kept" unless (<$app> // "") eq "kept\\n";
'"""


@contextmanager
def _checks(released: ReleasedStack, *, smoke: str) -> Iterator[None]:
    """`[commands] health` and `smoke` are set as long as the block runs."""
    toml = released.stack.directory / "stratum.toml"
    before = toml.read_text(encoding="utf-8")
    added = f"health = ['grep', '-q', 'well', '/release/state']\nsmoke = ['sh', '-c', {json.dumps(smoke)}]\n"
    toml.write_text(before.replace("[commands]\n", f"[commands]\n{added}"), encoding="utf-8")
    yield
    toml.write_text(before, encoding="utf-8")


def test_a_smoke_check_asks_the_release_on_the_clone_and_then_the_one_nobody_reaches_yet(
    released: ReleasedStack,
) -> None:
    stack = released.stack
    released.write_release("asked")

    with _checks(released, smoke=_ORDERS_ONE):
        stack.done("update")

    newest = max((released.archive / "rehearsals").glob("*.json"))
    runs = json.loads(newest.read_text(encoding="utf-8"))["runs"]
    assert [(run["name"], run["ok"]) for run in runs] == [
        (name, True) for name in ("migrate", "app", "health", "smoke")
    ]
    assert released.serves() == "asked"
    # The number is a key: whoever asked twice in one place would not have been answered.
    assert stack.sql("DELETE FROM orders WHERE id = 300001 RETURNING name") == "acknowledged"
    stack.done("backup", "--accept-fewer-rows")


def test_a_smoke_check_that_fails_ends_an_update_before_it_stops_anything_and_before_its_commit(
    released: ReleasedStack,
) -> None:
    released.write_release("idle")
    with _checks(released, smoke="echo no order was taken >&2; exit 1"), _all_as_before(released):
        found_out: dict[str, Any] = released.stack.refusal("update")
        refused: dict[str, Any] = released.stack.refusal("update", "--accept", "smoke")

    assert found_out["details"]["code"] == "rehearsal-refuses"
    assert "fails: smoke: no order was taken" in found_out["message"]
    assert refused["details"]["code"] == "command-failed"
    assert "smoke" in refused["message"]
    assert _end(released, "update") is PlanEnd.COMPENSATED


# --- what fails -------------------------------------------------------------------------------------------------------


def _does_not_build(released: ReleasedStack) -> None:
    released.write_release("broken")
    released.break_build()


def _migration_fails_after_writing(released: ReleasedStack) -> None:
    released.write_release("broken", migration=_DESTROYING, then="echo no more >&2; exit 3")


def _transaction_fails(released: ReleasedStack) -> None:
    released.write_release("broken", migration=f"BEGIN; {_DESTROYING}; SELECT 1 / 0; COMMIT")


def _is_not_healthy(released: ReleasedStack) -> None:
    released.write_release("broken", migration=_DESTROYING, state="ill")


def _crashes_once_it_was_healthy(released: ReleasedStack) -> None:
    released.write_release("broken", migration=_DESTROYING, run="sleep 0.5; exit 1")


@pytest.mark.parametrize(
    ("breaks", "code"),
    [
        (_does_not_build, "build-failed"),
        (_migration_fails_after_writing, "command-failed"),
        (_transaction_fails, "command-failed"),
        pytest.param(_crashes_once_it_was_healthy, "container-not-serving", marks=pytest.mark.torture),
    ],
)
def test_an_update_that_fails_is_taken_back_with_every_row(
    released: ReleasedStack, breaks: Callable[[ReleasedStack], None], code: str
) -> None:
    breaks(released)

    with _all_as_before(released):
        refused: dict[str, Any] = released.stack.refusal("update", *_ACCEPTED)
        assert refused["code"] == "update-taken-back", refused
        assert refused["details"]["code"] == code, refused

    assert _end(released, "update") is PlanEnd.COMPENSATED


def test_what_was_acknowledged_after_a_power_cut_stays_though_the_update_is_taken_back(
    released: ReleasedStack,
) -> None:
    before = released.serves()
    released.write_release("cut", migration="CREATE TABLE half (n int)")
    released.cut("update", "step:update/undo-copy")
    # As Docker does at a boot with a container that is always to run, and as a person may do by hand.
    released.stack.docker.ask("start", f"{released.stack.name}-app-1")
    wait_until(lambda: released.order(7001))

    said = released.stack.run("up")

    assert said.returncode == 0, said.stdout + said.stderr
    assert "may have written" in said.stderr
    assert released.stack.sql("SELECT count(*) FROM orders WHERE id = 7001") == "1"
    assert _end(released, "update") is PlanEnd.COMPENSATED
    assert released.serves() == before
    released.stack.sql("DELETE FROM orders WHERE id = 7001")


def test_a_release_that_does_not_come_up_again_after_its_commit_bars_no_way_back(released: ReleasedStack) -> None:
    before, stack = released.serves(), released.stack
    released.write_release("shy", migration="CREATE TABLE boots (n int)", run=_SHY)

    assert stack.refusal("update")["code"] == "plan-unfinished"
    assert stack.refusal("up")["code"] == "plan-unfinished"
    stack.done("rollback", "--confirm", stack.name)

    assert released.serves() == before
    assert _rows(stack) == ROWS
    assert _end(released, "rollback") is PlanEnd.DONE
    stack.sql("DROP TABLE boots")
    stack.done("backup", "--accept-fewer-rows")


@pytest.mark.parametrize(
    ("migration", "state", "says"),
    [
        (_DESTROYING, "well", "destructive: loses rows of stratum_db.public.orders"),
        pytest.param("SELECT no_such_function()", "well", "fails: migrate: ", marks=pytest.mark.torture),
        ("SELECT 1", "ill", "fails: app: "),
    ],
)
def test_what_a_rehearsal_finds_out_stops_an_update_before_it_stops_anything(
    released: ReleasedStack, migration: str, state: str, says: str
) -> None:
    released.write_release("refused", migration=migration, state=state)
    container = _started(released)

    with _all_as_before(released):
        refused: dict[str, Any] = released.stack.refusal("update")
        assert refused["code"] == "update-taken-back", refused
        assert refused["details"]["code"] == "rehearsal-refuses", refused

    assert says in refused["message"]
    assert _started(released) == container, "the application was never stopped"


def _started(released: ReleasedStack) -> str:
    return released.stack.docker.ask(
        "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", f"{released.stack.name}-app-1"
    )


def test_an_update_moves_a_checkout_to_a_commit_and_back_when_it_fails(released: ReleasedStack) -> None:
    stack = released.stack
    released.write_release("1")
    released.git("init", "--quiet", "--initial-branch=main")
    released.git("add", ".")
    released.git("commit", "--quiet", "--message=first")
    first = released.git("rev-parse", "HEAD")
    released.write_release("broken", migration=_DESTROYING, then="exit 3")
    released.git("commit", "--quiet", "--all", "--message=broken")
    released.git("tag", "broken")
    released.write_release("4")
    released.git("commit", "--quiet", "--all", "--message=good")
    released.git("tag", "good")
    released.git("checkout", "--quiet", first)
    assert ".env" not in released.git("ls-files").split()
    stack.done("up")

    with _all_as_before(released):
        assert stack.refusal("update", "--to", "broken", *_ACCEPTED)["code"] == "update-taken-back"
    assert released.git("rev-parse", "HEAD") == first

    with _all_as_before(released):
        assert stack.refusal("update", "--to", "no-such-commit")["details"]["code"] == "source-not-moved"

    compose = stack.directory / "compose.yaml"
    committed = compose.read_text()
    compose.write_text(committed + "# edited at night\n")
    with _all_as_before(released):
        assert stack.refusal("update", "--to", "good")["code"] == "source-changed"
    compose.write_text(committed)

    stack.done("update", "--to", "good")
    assert released.serves() == "4"
    assert released.git("rev-parse", "HEAD") == released.git("rev-parse", "good")

    compose.write_text(committed + "# edited at night\n")
    with _all_as_before(released):
        assert stack.refusal("rollback", "--confirm", stack.name)["code"] == "source-changed"
    compose.write_text(committed)
    stack.done("rollback", "--confirm", stack.name)
    assert released.git("rev-parse", "HEAD") == first
    shutil.rmtree(stack.directory / ".git")


# --- killed in the middle ---------------------------------------------------------------------------------------------

_STEPS = (
    "backup",
    "prove",
    "keep",
    "source",
    "build",
    "renew",
    "rehearse",
    "stop",
    "undo-copy",
    "migrate",
    "start",
    "verify",
    "release",
    "publish",
    "tidy",
)
_FORWARD = ("release", "publish", "tidy")
_QUICK = ("migrate",)


def _before_the_entry_of(step: str) -> str:
    """The step took effect, and the journal does not know: a start of the plan and two entries a step come first."""
    return f"before:{2 * _STEPS.index(step) + 3}"


@pytest.mark.parametrize("step", _QUICK)
def test_an_update_that_is_killed_is_taken_back_by_the_next_start(released: ReleasedStack, step: str) -> None:
    _is_killed_and_taken_back(released, step)


@pytest.mark.torture
@pytest.mark.parametrize("step", [step for step in _STEPS if step not in {*_QUICK, *_FORWARD}])
def test_an_update_that_is_killed_anywhere_is_taken_back_by_the_next_start(released: ReleasedStack, step: str) -> None:
    _is_killed_and_taken_back(released, step)


def _is_killed_and_taken_back(released: ReleasedStack, step: str) -> None:
    stack = released.stack
    released.write_release("killed", migration="UPDATE orders SET name = 'migrated'")
    with _all_as_before(released):
        released.cut("update", _before_the_entry_of(step))
        if step in {"stop", "undo-copy", "migrate", "start", "verify"}:
            assert not released.is_open(), "nobody writes what the way back would take away"
        stack.done("up")

    assert released.is_open()
    assert _end(released, "update") is PlanEnd.COMPENSATED
    assert stack.done("status").count("cut short") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.torture)])
def test_a_migration_does_not_outlive_the_update_that_runs_it(released: ReleasedStack, number: signal.Signals) -> None:
    stack = released.stack
    waits = '[ "$STRATUM_REHEARSAL" = true ] || psql -X -c "SELECT pg_sleep(600)"'
    released.write_release("endless", migration=_DESTROYING, then=waits)
    argv = (_STRATUM, "update", *_ACCEPTED, "--stack", str(stack.directory))

    with _all_as_before(released):
        environment = {**stack.docker.environment, "LC_ALL": "C.UTF-8"}
        with subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
            try:
                wait_until(lambda: _migrates(stack), seconds=300)
                if number is signal.SIGTERM:
                    assert stack.refusal("update")["code"] == "locked"
                running.send_signal(number)
                _, said = running.communicate(timeout=300)
            finally:
                running.kill()
        if number is signal.SIGTERM:
            assert (running.returncode, b"error[update-taken-back]" in said) == (1, True)
        else:
            stack.done("up")
        assert not _migrates(stack)


def _migrates(stack: DatabaseStack) -> bool:
    """Whether a session sleeps where the migration's statements end."""
    return stack.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", database="postgres") != "0"


@pytest.mark.parametrize(
    "step", ["release", *(pytest.param(step, marks=pytest.mark.torture) for step in ("publish", "tidy"))]
)
def test_an_update_that_is_killed_after_its_commit_is_finished_by_the_next_start(
    released: ReleasedStack, step: str
) -> None:
    released.write_release(f"committed before {step}")
    # The release is noted in the journal as well.
    moment = _before_the_entry_of(step) if step == "release" else f"before:{2 * _STEPS.index(step) + 4}"
    released.cut("update", moment)
    assert released.is_open() is (step != "release")

    released.stack.done("up")

    assert released.is_open()
    assert released.serves() == f"committed before {step}"
    assert _end(released, "update") is PlanEnd.DONE
