"""Which kept images get their service's name back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from stratum.adapters.compose_images import ComposeImages
from stratum.adapters.docker import Docker
from stratum.adapters.process import Completed

_ENVIRONMENTS = {
    "postgres:17": ["PATH=/bin", "PG_MAJOR=17"],
    "shop-backup:sixteen": ["PG_MAJOR=16", "LANG=C"],
    "shop-backup:seventeen": ["PG_MAJOR=17"],
    "shop-app:sixteen": ["PATH=/bin"],
}


@pytest.fixture
def tagged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """An engine that knows what these images set; the names that were given, as they are."""
    given: list[tuple[str, ...]] = []

    def run(_: Docker, arguments: Sequence[str], **__: object) -> Completed:
        if arguments[0] == "tag":
            given.append(tuple(arguments[1:]))
            return Completed(exit_code=0, stdout="", stderr="")
        said = json.dumps(_ENVIRONMENTS.get(arguments[-1]))
        return Completed(exit_code=int(said == "null"), stdout=said, stderr="")

    monkeypatch.setattr(Docker, "run", run)
    return given


def _images() -> ComposeImages:
    images = {"app": "shop-app", "backup": "shop-backup", "guard": "shop-backup"}
    built = {name: {"build": ".", "image": image} for name, image in images.items()}
    return ComposeImages(
        docker=Docker(directory=Path()), project="shop", base="postgres:17", services=lambda: built, containers=dict
    )


def test_a_rollback_over_an_upgrade_leaves_the_tools_that_can_read_the_server(tagged: list[tuple[str, ...]]) -> None:
    """pg_dump of an older major refuses a newer server: there would be no backup any more."""
    kept = {"app": "shop-app:sixteen", "backup": "shop-backup:sixteen", "guard": "shop-backup:sixteen"}
    _images().use(kept)

    assert tagged == [("shop-app:sixteen", "shop-app:latest")]


def test_on_the_same_major_every_kept_image_comes_back(tagged: list[tuple[str, ...]]) -> None:
    _images().use({"app": "shop-app:sixteen", "backup": "shop-backup:seventeen", "gone": "shop-gone:sixteen"})

    assert tagged == [
        ("shop-app:sixteen", "shop-app:latest"),
        ("shop-backup:seventeen", "shop-backup:latest"),
    ]


def test_what_an_image_does_not_set_is_not_known(tagged: list[tuple[str, ...]]) -> None:
    docker = Docker(directory=Path())

    assert [docker.variable(name, "PG_MAJOR") for name in ("postgres:17", "shop-app:sixteen", "nobody")] == [
        "17",
        None,
        None,
    ]
    assert tagged == []
