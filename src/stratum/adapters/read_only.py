"""What a dry run sees of the world: reads pass, and what a look would leave behind is left undone."""

from __future__ import annotations

from typing import Any

from stratum.core.proof import Proof
from stratum.ports import Archive, Runtime, ServerState, Services


class ReadOnlyArchive:
    """An archive that keeps no note of having been read."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def record_proof(self, proof: Proof) -> None:
        """Forget it: the real run reads the bytes again, and records what it finds then."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the archive itself answers
        return getattr(self._archive, name)


class ReadOnlyRuntime:
    """A runtime that starts nothing: what a stopped server holds is not looked into."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def start(self) -> ServerState:
        return self._runtime.observe()

    def sweep_scratch(self) -> int:
        return 0

    def prepare_console(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the runtime itself answers
        return getattr(self._runtime, name)


class ReadOnlyServices:
    """Services that nobody starts or ends."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def start(self) -> None:
        """Leave those that do not run as they are."""

    def stop(self) -> None:
        """Leave those that run as they are."""

    def stop_writers(self) -> None:
        """Leave those that run as they are."""

    def renew(self, name: str) -> None:
        """Leave it as it is."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the services themselves answer
        return getattr(self._services, name)
