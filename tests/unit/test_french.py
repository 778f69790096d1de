"""Every error and every line of the checklist speaks French to a French reader, with the same values in it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from stratum.agent import alarms, status_page
from stratum.cli import notifying
from stratum.cli.render import LABELS, MARKS
from stratum.core import alarm, timeline
from stratum.core.adoption import RISKS
from stratum.core.checklist import LINES, NO_BACKUP, NO_BACKUP_FIX, UNKNOWN
from stratum.core.errors import KINDS, ExitCode
from stratum.core.protection import PHRASES
from stratum.engine.rotate import NOTES
from tests.architecture.sources import ROOT, sources

_LOCALE = ROOT / "src" / "stratum" / "locale" / "fr" / "LC_MESSAGES"
_FRENCH, _ENGLISH = "fr_FR.UTF-8", "C.UTF-8"


def _templates() -> Iterator[str]:
    for kind in KINDS.values():
        yield from (kind.message, kind.data, kind.next)
    for line in LINES.values():
        yield from (line.holds, line.red, line.fix)
    for risk in RISKS.values():
        yield from (risk.statement, risk.fix)
    yield from (UNKNOWN, NO_BACKUP, NO_BACKUP_FIX)
    yield from (*PHRASES, *timeline.LABELS)
    yield from (*alarm.TEMPLATES, *alarms.SENTENCES, *status_page.SENTENCES, *notifying.SENTENCES)
    yield from (*LABELS, *MARKS.values(), *NOTES)
    yield from _steps()


def _steps() -> Iterator[str]:
    """What the steps of plans say, where it holds no value: `speak_plan` looks the whole sentence up."""
    yield "nothing to undo"
    for call in (call for file in sources("src/stratum/engine") for call in file.calls()):
        if isinstance(call.func, ast.Name) and call.func.id in {"Step", "replace"}:
            for said in call.keywords:
                if said.arg in {"summary", "way_back"} and isinstance(said.value, ast.Constant):
                    yield str(said.value.value)


@cache
def _catalogue() -> Catalog:
    with (_LOCALE / "stratum.po").open("rb") as lines:
        return read_po(lines, locale="fr", abort_invalid=True)


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("template", sorted(set(_templates())))
def test_a_sentence_has_a_french_one_with_the_same_values_in_it(template: str) -> None:
    message = _catalogue().get(template)

    assert message is not None, f"stratum.po lacks: {template}"
    assert not message.fuzzy
    assert isinstance(message.string, str)
    assert message.string.strip()
    assert _placeholders(message.string) == _placeholders(template)
    assert _commands(message.string) == _commands(template)


def test_the_catalogue_holds_no_sentence_that_nobody_says_any_more() -> None:
    known = set(_templates())

    assert [message.id for message in _catalogue() if message.id and message.id not in known] == []


def test_the_compiled_catalogue_is_as_new_as_its_source() -> None:
    from gettext import GNUTranslations

    with (_LOCALE / "stratum.mo").open("rb") as compiled:
        spoken = GNUTranslations(compiled)

    assert [m.id for m in _catalogue() if m.id and spoken.gettext(str(m.id)) != m.string] == [], "run `make messages`"


def test_a_french_reader_gets_all_three_parts_of_an_error_in_french(tmp_path: Path) -> None:
    refused = _stratum(tmp_path, "status", language=_FRENCH)

    assert refused.returncode == ExitCode.USAGE
    first, data, after = refused.stderr.replace("\N{NO-BREAK SPACE}", " ").splitlines()
    assert first.startswith("erreur[no-stack-here] : il n'y a pas de stack dans ")
    assert data == "données :  intactes ; rien n'a été démarré, écrit ni arrêté"
    assert after.startswith("ensuite :  va dans le répertoire de la stack")


def test_everybody_else_gets_them_in_english(tmp_path: Path) -> None:
    refused = _stratum(tmp_path, "status", language=_ENGLISH)

    assert [line.partition(" ")[0] for line in refused.stderr.splitlines()] == [
        "error[no-stack-here]:",
        "data:",
        "next:",
    ]


def test_a_program_reads_the_same_code_and_details_in_every_language(tmp_path: Path) -> None:
    answers = [
        json.loads(_stratum(tmp_path, "status", "--json", language=language).stdout)["error"]
        for language in (_FRENCH, _ENGLISH)
    ]

    assert answers[0]["code"] == answers[1]["code"] == "no-stack-here"
    assert answers[0]["details"] == answers[1]["details"]
    assert answers[0]["message"] != answers[1]["message"]


def test_the_checklist_is_french_for_a_french_reader(tmp_path: Path) -> None:
    assert _stratum(tmp_path, "init", "--no-console", "--name", "livre", language=_FRENCH).returncode == ExitCode.DONE

    checked = _stratum(tmp_path, "check", language=_FRENCH)

    assert checked.returncode == ExitCode.AT_RISK
    said = checked.stdout.replace("\N{NO-BREAK SPACE}", " ")
    assert "   ROUGE  recent-backup : il n'y a encore aucune sauvegarde\n" in said
    assert "          remède : lance `stratum backup`\n" in said
    assert "      ok  archive : l'archive peut être lue et écrite\n" in said


def test_a_terminal_that_lacks_the_letters_shows_them_escaped_and_the_exit_code_stays(tmp_path: Path) -> None:
    refused = _stratum(tmp_path, "status", language=_FRENCH, encoding="ascii")

    assert refused.returncode == ExitCode.USAGE
    assert "donn\\xe9es" in refused.stderr


def _commands(text: str) -> list[str]:
    """What stands between backquotes: to be typed, so it is the same in every language."""
    return text.split("`")[1::2]


def _stratum(
    directory: Path, *arguments: str, language: str, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    return subprocess.run(
        (str(Path(sys.executable).with_name("stratum")), *arguments),
        cwd=directory,
        env=kept | {"LANG": language, "PYTHONIOENCODING": encoding},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
