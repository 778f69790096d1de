"""Which image may be started on which volume: every refusal, and beside it what is let through."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stratum.adapters.data_volume import _libc, _libc_version, parse_look
from stratum.core.containers import ImageLook, Libc, VolumeLook
from stratum.core.errors import StratumError
from stratum.core.identity import Identity
from stratum.core.image_names import parse_major, refuse_unusable_name
from stratum.core.volume_rules import refuse_mismatch, refuse_unusable_image, wanted_mount

_OLD_MOUNT, _NEW_MOUNT = "/var/lib/postgresql/data", "/var/lib/postgresql"
_IMAGE = ImageLook(name="postgres:16-bookworm", major=16, libc=Libc.GLIBC, libc_version="2.36")
_VOLUME = VolumeLook(name="shop_pg_data", exists=True, held=True, empty=False, major=16, owner_uid=999)
_RECORDED = Identity(
    system_identifier="7", timeline=1, flushed_lsn=1, server_version_num=160004, databases=(), libc_version="2.36"
)


@pytest.mark.parametrize(
    ("major", "mount"), [(14, _OLD_MOUNT), (16, _OLD_MOUNT), (17, _OLD_MOUNT), (18, _NEW_MOUNT), (19, _NEW_MOUNT)]
)
def test_a_volume_is_wanted_elsewhere_from_18_on(major: int, mount: str) -> None:
    assert wanted_mount(major) == mount
    refuse_unusable_image(replace(_IMAGE, major=major), mount=mount)
    refuse_unusable_image(replace(_IMAGE, major=major), mount=f"{mount}/")


@pytest.mark.parametrize(
    ("image", "mount", "code", "said"),
    [
        (replace(_IMAGE, major=None), _OLD_MOUNT, "image-unusable", "sets no PG_MAJOR"),
        (replace(_IMAGE, major=13), _OLD_MOUNT, "image-unusable", "PostgreSQL 13"),
        (replace(_IMAGE, libc=Libc.MUSL), _OLD_MOUNT, "image-unusable", "musl"),
        (replace(_IMAGE, libc=Libc.UNKNOWN), _OLD_MOUNT, "image-unusable", "unknown"),
        (replace(_IMAGE, major=18), _OLD_MOUNT, "mount-mismatch", _NEW_MOUNT),
        (_IMAGE, _NEW_MOUNT, "mount-mismatch", _OLD_MOUNT),
        (_IMAGE, "/srv/data", "mount-mismatch", _OLD_MOUNT),
    ],
)
def test_an_image_that_cannot_be_used_is_refused_with_the_reason(
    image: ImageLook, mount: str, code: str, said: str
) -> None:
    with pytest.raises(StratumError) as refused:
        refuse_unusable_image(image, mount=mount)

    assert refused.value.code == code
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("volume", "image", "recorded"),
    [
        pytest.param(_VOLUME, _IMAGE, _RECORDED, id="all alike"),
        pytest.param(_VOLUME, _IMAGE, None, id="nothing recorded"),
        pytest.param(_VOLUME, _IMAGE, replace(_RECORDED, libc_version=None), id="no C library recorded"),
        pytest.param(_VOLUME, replace(_IMAGE, libc_version=""), _RECORDED, id="C library not told"),
        pytest.param(replace(_VOLUME, owner_uid=1000), _IMAGE, _RECORDED, id="another account's"),
        pytest.param(
            replace(_VOLUME, major=18, versioned=True), replace(_IMAGE, major=18), _RECORDED, id="18 in its own place"
        ),
        pytest.param(
            VolumeLook(name="new", exists=False), replace(_IMAGE, major=18, libc_version="2.41"), _RECORDED, id="absent"
        ),
        pytest.param(
            VolumeLook(name="new", exists=True),
            replace(_IMAGE, libc_version="2.41"),
            _RECORDED,
            id="empty: no text yet",
        ),
    ],
)
def test_what_belongs_together_is_let_through(volume: VolumeLook, image: ImageLook, recorded: Identity | None) -> None:
    refuse_mismatch(volume, image, recorded)


@pytest.mark.parametrize(
    ("volume", "image", "code"),
    [
        (replace(_VOLUME, other_users=("other-postgres",)), _IMAGE, "volume-in-use"),
        (VolumeLook(name="new", exists=True, other_users=("other-postgres",)), _IMAGE, "volume-in-use"),
        (replace(_VOLUME, owner_uid=70), _IMAGE, "volume-from-alpine"),
        (replace(_VOLUME, owner_uid=70, major=15), _IMAGE, "volume-from-alpine"),
        (replace(_VOLUME, major=15), _IMAGE, "volume-other-major"),
        (_VOLUME, replace(_IMAGE, major=17), "volume-other-major"),
        (_VOLUME, replace(_IMAGE, major=18), "volume-other-major"),
        (replace(_VOLUME, major=18), replace(_IMAGE, major=18), "mount-mismatch"),
        (replace(_VOLUME, versioned=True), _IMAGE, "mount-mismatch"),
        (_VOLUME, replace(_IMAGE, libc_version="2.41"), "collation-moved"),
        (_VOLUME, replace(_IMAGE, libc_version="2.31"), "collation-moved"),
    ],
)
def test_what_does_not_belong_together_is_refused_by_its_first_reason(
    volume: VolumeLook, image: ImageLook, code: str
) -> None:
    with pytest.raises(StratumError) as refused:
        refuse_mismatch(volume, image, _RECORDED)

    assert refused.value.code == code
    assert refused.value.data.startswith("untouched")


# --- names of images --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "major"),
    [
        ("postgres:16-bookworm", 16),
        ("postgres:16.4-bookworm", 16),
        ("postgres:16.4", 16),
        ("postgres:18", 18),
        ("postgres:19beta1-trixie", 19),
        ("postgres:18rc1", 18),
        ("docker.io/library/postgres:17-trixie", 17),
        ("mirror.example.org:5000/library/postgres:15-bookworm", 15),
        ("postgres:16-bookworm@sha256:0f", 16),
        ("postgres", None),
        ("postgres:latest", None),
        ("postgres:bookworm", None),
        ("postgres@sha256:16", None),
        ("localhost:5000/postgres", None),
        ("postgres:1600px", None),
        ("postgis/postgis:16-3.4", None),
        ("timescale/timescaledb:2.17.2-pg16", None),
    ],
)
def test_the_tag_of_an_official_image_tells_its_major_and_any_other_tells_nothing(
    image: str, major: int | None
) -> None:
    assert parse_major(image) == major


@pytest.mark.parametrize(
    "image",
    [
        *("postgres:16-alpine", "postgres:16.4-alpine3.20", "postgres:alpine", "own/postgres:16-Alpine"),
        *("postgres:13", "postgres:9.6-bullseye", "postgres 16", "", "-v", "postgres:$(id)"),
    ],
)
def test_a_name_that_says_it_cannot_be_used_is_refused_before_anything_is_fetched(image: str) -> None:
    with pytest.raises(StratumError) as refused:
        refuse_unusable_name(image)

    assert refused.value.code == "image-unusable"


@pytest.mark.parametrize(
    "image", ["postgres:14", "postgres:16-bookworm@sha256:0f", "alpine-tools/postgres:16-bookworm"]
)
def test_a_name_that_may_be_used_is_let_through(image: str) -> None:
    refuse_unusable_name(image)


# --- what a look says -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "libc", "version"),
    [
        ("ldd (Debian GLIBC 2.36-9+deb12u10) 2.36", Libc.GLIBC, "2.36"),
        ("ldd (GNU libc) 2.34", Libc.GLIBC, "2.34"),
        ("musl libc (x86_64)", Libc.MUSL, ""),
        ("sh: ldd: not found", Libc.UNKNOWN, ""),
        ("", Libc.UNKNOWN, ""),
    ],
)
def test_a_c_library_is_known_by_what_its_ldd_prints(said: str, libc: Libc, version: str) -> None:
    assert (_libc(said), _libc_version(said)) == (libc, version)


def test_a_look_is_read_line_by_line_and_noise_is_passed_over() -> None:
    said = "warning: something\npg_major=16\nlibc=ldd (Debian GLIBC 2.36) 2.36\nlabel=a=b\n\n"

    assert parse_look(said) == {"pg_major": "16", "libc": "ldd (Debian GLIBC 2.36) 2.36", "label": "a=b"}
