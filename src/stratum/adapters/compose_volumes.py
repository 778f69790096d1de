"""Data volumes beside the live one: made, filled out of the archive in a container that ends, switched to, given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stratum.adapters.compose_answers import last_lines, parse_verb_answer
from stratum.adapters.data_volume import SERVER_ACCOUNT, DataVolume
from stratum.adapters.docker import Docker
from stratum.adapters.env_file import replace_variable
from stratum.adapters.process import Completed
from stratum.adapters.records import parse_plain, to_json
from stratum.adapters.volume_copy import copy_volume, refuse_unmovable
from stratum.core.backup import DigestMode, TableFacts
from stratum.core.containers import INSIDE_ARCHIVE
from stratum.core.errors import StratumError
from stratum.core.volume_recovery import LiveTables, RecoveredCluster, RecoveryOrder

_RECOVER_SECONDS = 24 * 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeVolumes:
    """The volumes of one stack by their names; .env says which of them is live."""

    docker: Docker
    volume: DataVolume
    directory: Path
    """The stack's."""
    archive: Path
    """As this machine sees it."""
    account: tuple[int, int]
    """Number and group of the account that owns the archive, and that the stack's containers run as."""
    backup_image: str
    mount: str
    """Where the database's image has its volume."""
    environment: Mapping[str, str] = field(repr=False)
    """Of .env, which may hold the key of a sealed archive."""
    ask_backup: Callable[[Sequence[str]], Completed]
    """Runs a program in the container of the service `backup`, however it ends."""

    def live(self) -> str:
        return self.volume.name

    def exists(self, name: str) -> bool:
        return self.volume.called(name).exists()

    def make(self, name: str) -> None:
        """An empty volume, held like the live one. One of this name that is there already stays as it is."""
        beside = self.volume.called(name)
        beside.create()
        beside.hold()

    def recover(self, name: str, order: RecoveryOrder) -> RecoveredCluster:
        """Build the cluster of the order in an empty volume, and look at it there; it is whole or not there at all.

        It is built by the account that may read the archive, in a container that reaches no network and cannot write
        to the archive; then all of it is given to the server's account. Raises the errors of recovery.
        """
        beside = self.volume.called(name)
        uid, gid = self.account
        beside.give(f"{uid}:{gid}")
        recovered = parse_plain(RecoveredCluster, self._run(beside, order), file="the answer of the recovery")
        beside.give(SERVER_ACCOUNT)
        return recovered

    def count_live(self, databases: Sequence[str], mode: DigestMode) -> dict[str, tuple[TableFacts, ...]]:
        """What the tables of these databases hold now. Raises what the service `backup` refuses."""
        answer = parse_verb_answer(self.ask_backup(("stratum-container", "live-tables", mode.value, *databases)))
        return parse_plain(LiveTables, answer, file="the answer of backup").databases

    def refuse_unmovable(self, source: str, target: str) -> None:
        refuse_unmovable(self.docker, self.volume.base, source, target)

    def copy(self, source: str, target: str) -> str:
        return copy_volume(self.docker, self.volume.base, source, target)

    def use(self, name: str) -> None:
        """Let .env name this volume; containers see it when they are made anew."""
        replace_variable(self.directory / ".env", "POSTGRES_VOLUME", name)

    def remove(self, name: str) -> None:
        """Delete a volume with its holder and all files in it. The live one is refused."""
        if name == self.live():
            raise StratumError("not-from-here", what="delete the live volume")
        self.volume.called(name).remove()

    def _run(self, beside: DataVolume, order: RecoveryOrder) -> dict[str, Any]:
        """The container's answer; a refusal of it is raised as our own error."""
        argv = self._argv(beside)
        answer = self.docker.run(
            argv, seconds=_RECOVER_SECONDS, told=to_json(replace(order, key=self._key())), accept=range(125)
        )
        if "{" not in answer.stdout:
            said = last_lines(answer.stderr)
            raise StratumError("tool-failed", tool="the recovery", exit_code=answer.exit_code, stderr=said)
        return parse_verb_answer(answer)

    def _key(self) -> str:
        """What opens a sealed archive: the key itself, or the file that .env names; empty where there is neither."""
        named, key = self.environment.get("AGE_IDENTITY_FILE", ""), self.environment.get("AGE_IDENTITY", "")
        file = self.directory / Path(named).expanduser()
        return file.read_text(encoding="utf-8") if named and not key and file.is_file() else key

    def _argv(self, beside: DataVolume) -> tuple[str, ...]:
        uid, gid = self.account
        return ("run", "--rm", "--interactive", "--init", "--network=none", "--read-only", "--tmpfs=/tmp:mode=1777",
                "--cap-drop=ALL", "--security-opt=no-new-privileges", f"--user={uid}:{gid}", "--shm-size=256m",
                "--volume", f"{beside.name}:{self.mount}:nocopy", "--volume", f"{self.archive}:{INSIDE_ARCHIVE}:ro",
                "--entrypoint=stratum-container", self.backup_image, "recover", self.mount)  # fmt: skip
