"""A volume of uploads on real Docker: in every backup, gone with `down -v`, and brought back with its owners."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.fixtures.compose_stacks import ComposeStack, ComposeStacks

_OVERRIDE = """
services:
  shop:
    image: postgres:16-bookworm
    user: "33:33"
    init: true
    stop_grace_period: 1s
    entrypoint: ["sleep", "infinity"]
    volumes: ["uploads:/var/lib/postgresql/uploads"]
  backup:
    volumes: ["uploads:/files/uploads:ro"]
volumes:
  uploads: {}
"""
_FILL = """
mkdir -p /files/2026
echo invoice > /files/2026/invoice.pdf
echo logo > /files/logo.svg
chmod 664 /files/logo.svg
chown -R 33:33 /files
chgrp 1000 /files/logo.svg
"""


@pytest.fixture(scope="module")
def stack(compose_stacks: ComposeStacks) -> Iterator[ComposeStack]:
    with compose_stacks.made(what="files") as stack:
        (stack.directory / "compose.override.yaml").write_text(_OVERRIDE, encoding="utf-8")
        stack.stratum("up")
        stack.fill()
        yield stack


def _as_root(stack: ComposeStack, script: str) -> str:
    volume = f"{stack.name}_uploads:/files"
    return stack.docker.ask(
        "run", "--rm", "--user=0:0", "--entrypoint=sh", "--volume", volume, "postgres:16-bookworm", "-e", "-c", script
    )


def _listed(stack: ComposeStack) -> str:
    return _as_root(stack, "cd /files && find . ! -path './.stratum-files-*' -printf '%P %u:%g %m %y %s\\n' | sort")


def _line(stack: ComposeStack) -> str:
    lines = json.loads(stack.cli("check", "--json").stdout)["lines"]
    return str(next(line["state"] for line in lines if line["name"] == "other-volumes"))


def test_a_volume_of_uploads_is_taken_along_lost_and_brought_back(stack: ComposeStack) -> None:
    _as_root(stack, _FILL)
    whole = _listed(stack)
    assert _line(stack) == "red"
    with (stack.directory / "stratum.toml").open("a", encoding="utf-8") as toml:
        toml.write('\n[[files]]\nname = "uploads"\n')
    stack.stratum("up")
    assert _line(stack) == "holds"

    backup = stack.answer("backup")["facts"]["backup_id"]
    assert stack.answer("drill", backup)["verdict"] == "proven"

    stack.by_hand("down", "--volumes")
    stack.stratum("up")
    assert stack.rows() == 1000
    assert "invoice" not in _listed(stack)

    said = stack.stratum("restore", "--files", "uploads", "--confirm", stack.name)
    assert "stratum restore --files uploads --undo" in said
    assert _listed(stack) == whole
    assert stack.stratum("verify", backup)

    _as_root(stack, "echo since > /files/since")
    stack.stratum("restore", "--files", "uploads", "--undo", "--confirm", stack.name)
    assert "invoice" not in _listed(stack)
    stack.stratum("restore", "--files", "uploads", "--undo", "--confirm", stack.name)
    assert "invoice" in _listed(stack)
    assert "since" in _listed(stack)
    # What root wrote to the archive, the service goes on with.
    stack.stratum("backup")


def test_a_file_that_backup_may_not_read_is_named_and_there_is_no_backup_without_it(stack: ComposeStack) -> None:
    before = stack.answer("backups", "list")["backups"]
    _as_root(stack, "echo secret > /files/for-one; chmod 600 /files/for-one")
    done = stack.cli("backup")
    assert done.returncode == 1, done.stdout
    assert "error[files-unreadable]" in done.stderr
    assert "for-one" in done.stderr
    assert stack.answer("backups", "list")["backups"] == before
    _as_root(stack, "rm /files/for-one")
    stack.stratum("backup")


def test_without_its_mount_a_set_is_refused_before_anything_is_written(stack: ComposeStack) -> None:
    override = stack.directory / "compose.override.yaml"
    override.write_text(_OVERRIDE.replace("uploads:/files/uploads:ro", "uploads:/files/other:ro"), encoding="utf-8")
    try:
        stack.stratum("up")
        assert stack.refusal("backup") == "files-away"
        assert stack.refusal("restore", "--files", "uploads", "--confirm", stack.name) == "files-away"
        assert _line(stack) == "red"
    finally:
        override.write_text(_OVERRIDE, encoding="utf-8")
        stack.stratum("up")
    stack.stratum("backup")
