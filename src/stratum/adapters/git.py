"""The stack's own files as a git checkout, where they are one: which commit, and moving to another."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from stratum.adapters.process import run_tool
from stratum.core.errors import StratumError

_SECONDS = 600.0
_SHOWN_FILES = 5


class GitCheckout:
    """The directory of a stack; all that is said of it holds for a directory without git, which has no commit."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def commit(self) -> str | None:
        """The commit that is checked out; None where there is no checkout, or no git."""
        if not (self._directory / ".git").exists() or shutil.which("git") is None:
            return None
        return self._look("rev-parse", "--verify", "--quiet", "HEAD") or None

    def refuse_changed(self) -> None:
        """Raises `source-changed` where a file that git keeps holds what is in no commit.

        Files that git does not keep do not count: backups, secrets and what Stratum lays down itself are among them.
        """
        if self.commit() is None:
            return
        changed = self._look("status", "--porcelain", "--untracked-files=no").splitlines()
        if changed:
            files = [line.split(maxsplit=1)[-1] for line in changed]
            more = [f"and {len(files) - _SHOWN_FILES} more"] if len(files) > _SHOWN_FILES else []
            raise StratumError("source-changed", files=", ".join(files[:_SHOWN_FILES] + more))

    def move(self, ref: str | None) -> str | None:
        """Check `ref` out, or take what the branch's upstream has; returns the commit, None without a checkout.

        What is not known here is fetched first. Changes that are in no commit are never overwritten: git refuses then.
        Raises `source-not-moved`.
        """
        if self.commit() is None:
            return None
        try:
            if ref is None:
                if self._look("rev-parse", "--verify", "--quiet", "@{upstream}"):
                    self._do("pull", "--quiet", "--ff-only")
            else:
                if not self._look("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") and self._look("remote"):
                    self._do("fetch", "--quiet", "--tags")
                self._do("checkout", "--quiet", ref, "--")
        except StratumError as error:
            if error.code != "tool-failed":
                raise
            problem = error.details["stderr"].strip() or "git said nothing"
            raise StratumError("source-not-moved", ref=ref or "the branch's upstream", problem=problem) from None
        return self.commit()

    def branch(self) -> str | None:
        """The branch that is checked out; None on none, as after a tag or a commit was."""
        return self._look("symbolic-ref", "--short", "--quiet", "HEAD") or None if self.commit() else None

    def put_back(self, commit: str, *, branch: str | None) -> None:
        """Check a commit out as it was before: on its branch, which is at that commit again, or on none.

        Raises `source-not-moved`.
        """
        if branch is None:
            self.move(commit)
            return
        try:
            self._do("checkout", "--quiet", "-B", branch, commit, "--")
        except StratumError as error:
            if error.code != "tool-failed":
                raise
            raise StratumError("source-not-moved", ref=branch, problem=error.details["stderr"].strip()) from None

    def _look(self, *words: str) -> str:
        """What git prints; nothing where it does not know what it was asked for."""
        answer = run_tool(self._argv(*words), timeout_seconds=_SECONDS, env=dict(os.environ), accept=(0, 1, 128))
        return answer.stdout.strip()

    def _do(self, *words: str) -> None:
        run_tool(self._argv(*words), timeout_seconds=_SECONDS, env=os.environ | {"GIT_TERMINAL_PROMPT": "0"})

    def _argv(self, *words: str) -> tuple[str, ...]:
        return ("git", "-C", str(self._directory), *words)
