"""Whether two releases can serve on the same data: what stands in the way, and how the second one is told of itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from stratum.adapters.side_by_side import _VISIT, _render_override
from stratum.core.rehearsal import CommandRun, DatabaseLook, Rehearsal, TableLook, judge
from stratum.core.side_by_side import OF_BEFORE, find_obstacles, why_not_beside

_ORDERS = """CREATE TABLE public.orders (
    id bigint NOT NULL,
    item text NOT NULL
);"""
_KEY = "ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);"
_COLUMNS = {"public.orders": {"id": "bigint not null", "item": "text not null"}}


def _look(*definitions: str) -> DatabaseLook:
    table = TableLook(oid=1, schema="public", name="orders", filenode=1, bytes=0, rows=0, columns=())
    return DatabaseLook(name="shop", bytes=0, tables=(table,), definitions=definitions)


def _obstacles(*, columns: dict[str, dict[str, str]] | None = None, added: tuple[str, ...] = ()) -> tuple[str, ...]:
    return find_obstacles(
        then={"shop": _COLUMNS},
        now={"shop": columns or _COLUMNS},
        before=(_look(_ORDERS, _KEY),),
        after=(_look(_ORDERS, _KEY, *added),),
    )


def test_what_is_only_added_stands_in_nobody_s_way() -> None:
    more = {"public.orders": {**_COLUMNS["public.orders"], "paid": "boolean"}, "public.visits": {"at": "date not null"}}
    added = (
        "CREATE INDEX orders_item ON public.orders USING btree (item);",
        "CREATE TABLE public.visits (\n    at date NOT NULL,\n    CONSTRAINT late CHECK ((at > 'today'::date))\n);",
        "ALTER TABLE ONLY public.visits\n    ADD CONSTRAINT visits_pkey PRIMARY KEY (at);",
        "CREATE UNIQUE INDEX visits_at ON public.visits USING btree (at);",
    )

    assert _obstacles(columns=more, added=added) == ()


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({}, "shop.public.orders: the table is gone, or has another name"),
        ({"public.orders": {"id": "bigint not null"}}, "shop.public.orders.item: the column is gone"),
        (
            {"public.orders": {**_COLUMNS["public.orders"], "paid": "boolean not null"}},
            "shop.public.orders.paid: every new row has to fill it",
        ),
        (
            {"public.orders": {**_COLUMNS["public.orders"], "item": "integer not null"}},
            "shop.public.orders.item: it has another type",
        ),
    ],
)
def test_what_the_release_of_before_knew_and_does_not_find_is_named(
    columns: dict[str, dict[str, str]], says: str
) -> None:
    (found,) = find_obstacles(
        then={"shop": _COLUMNS}, now={"shop": columns}, before=(_look(_ORDERS),), after=(_look(_ORDERS),)
    )

    assert found.startswith(says)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT orders_buyer_fkey FOREIGN KEY (id) REFERENCES x(id);",
            "new CONSTRAINT orders_buyer_fkey FOREIGN KEY (id) REFERENCES x(id)",
        ),
        (
            "ALTER TABLE public.orders\n    ADD CONSTRAINT short CHECK ((length(item) < 9)) NOT VALID;",
            "new CONSTRAINT short CHECK ((length(item) < 9)) NOT VALID",
        ),
        ("CREATE UNIQUE INDEX one ON public.orders USING btree (item);", "new UNIQUE INDEX one"),
        (
            "CREATE TRIGGER stern BEFORE INSERT ON public.orders FOR EACH ROW EXECUTE FUNCTION public.f();",
            "new TRIGGER stern",
        ),
    ],
)
def test_a_rule_that_its_rows_have_to_obey_since_is_named(statement: str, says: str) -> None:
    assert _obstacles(added=(statement,)) == (f"shop.public.orders: {says}",)


def test_a_check_that_became_part_of_the_table_is_named_and_an_old_one_is_not() -> None:
    stricter = _ORDERS.replace("\n);", ",\n    CONSTRAINT short CHECK ((length(item) < 9))\n);")
    none: dict[str, dict[str, dict[str, str]]] = {"shop": _COLUMNS}

    assert find_obstacles(then=none, now=none, before=(_look(_ORDERS),), after=(_look(stricter),)) == (
        "shop.public.orders: new CONSTRAINT short CHECK ((length(item) < 9))",
    )
    assert find_obstacles(then=none, now=none, before=(_look(stricter),), after=(_look(stricter),)) == ()


def test_a_release_of_before_that_was_not_tried_counts_as_much_as_one_that_fails() -> None:
    new = CommandRun(name="app", ok=True, seconds=1)
    well, ill = (
        CommandRun(name=OF_BEFORE.format(service="app"), ok=ok, seconds=1, said="died") for ok in (True, False)
    )

    assert why_not_beside(_rehearsal(new, well), "app") == ()
    (untried,) = why_not_beside(_rehearsal(new), "app")
    (died,) = why_not_beside(_rehearsal(new, ill), "app")
    assert "was not started" in untried
    assert died == "fails: app of before: died"


def _rehearsal(*runs: CommandRun) -> Rehearsal:
    verdict, summary = judge(runs=runs, losses=(), locks=(), lock_limit=timedelta(seconds=1))
    return Rehearsal(
        id="r", backup_id="b", at=datetime(2026, 11, 1, tzinfo=UTC), verdict=verdict, summary=summary, runs=runs,
        losses=(), locks=(), statements=(), statement_count=0, tables=(), difference=(), growth_bytes=0,
        downtime_seconds=0.0, clone_seconds=0.0, total_seconds=0.0, clone_bytes=0,
    )  # fmt: skip


def test_the_second_containers_speak_to_each_other() -> None:
    names = {"frontend": "shop-frontend-second", "backend": "shop-backend-second"}
    environment = {
        "API_URL": "http://backend:4001/api/v1",
        "TRUSTED_PROXIES": "frontend,nginx",
        "BROKER": "amqp://who:pa$$word@backend/vhost",
        "STRATUM_SECRETS": "/run/secrets/backend.env",
        "NOTE": "the backend of frontend",
        "DATABASE": "postgresql://postgres:5432/backend",
        "PORT": 4001,
        "EMPTY": None,
    }

    told = json.loads(_render_override("frontend", environment, names))["services"]["frontend"]["environment"]

    assert told == {
        "API_URL": "http://shop-backend-second:4001/api/v1",
        "TRUSTED_PROXIES": "shop-frontend-second,nginx",
        "BROKER": "amqp://who:pa$$word@shop-backend-second/vhost",
    }


def test_a_service_that_names_no_other_is_told_nothing() -> None:
    assert json.loads(_render_override("app", {"PORT": "1"}, {"backend": "b"})) == {"services": {"app": {}}}


def test_requests_are_counted_in_the_log_as_nginx_writes_it() -> None:
    log = (
        '10.0.0.1 [2026-11-23T15:00:00+00:00] "GET /a" 200 12 0.003\n'
        '10.0.0.1 [2026-11-23T15:00:00+00:00] "GET /b" 503 0 3.000\n'
        "2026/11/23 15:00:00 [warn] 7#7: something else\n"
    )

    assert [found["status"] for found in _VISIT.finditer(log)] == ["200", "503"]
