"""releases: what ran after each deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratum.cli.session import HERE, JsonOption, StackOption, opened, show_record

if TYPE_CHECKING:
    from stratum.core.release import Release

_SHORT = 12


def releases(stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """Every release that ran, newest first: commit, images, where the migrations stood, who brought it and when."""
    from stratum.adapters.records import to_dict
    from stratum.engine.releases import list_releases

    with opened(stack, as_json=as_json) as ports:
        found = list_releases(ports)
        lines = [line for release in found.releases for line in render_release(release)]
        show_record(to_dict(found), "\n".join(lines) or "no release is recorded yet", as_json=as_json)


def render_release(release: Release) -> list[str]:
    """For a person: one line of what and who, one of what it is made of."""
    said = ["running"] if release.running else []
    said += [] if release.kept is None else ["its images are kept" if release.kept else "its images are gone"]
    commit = f"commit {release.commit[:_SHORT]}" if release.commit else "no git checkout"
    by = {"found": "found running"}.get(release.verb, f"by {release.verb}")
    heads = ", ".join(f"{name} at {head}" for name, head in release.heads.items() if head)
    head = f"{release.id}  {by} of {release.who}" + (f"  ({'; '.join(said)})" if said else "")
    made = [commit, f"settings {release.configuration}", f"Stratum {release.stratum}", *([heads] if heads else [])]
    return [head, f"  {'; '.join(made)}"]
