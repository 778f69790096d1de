"""Waits for a container that was started apart from its project."""

from __future__ import annotations

import json
import time

from stratum.adapters.docker import Docker

START_SECONDS, STEADY_SECONDS = 300.0, 5.0
_POLL_SECONDS = 0.2


def wait_until_well(docker: Docker, container: str, *, checked: bool) -> bool:
    """Whether it becomes healthy, or where it has no health check (`checked`) runs on for `STEADY_SECONDS`."""
    deadline, began = time.monotonic() + START_SECONDS, time.monotonic()
    while time.monotonic() < deadline:
        state = json.loads(docker.run(("inspect", "--format", "{{json .State}}", container)).stdout)
        health = state.get("Health", {}).get("Status", "")
        if not state["Running"] or health == "unhealthy":
            return False
        if health == "healthy" or (not checked and time.monotonic() - began > STEADY_SECONDS):
            return True
        time.sleep(_POLL_SECONDS)
    return False
