"""Back to a moment: what was written just before it is there, and what came just after it is not."""

from __future__ import annotations

import json
import os
import shutil
from datetime import datetime, timedelta

import pytest

from stratum.core.errors import StratumError
from stratum.core.proof import Verdict
from stratum.core.volume_recovery import Moment
from stratum.engine.moments import order_of
from stratum.engine.restore_cluster import restore_cluster, undo_cluster
from tests.fixtures.receiving_stacks import ReceivingStack
from tests.fixtures.stacks import Asked, wait_until


def _mark(receiving: ReceivingStack, what: str) -> datetime:
    """A row, and the server's time right after it."""
    receiving.stack.execute(f"INSERT INTO marks VALUES ('{what}')")
    at = receiving.stack.scalar("SELECT clock_timestamp()")
    assert isinstance(at, datetime)
    return at


def test_a_moment_is_proven_and_restored_into_the_living_server_and_the_whole_cluster_goes_back_and_forth(
    receiving: ReceivingStack,
) -> None:
    stack = receiving.stack
    stack.execute("CREATE TABLE marks (what text)")
    before = _mark(receiving, "before")
    _mark(receiving, "after")
    receiving.wait_until_received()

    drilled = stack.cli("drill", "--at", before.isoformat(), "--json")
    proof = stack.ports().archive.proofs()[-1]
    assert drilled.returncode == 0, drilled.stderr
    assert (proof.verdict, proof.id) == (Verdict.PROVEN, json.loads(drilled.stdout)["id"])
    assert [check.name for check in proof.checks][:2] == ["files", "amcheck"]
    assert "after the moment" in {check.name for check in proof.checks}

    restored = stack.cli("restore", "--at", before.isoformat(), "--confirm", "led")
    assert restored.returncode == 0, restored.stderr
    assert stack.scalar("SELECT string_agg(what, ' ') FROM marks") == "before"
    stack.undo()
    assert stack.scalar("SELECT string_agg(what, ' ') FROM marks") == "before after"

    for out_of_reach in ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"):
        refused = stack.cli("restore", "--at", out_of_reach, "--confirm", "led")
        assert (refused.returncode, "target-out-of-reach" in refused.stderr) == (10, True), refused.stderr

    receiving.agent.stop()
    asked = Asked()
    restore_cluster(stack.ports(asked=asked), Moment(at=before))
    assert stack.scalar("SELECT string_agg(what, ' ') FROM marks") == "before"
    assert any("marks" in line and "-1" in line for line in asked.shown), asked.shown
    undo_cluster(stack.ports(asked=Asked()))
    assert stack.scalar("SELECT string_agg(what, ' ') FROM marks") == "before after"


def test_a_lost_data_directory_comes_back_to_the_last_received_write_and_is_protected_again(
    receiving: ReceivingStack,
) -> None:
    stack = receiving.stack
    stack.execute("CREATE TABLE marks (what text)")
    first = _mark(receiving, "first")
    _mark(receiving, "last")
    receiving.wait_until_received()
    bases = receiving.bases()
    stack.kill()
    shutil.rmtree(stack.data)
    wait_until(lambda: receiving.state().phase.value == "away")

    restore_cluster(stack.ports(asked=Asked()), Moment())

    assert stack.scalar("SELECT string_agg(what, ' ') FROM marks") == "first last"
    assert stack.scalar("SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'") == 0, "it was only looked with"
    wait_until(lambda: receiving.bases() > bases and receiving.is_protected())
    assert [i.timeline for i in receiving.inventory().incarnations] == [1, 2]
    _mark(receiving, "since")
    receiving.wait_until_received()
    restore_cluster(stack.ports(asked=Asked()), Moment(at=first))
    assert stack.scalar("SELECT string_agg(what, ' ') FROM marks") == "first"
    wait_until(lambda: receiving.state().timeline == 3 and receiving.is_protected())
    restore_cluster(stack.ports(asked=Asked()), Moment(timeline=2))
    assert stack.scalar("SELECT string_agg(what, ' ') FROM marks") == "first last since"


def test_a_name_and_a_transaction_from_before_the_newest_base_backup_are_reached_and_one_that_never_was_is_refused(
    receiving: ReceivingStack,
) -> None:
    stack = receiving.stack
    stack.execute("CREATE TABLE marks (what text)")
    _mark(receiving, "first")
    assert stack.cli("restore-point", "then").returncode == 0
    _mark(receiving, "second")
    xid = stack.scalar("INSERT INTO marks VALUES ('wrong') RETURNING pg_current_xact_id()::text")
    base = stack.cli("backup", "--kind", "base")
    assert base.returncode == 0, base.stderr
    _mark(receiving, "last")
    receiving.wait_until_received()

    assert _marks_at(receiving, Moment(name="then")) == 1
    assert _marks_at(receiving, Moment(before_xid=int(str(xid)))) == 2
    flushed = str(stack.scalar("SELECT pg_current_wal_flush_lsn()"))
    receiving.wait_until_received()
    assert _marks_at(receiving, Moment(lsn=flushed)) == 4
    beyond = stack.scalar("SELECT pg_current_wal_flush_lsn() + 1000000")
    for never in (Moment(name="never"), Moment(before_xid=4_000_000_000), Moment(lsn=str(beyond))):
        with pytest.raises(StratumError) as refused:
            _marks_at(receiving, never)
        assert refused.value.code == "target-out-of-reach", never


def _marks_at(receiving: ReceivingStack, moment: Moment) -> int:
    """How many a throwaway server of that moment holds."""
    ports = receiving.stack.ports()
    with ports.recovery.throwaway(order_of(moment, ports)) as recovered:
        (rows,) = (t.rows for found in recovered.cluster.databases for t in found.tables if t.name == "marks")
    return rows


def test_damage_in_what_is_needed_is_named_and_nothing_is_touched(receiving: ReceivingStack) -> None:
    stack = receiving.stack
    stack.execute("CREATE TABLE marks (what text)", "SELECT pg_switch_wal()")
    _mark(receiving, "kept")
    stack.execute("SELECT pg_switch_wal()")
    at = _mark(receiving, "later")
    receiving.wait_until_received()
    (base,) = stack.ports().wal.bases()
    held = (base.stop_lsn - 1) // base.segment_bytes  # the base backup has this one itself, and needs it from nowhere
    wait_until(lambda: any(s.sha256 and s.segment.number > held for s in receiving.inventory().segments))
    (identifier,) = stack.ports().wal.clusters()
    newest = max((stack.ports().wal.wal_path(identifier) / "00000001").glob("*.zst"))
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-9] + b"\x00" + whole[-8:])

    with pytest.raises(StratumError) as refused:
        restore_cluster(stack.ports(asked=Asked()), Moment(at=at))
    assert (refused.value.code, newest.name in refused.value.message) == ("wal-damaged", True)
    assert stack.scalar("SELECT count(*) FROM marks") == 2

    newest.unlink()
    for folder in newest.parent.parent.glob("receiving-*"):
        (folder / newest.stem).unlink(missing_ok=True)
    with pytest.raises(StratumError) as refused:
        restore_cluster(stack.ports(asked=Asked()), Moment(at=at))
    assert (refused.value.code, newest.stem in refused.value.message) == ("target-out-of-reach", True)

    # What came in late says nothing of when it was written: the moment lies in what is missing all the same.
    late = (at + timedelta(hours=1)).timestamp()
    for stored in newest.parent.glob("*.zst"):
        os.utime(stored, (late, late))
    assert stack.ports().recovery.check(order_of(Moment(at=at), stack.ports())) == base.id
    with pytest.raises(StratumError) as refused:
        restore_cluster(stack.ports(asked=Asked()), Moment(at=at))
    assert (refused.value.code, newest.stem in refused.value.message) == ("target-out-of-reach", True)
    assert stack.scalar("SELECT count(*) FROM marks") == 2
