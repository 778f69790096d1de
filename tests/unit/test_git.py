"""A stack's directory as a real git checkout: what may be left behind by a move, and what may not."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from stratum.adapters.git import GitCheckout
from stratum.core.errors import StratumError

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git itself is asked")

_WHO = ("-c", "user.name=t", "-c", "user.email=t@localhost")


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """A directory that git keeps."""

    path: Path

    @property
    def checkout(self) -> GitCheckout:
        return GitCheckout(self.path)

    def git(self, *words: str) -> str:
        argv = ("git", "-C", str(self.path), *_WHO, *words)
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, text: str) -> str:
        (self.path / "compose.yaml").write_text(text, encoding="utf-8")
        self.git("add", ".")
        self.git("commit", "--quiet", f"--message={text}")
        return self.git("rev-parse", "HEAD")

    def refusal(self, ref: str | None) -> StratumError:
        before = self.checkout.commit()
        with pytest.raises(StratumError) as raised:
            self.checkout.move(ref)
        assert raised.value.code == "source-not-moved"
        assert self.checkout.commit() == before
        return raised.value


@pytest.fixture
def upstream(tmp_path: Path) -> Repository:
    made = Repository(path=tmp_path / "upstream")
    made.path.mkdir()
    made.git("init", "--quiet", "--initial-branch=main")
    made.commit("one")
    return made


@pytest.fixture
def clone(upstream: Repository, tmp_path: Path) -> Repository:
    subprocess.run(("git", "clone", "--quiet", str(upstream.path), str(tmp_path / "clone")), check=True)
    return Repository(path=tmp_path / "clone")


def test_a_directory_without_git_has_no_commit_and_nothing_to_move(tmp_path: Path) -> None:
    checkout = GitCheckout(tmp_path)

    checkout.refuse_changed()
    assert (checkout.commit(), checkout.move("main")) == (None, None)


def test_without_a_ref_what_the_upstream_has_is_taken(upstream: Repository, clone: Repository) -> None:
    newest = upstream.commit("two")

    assert clone.checkout.move(None) == newest


@pytest.mark.parametrize("kind", ["tag", "branch", "commit"])
def test_a_ref_that_only_the_upstream_knows_is_fetched(upstream: Repository, clone: Repository, kind: str) -> None:
    upstream.git("switch", "--quiet", "--create", "next")
    wanted = upstream.commit("two")
    upstream.git("tag", "v2")

    assert clone.checkout.move({"tag": "v2", "branch": "next", "commit": wanted}[kind]) == wanted


def test_a_commit_that_is_here_needs_no_upstream(upstream: Repository, clone: Repository) -> None:
    """The way back must not wait for a network."""
    first = clone.git("rev-parse", "HEAD")
    clone.commit("two")
    shutil.rmtree(upstream.path)

    assert clone.checkout.move(first) == first


def test_a_ref_that_nobody_knows_is_refused(clone: Repository) -> None:
    assert "no-such-ref" in clone.refusal("no-such-ref").message


def test_a_branch_that_went_another_way_than_its_upstream_is_left_where_it_is(
    upstream: Repository, clone: Repository
) -> None:
    upstream.commit("theirs")
    clone.commit("ours")

    assert "git status" in clone.refusal(None).next


def test_a_file_in_no_commit_is_not_overwritten(upstream: Repository, clone: Repository) -> None:
    (upstream.path / "notes.txt").write_text("theirs", encoding="utf-8")
    upstream.commit("two")
    (clone.path / "notes.txt").write_text("mine", encoding="utf-8")

    assert "notes.txt" in clone.refusal(None).message
    assert (clone.path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_only_what_git_keeps_has_to_be_in_a_commit(clone: Repository) -> None:
    (clone.path / "a dump.pgdump").write_text("not kept", encoding="utf-8")
    clone.checkout.refuse_changed()

    (clone.path / "compose.yaml").write_text("edited at night", encoding="utf-8")
    with pytest.raises(StratumError) as raised:
        clone.checkout.refuse_changed()

    assert raised.value.code == "source-changed"
    assert raised.value.message.endswith("compose.yaml")


def test_what_is_staged_and_what_git_is_in_the_middle_of_is_in_no_commit_either(
    upstream: Repository, clone: Repository
) -> None:
    upstream.commit("theirs")
    clone.commit("ours")
    clone.git("fetch", "--quiet")
    with pytest.raises(subprocess.CalledProcessError):
        clone.git("merge", "--quiet", "origin/main")

    with pytest.raises(StratumError) as raised:
        clone.checkout.refuse_changed()

    assert raised.value.code == "source-changed"


def test_of_many_changed_files_some_are_named_and_the_rest_counted(clone: Repository) -> None:
    for n in range(7):
        (clone.path / f"file{n}").write_text("", encoding="utf-8")
    clone.git("add", ".")

    with pytest.raises(StratumError) as raised:
        clone.checkout.refuse_changed()

    assert raised.value.message.endswith("file0, file1, file2, file3, file4, and 2 more")


def test_a_way_back_leaves_the_checkout_on_its_branch_and_the_next_move_takes_what_is_new(
    upstream: Repository, clone: Repository
) -> None:
    before, branch = clone.checkout.commit(), clone.checkout.branch()
    assert before is not None
    bad = upstream.commit("bad")
    assert clone.checkout.move(None) == bad

    clone.checkout.put_back(before, branch=branch)

    assert (clone.checkout.commit(), clone.checkout.branch()) == (before, "main")
    good = upstream.commit("good")
    assert clone.checkout.move(None) == good


def test_a_way_back_to_no_branch_leaves_none(clone: Repository) -> None:
    before = clone.checkout.commit()
    assert before is not None
    clone.git("checkout", "--quiet", "--detach")
    assert clone.checkout.branch() is None
    clone.commit("on none")

    clone.checkout.put_back(before, branch=None)

    assert (clone.checkout.commit(), clone.checkout.branch()) == (before, None)
