"""Copies a stopped cluster from one volume into another, and compares every byte; the source is only read."""

from __future__ import annotations

from stratum.adapters.data_volume import parse_look
from stratum.adapters.docker import Docker
from stratum.core.errors import StratumError
from stratum.core.sizes import render_bytes

_SECONDS = 24 * 3600.0
_ROOM = 64 << 20
"""What a server needs beside its files to start and to write on."""

_MEASURE = r"""
echo "bytes=$(du --summarize --bytes /from | cut -f 1)"
echo "free=$(df --output=avail --block-size=1 /to | tail -n 1 | tr -d ' ')"
for link in /from/pg_wal /from/pg_tblspc/* /from/*/docker/pg_wal /from/*/docker/pg_tblspc/*; do
  [ -L "$link" ] && echo "outside=$(readlink "$link")"
done
true
"""
_COPY = r"""
set -eu
control=
for found in /from/PG_VERSION /from/*/docker/PG_VERSION; do
  [ -s "$found" ] && control=${found%/PG_VERSION}
done
[ -n "$control" ] || { echo "problem=there is no cluster in it"; exit 0; }
[ ! -e "$control/postmaster.pid" ] || { echo "problem=its server did not end: postmaster.pid is there"; exit 0; }
state=$(LC_ALL=C pg_controldata "$control" | sed -n 's/^Database cluster state: *//p')
[ "$state" = "shut down" ] || { echo "problem=its server did not end cleanly: the cluster is $state"; exit 0; }
find /to -mindepth 1 -delete
cp --archive /from/. /to/
sync
digest() {
  cd "$1"
  { find . ! -type f ! -type s -printf '%P %y %m %U %G %l\n'; find . -type f -printf '%P %m %U %G %s\n'; } | sort
  find . -type f -print0 | sort --zero-terminated | xargs --null --no-run-if-empty sha256sum
}
before=$(digest /from | sha256sum)
after=$(digest /to | sha256sum)
[ "$before" = "$after" ] || { echo "problem=the copy differs from what was copied"; exit 0; }
echo "digest=${after%% *}"
echo "files=$(find /to -type f | wc -l)"
"""


def refuse_unmovable(docker: Docker, image: str, source: str, target: str) -> None:
    """Raises `move-refused` where the volume reaches outside itself, or its copy has no room. Both volumes exist."""
    said = docker.run(_argv(image, source, target, _MEASURE), seconds=_SECONDS).stdout
    facts = parse_look(said)
    if "outside" in facts:
        problem = f"a part of the cluster lies outside the volume, in {facts['outside']}"
        raise StratumError("move-refused", volume=source, problem=problem)
    needed, free = int(facts["bytes"]) + _ROOM, int(facts["free"])
    if free < needed:
        problem = f"the copy needs {render_bytes(needed)}, and {render_bytes(free)} are free"
        raise StratumError("move-refused", volume=source, problem=problem)


def copy_volume(docker: Docker, image: str, source: str, target: str) -> str:
    """Fill a volume with the files of another, whose server is stopped; the digest of both, which is the same.

    What is in the target goes first, so that it may be done again. Raises `volume-copy-not-whole`.
    """
    facts = parse_look(docker.run(_argv(image, source, target, _COPY), seconds=_SECONDS).stdout)
    if "digest" not in facts:
        raise StratumError("volume-copy-not-whole", volume=source, problem=facts.get("problem", "it broke off"))
    return facts["digest"]


def _argv(image: str, source: str, target: str, script: str) -> tuple[str, ...]:
    return ("run", "--rm", "--network=none", "--user=0:0", "--cap-drop=ALL", "--cap-add=CHOWN", "--cap-add=FOWNER",
            "--cap-add=DAC_OVERRIDE", "--security-opt=no-new-privileges", "--volume", f"{source}:/from:ro,nocopy",
            "--volume", f"{target}:/to:nocopy", "--entrypoint=sh", image, "-c", script)  # fmt: skip
