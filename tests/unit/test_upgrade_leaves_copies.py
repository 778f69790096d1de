"""An upgrade leaves behind what a restore or an update put beside, and says so; anything else it refuses to leave."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stratum.core.errors import StratumError
from stratum.engine.restore import is_beside, name_beside
from stratum.engine.undo_copy import copy_name, taken_back_name
from stratum.engine.upgrade_postgres import refuse_databases_left_behind
from stratum.ports import Ports
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over

_PLAN_ID = "2026-11-01T10-00-00Z-mg5j"


def _ports() -> Ports:
    ports = ports_over(RecordingJournal(World()))
    return replace(ports, stack=replace(ports.stack, databases=("shop", "console")))


@pytest.mark.parametrize(
    "name",
    [
        *(name_beside("shop", what, _PLAN_ID) for what in ("restoring", "before", "undone")),
        copy_name("shop", "mg5j"),
        taken_back_name("console", "mg5j"),
    ],
)
def test_what_was_put_beside_stays_with_the_old_cluster_and_is_named(name: str) -> None:
    (said,) = refuse_databases_left_behind(17, ("shop", "console", "postgres", name), _ports())

    assert said.startswith(f"{name}: ")


def test_nothing_is_said_where_nothing_stays() -> None:
    assert refuse_databases_left_behind(17, ("shop", "console", "postgres"), _ports()) == ()


@pytest.mark.parametrize("name", ["wiki", "wiki__before_mg5j", "shop__archive", "__before_mg5j"])
def test_a_database_of_somebody_s_own_is_not_left_behind(name: str) -> None:
    with pytest.raises(StratumError) as raised:
        refuse_databases_left_behind(17, ("shop", name, copy_name("shop", "mg5j")), _ports())

    assert raised.value.code == "upgrade-refused"
    assert name in raised.value.message
    assert "before_update" not in raised.value.message


def test_the_copy_of_a_long_name_is_recognised_by_what_is_left_of_it() -> None:
    long = "ä" * 31

    assert is_beside(copy_name(long, "mg5j"), (long,))


def test_long_names_that_begin_alike_have_different_copies() -> None:
    names = tuple(f"customer_portal_production_emea_region_database_{n:02}" for n in range(20))

    copies = {copy_name(name, "mg5j") for name in names}

    assert len(copies) == len(names)
    assert all(len(copy.encode()) <= 63 for copy in copies)
    assert all(is_beside(copy, names) for copy in copies)
    assert not is_beside(copy_name(names[0], "mg5j"), names[1:])
