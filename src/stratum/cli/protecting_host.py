"""protect --degrade where the service that would do it is gone."""

from __future__ import annotations

from pathlib import Path

from stratum.cli.session import opened, reported, show_record

_SAID = "commits wait no more for a receiver that is gone; `stratum up` starts it, and it arms again by itself"


def degraded_on_host(stack: Path, *, as_json: bool) -> bool:
    """On the host of a Compose stack whose service `backup` does not run. Says whether it was so."""
    from stratum import wiring
    from stratum.engine.degrade_on_host import degrade_on_host, is_alone

    with reported(as_json=as_json):
        if not wiring.is_compose_host(stack):
            return False
    with opened(stack, as_json=as_json) as ports:
        project = ports.project
        if project is None or project.external or not is_alone(project):
            return False
        problem = degrade_on_host(ports, project)
        said = f"{_SAID}\nproblem   {problem}" if problem else _SAID
        show_record({"format": 1, "armed": False, "at_risk": True, "problem": problem}, said, as_json=as_json)
    return True
