"""`python -m benchmarks.containers`: the stack on Docker, timed beside plain `docker compose` on the same files.

Needs a Docker Engine. Writes containers.json, and the section of RESULTS.md that is rendered from it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.report import render_containers
from benchmarks.results import Notebook, Results, read_results, write_results
from benchmarks.write_report import write_report

HERE = Path(__file__).parent
NAME = "stratum-bench"
SERVICES = ("postgres", "backup", "backend", "frontend")
_ROUNDS = 5
_DOCKER = shutil.which("docker") or "docker"
_REST_SECONDS = 30.0
"""What a service needs at its start is not what it holds at rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DockerStack:
    """A stack of this checkout's Stratum, in a directory of its own."""

    directory: Path

    def stratum(self, *words: str) -> float:
        """Seconds one command took. Raises CalledProcessError unless it exits 0."""
        program = Path(sys.executable).with_name("stratum")
        return self._timed((str(program), *words, "--stack", str(self.directory)))

    def compose(self, *words: str) -> float:
        """Seconds the same took with Docker Compose alone, typed in the stack's directory."""
        return self._timed((_DOCKER, "compose", *words))

    def _timed(self, argv: Sequence[str]) -> float:
        began = time.perf_counter()
        subprocess.run(argv, cwd=self.directory, check=True, capture_output=True, timeout=1800)
        return time.perf_counter() - began

    def lay_down(self, archive: Path) -> None:
        program = Path(sys.executable).with_name("stratum")
        options = ("--runtime", "compose", "--name", NAME, "--archive", str(archive))
        subprocess.run((str(program), "init", *options, str(self.directory)), check=True, capture_output=True)
        env = self.directory / ".env"
        text = env.read_text(encoding="utf-8")
        for name, otherwise in (("BACKEND_PORT", "4001"), ("FRONTEND_PORT", "3000")):
            text = text.replace(f"{name}={otherwise}", f"{name}={_free_port()}")
        env.write_text(text, encoding="utf-8")

    def remove(self) -> None:
        """Containers, networks, volumes, holder and images of this run, by name."""
        down = (_DOCKER, "compose", "down", "--volumes", "--timeout=5")
        subprocess.run(down, cwd=self.directory, capture_output=True, check=False)
        volume = f"{NAME}_pg_data"
        images = [f"{NAME}-{service}" for service in ("backup", "backend", "frontend")]
        for argv in (("rm", "--force", f"{volume}-holder"), ("volume", "rm", volume), ("rmi", *images)):
            subprocess.run((_DOCKER, *argv), capture_output=True, check=False)


def measure(work: Path) -> Results:
    """Every measurement of one run, on a machine that does nothing else meanwhile."""
    load, notebook, stack = os.getloadavg()[0], Notebook(), DockerStack(directory=work / "stack")
    with ExitStack() as cleanup:
        stack.lay_down(work / "archive")
        cleanup.callback(stack.remove)
        notebook.add("stratum", "build, with the base images and pip's cache warm", stack.stratum("build"))
        notebook.add("stratum", "first up: volume, cluster, roles, all services healthy", stack.stratum("up"))
        _measure_memory(notebook)
        for _ in range(_ROUNDS):
            _measure_round(stack, notebook)
        stack.stratum("up")
        for service, size in _image_sizes().items():
            notebook.add("stratum", f"image of {service}", size, unit="bytes")
    machine = asdict(describe_machine(work, _any_postgresql())) | {"load_at_start": round(load, 2), **_versions()}
    return Results(rounds=_ROUNDS, machine=machine, database={}, measurements=notebook.measurements())


def _measure_round(stack: DockerStack, notebook: Notebook) -> None:
    notebook.add("stratum", "stop", stack.stratum("stop"))
    notebook.add("stratum", "up after stop, until healthy", stack.stratum("up"))
    notebook.add("stratum", "down", stack.stratum("down"))
    notebook.add("stratum", "up after down, until healthy", stack.stratum("up"))
    notebook.add("compose", "stop", stack.compose("stop"))
    notebook.add("compose", "up after stop, until healthy", stack.compose("up", "--detach", "--wait"))
    notebook.add("compose", "down", stack.compose("down"))
    notebook.add("compose", "up after down, until healthy", stack.compose("up", "--detach", "--wait"))


def _measure_memory(notebook: Notebook) -> None:
    time.sleep(_REST_SECONDS)
    for service in SERVICES:
        found = _docker("stats", "--no-stream", "--format", "{{json .}}", f"{NAME}-{service}")
        notebook.add("stratum", f"memory of {service} at rest", _bytes(json.loads(found)["MemUsage"]), unit="bytes")


def _bytes(text: str) -> float:
    """The first amount of `36.34MiB / 256MiB`."""
    amount = text.split("/", maxsplit=1)[0].strip()
    for unit, size in (("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30), ("B", 1)):
        if amount.endswith(unit):
            return float(amount.removesuffix(unit)) * size
    raise ValueError(f"{text!r} is no amount of memory")


def _image_sizes() -> dict[str, float]:
    sizes = {name: _docker("image", "inspect", "--format", "{{.Size}}", image) for name, image in (
        ("backup", f"{NAME}-backup"), ("backend", f"{NAME}-backend"), ("frontend", f"{NAME}-frontend"),
        ("postgres, its base", "postgres:16-bookworm"), ("python, their base", "python:3.12-slim-bookworm"),
    )}  # fmt: skip
    return {name: float(size) for name, size in sizes.items()}


def _versions() -> dict[str, str | int | float]:
    stand_in = _docker(
        "image", "inspect", "--format", '{{index .Config.Labels "stratum.stand-in"}}', "postgres:16-bookworm"
    )
    return {
        "docker": _docker("version", "--format", "{{.Server.Version}}"),
        "compose": _docker("compose", "version", "--short"),
        "base_images": "stand-ins built from Debian packages" if stand_in == "yes" else "official",
    }


def _any_postgresql() -> Path:
    from stratum.adapters.postgresql_installation import find_installation

    return find_installation(None).bin_dir


def _docker(*words: str) -> str:
    return subprocess.run((_DOCKER, *words), check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure, write containers.json, and render RESULTS.md with it."""
    with tempfile.TemporaryDirectory(prefix="stratum-bench-") as place:
        Path(place).chmod(0o755)
        write_results(measure(Path(place)), HERE / "containers.json")
    found = read_results(HERE / "containers.json")
    write_report()
    print(render_containers(found))


if __name__ == "__main__":
    main()
