"""Names travel unharmed: into files, connection strings, patterns, quoted identifiers and out of the command line."""

from __future__ import annotations

import re

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.adapters.endpoint import Endpoint
from stratum.adapters.postgresql_tools import (
    _is_selected,
    _literal_pattern,
    _quote_identifier,
    _speaks_of,
    _unquote,
)
from stratum.core.backup import TableFacts
from stratum.core.errors import StratumError
from stratum.core.stack import Secret
from stratum.core.table_statements import statements_of_table
from stratum.engine.restore_table import parse_table
from stratum.engine.take_dump import file_name
from stratum.ports import RestoreSelection

_names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40)


@given(_names)
def test_any_database_name_becomes_one_harmless_path_component(name: str) -> None:
    file = file_name(name)

    assert re.fullmatch(r"[A-Za-z0-9_%-][A-Za-z0-9_.%-]*", file)
    assert file not in {".", ".."}


@given(_names, _names)
def test_two_databases_never_share_a_file(first: str, second: str) -> None:
    assert (file_name(first) == file_name(second)) == (first == second)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("app", "app"),
        ("../x", "%2E.%2Fx"),
        ("%41", "%2541"),
        ("é", "%C3%A9"),
        (".hidden", "%2Ehidden"),
        ("a b", "a%20b"),
    ],
)
def test_a_name_that_is_not_harmless_is_written_in_hexadecimal(name: str, file: str) -> None:
    assert file_name(name) == file


@given(_names, _names)
def test_a_connection_string_means_the_very_database_and_user(database: str, user: str) -> None:
    endpoint = Endpoint(host="/run/x", port=5433, user=user, password=Secret("hush"))

    read = psycopg.conninfo.conninfo_to_dict(endpoint.conninfo(database))

    assert read == {"host": "/run/x", "port": "5433", "user": user, "dbname": database}


@pytest.mark.parametrize("database", ["host=elsewhere", "postgresql://elsewhere/x", "o'hara\\", "", " "])
def test_a_name_that_looks_like_a_connection_string_stays_a_name(database: str) -> None:
    endpoint = Endpoint(host="127.0.0.1", port=5433, user="u", password=Secret("hush"))

    assert psycopg.conninfo.conninfo_to_dict(endpoint.conninfo(database))["dbname"] == database


@pytest.mark.parametrize("password", ["plain", "co:lon", "back\\slash", "\\:", "é ü"])
def test_a_password_stands_in_a_private_file_only_while_a_tool_runs(password: str) -> None:
    endpoint = Endpoint(host="127.0.0.1", port=5433, user="u", password=Secret(password))

    with endpoint.passfile() as passfile:
        mode, line = passfile.stat().st_mode & 0o777, passfile.read_text(encoding="utf-8")

    assert mode == 0o600
    assert re.sub(r"\\(.)", r"\1", line.removeprefix("*:*:*:*:").rstrip("\n")) == password
    assert not passfile.exists()
    assert password not in f"{endpoint!r} {endpoint.conninfo('app')}"


@given(_names)
def test_quoting_an_identifier_can_be_undone(name: str) -> None:
    assert _unquote(_quote_identifier(name)) == name


def test_a_pattern_matches_only_its_own_database() -> None:
    assert _literal_pattern('a*?".b') == '"a*?"".b"'


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("account", ("public", "account")),
        ("sales.account", ("sales", "account")),
        ('"odd.name"', ("public", "odd.name")),
        ('"my schema"."odd.name"', ("my schema", "odd.name")),
        ('"say ""hi"""', ("public", 'say "hi"')),
        ("Ünï", ("public", "Ünï")),
        ("a b", ("public", "a b")),
    ],
)
def test_a_table_is_named_as_postgresql_writes_it(text: str, table: tuple[str, str]) -> None:
    assert parse_table(text) == table


@given(_names, _names)
def test_a_quoted_table_is_read_back_as_it_was(schema: str, name: str) -> None:
    assert parse_table(f"{_quote_identifier(schema)}.{_quote_identifier(name)}") == (schema, name)


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a.b.c", '""', '"', '"open', 'a."open'])
def test_what_names_no_table_is_refused(text: str) -> None:
    with pytest.raises(StratumError) as refused:
        parse_table(text)

    assert refused.value.code == "invalid-argument"


_ROLES = (
    ("CREATE ROLE app;", True),
    ("ALTER ROLE app WITH NOSUPERUSER LOGIN;", True),
    ('CREATE ROLE "App";', False),
    ("CREATE ROLE application;", False),
    ("ALTER ROLE app SET search_path TO 'x';", True),
    ("GRANT app TO other;", False),
    ("SET client_encoding = 'UTF8';", False),
)


@pytest.mark.parametrize(("line", "speaks"), _ROLES)
def test_a_line_of_the_globals_speaks_of_a_role_only_when_it_changes_that_one(line: str, speaks: bool) -> None:
    assert _speaks_of(line, {'"app"'}, with_settings=False) is speaks


def test_settings_of_a_role_are_left_in_for_a_server_just_made() -> None:
    assert not _speaks_of("ALTER ROLE app SET search_path TO 'x';", {'"app"'}, with_settings=True)
    assert _speaks_of("ALTER ROLE app WITH LOGIN;", {'"app"'}, with_settings=True)


def test_a_role_with_quotes_and_blanks_in_its_name_is_recognised() -> None:
    assert _speaks_of('CREATE ROLE "an ""odd"" one";', {_quote_identifier('an "odd" one')}, with_settings=False)


_DATA = RestoreSelection(tables=(("public", "account"),), data_only=True)
_DEFINITIONS = RestoreSelection(tables=(), data_only=False)


@pytest.mark.parametrize(
    ("described", "data", "definition"),
    [
        ("TABLE DATA public account stratum", True, False),
        ("TABLE DATA public account_log stratum", False, False),
        ("TABLE DATA sales account stratum", False, False),
        ("SEQUENCE SET public account_id_seq stratum", True, False),
        ("TABLE public account stratum", False, True),
        ("CONSTRAINT public account account_pkey stratum", False, True),
        ("FK CONSTRAINT public entry entry_fkey stratum", False, False),
        ("TRIGGER public account noted stratum", False, False),
        ("MATERIALIZED VIEW DATA public totals stratum", False, False),
        ("SUBSCRIPTION - feed stratum", False, False),
    ],
)
def test_a_selection_takes_what_a_single_table_needs(described: str, data: bool, definition: bool) -> None:
    entry = f"3456; 0 16390 {described}"

    assert (_is_selected(entry, _DATA), _is_selected(entry, _DEFINITIONS)) == (data, definition)


def test_comments_of_a_listing_are_never_selected() -> None:
    assert not _is_selected("; Archive created at 2026-03-02 10:00:00 UTC", _DEFINITIONS)


_SCRIPT = """--
-- PostgreSQL database dump
--

--
-- Name: entry entry_account_fkey; Type: FK CONSTRAINT; Schema: public; Owner: stratum
--

ALTER TABLE ONLY public.entry
    ADD CONSTRAINT entry_account_fkey FOREIGN KEY (account) REFERENCES public.account(id);


--
-- Name: entry noted; Type: TRIGGER; Schema: public; Owner: stratum
--

CREATE TRIGGER noted AFTER INSERT ON public.entry FOR EACH ROW EXECUTE FUNCTION public.note();


--
-- Name: entry entry_pkey; Type: CONSTRAINT; Schema: public; Owner: stratum
--

ALTER TABLE ONLY public.entry
    ADD CONSTRAINT entry_pkey PRIMARY KEY (id);


--
-- Name: entry noted; Type: TRIGGER; Schema: other; Owner: stratum
--

CREATE TRIGGER noted AFTER INSERT ON other.entry FOR EACH ROW EXECUTE FUNCTION public.note();


--
-- PostgreSQL database dump complete
--

"""


def test_the_statements_of_a_table_are_its_foreign_keys_and_triggers_and_no_others() -> None:
    foreign_key = "ADD CONSTRAINT entry_account_fkey FOREIGN KEY (account) REFERENCES public.account(id)"

    assert statements_of_table(_SCRIPT, ("public", "entry")) == (
        f"ALTER TABLE ONLY public.entry\n    {foreign_key}",
        "CREATE TRIGGER noted AFTER INSERT ON public.entry FOR EACH ROW EXECUTE FUNCTION public.note()",
    )


def test_a_table_without_any_has_no_statements() -> None:
    assert statements_of_table(_SCRIPT, ("public", "account")) == ()


def test_two_tables_never_share_a_qualified_name() -> None:
    def table(schema: str, name: str) -> TableFacts:
        return TableFacts(schema=schema, name=name, rows=0, digest=None, digested_rows=0, bytes=0)

    assert table("a.b", "c").qualified != table("a", "b.c").qualified
    assert table("public", "plain Name").qualified == "public.plain Name"
