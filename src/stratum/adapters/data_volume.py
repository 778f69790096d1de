"""The volume that holds the data: made once, held by a container outside the project, and looked at offline."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stratum.adapters.docker import Docker
from stratum.core.containers import ImageLook, Libc, VolumeLook
from stratum.core.errors import StratumError

STACK_LABEL, ROLE_LABEL = "fr.stratum.stack", "fr.stratum.role"
_ROLE = "data"
SERVER_ACCOUNT = "postgres:postgres"
"""As the official image calls it."""
_LOOK_SECONDS, _REMOVE_SECONDS = 120.0, 600.0

_LOOK = r"""
echo "pg_major=$PG_MAJOR"
echo "libc=$( (ldd --version 2>&1 || true) | head -n 1)"
if [ -d /look ]; then
  for found in /look/PG_VERSION /look/*/docker/PG_VERSION; do
    if [ -s "$found" ]; then
      cluster=yes
      echo "major=$(cat "$found")"
      echo "owner=$(stat -c %u "$found")"
      control=$(LC_ALL=C pg_controldata "${found%/PG_VERSION}" 2>/dev/null || true)
      echo "system=$(echo "$control" | sed -n 's/^Database system identifier: *//p')"
      case "$found" in /look/PG_VERSION) echo versioned=no ;; *) echo versioned=yes ;; esac
    fi
  done
  # A new cluster that was cut while it was made, or while it was put in its place, is none: the next try ends it.
  if [ -n "$cluster" ] || [ ! -s /look/.stratum-whole/PG_VERSION ]; then
    [ -n "$(ls -A /look | grep -v '^[.]stratum-new$')" ] && echo entries=yes
  fi
fi
true
"""
"""Run in the database's own image, by its own shell: no PostgreSQL is started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataVolume:
    """One volume of one stack, and the container that holds it."""

    docker: Docker
    stack: str
    named: Callable[[], str]
    """The volume's name as .env has it now: a recovery goes on with another one."""
    image: str
    """The database's image; the holder and the looks run in it."""
    directory: Path | None = None
    """A host directory that holds the files of each volume of the stack; None for Docker's own place."""

    imaged: Callable[[], str] | None = None
    """The image as .env has it now, where that may change: an upgrade goes on with another one."""

    @property
    def name(self) -> str:
        return self.named()

    @property
    def base(self) -> str:
        """The image that runs what is done here."""
        return self.imaged() if self.imaged is not None else self.image

    @property
    def device(self) -> Path | None:
        """The directory behind this very volume: another volume, after a recovery, has another one."""
        return None if self.directory is None else self.directory / self.name

    @property
    def holder(self) -> str:
        return f"{self.name}-holder"

    def called(self, name: str) -> DataVolume:
        """Another volume of the same stack, whatever .env names."""
        return replace(self, named=lambda: name)

    def create(self) -> None:
        """Make the volume where it is missing. One that is there is left as it is."""
        if self._inspect() is not None:
            return
        backed: tuple[str, ...] = ()
        if self.device is not None:
            _make_directory(self.device)
            # Before there is a volume: one that is there already is left as it is, also by the try after a crash.
            self._chown(SERVER_ACCOUNT, f"{self.device}:/data")
            backed = ("--opt", "type=none", "--opt", "o=bind", "--opt", f"device={self.device}")
        labels = ("--label", f"{STACK_LABEL}={self.stack}", "--label", f"{ROLE_LABEL}={_ROLE}")
        self.docker.run(("volume", "create", *labels, *backed, self.name))

    def hold(self) -> None:
        """See that a running container outside the project mounts it: what is mounted cannot be removed or pruned."""
        if self._holds():
            return
        self.docker.run(("rm", "--force", self.holder), accept=(0, 1))
        self.docker.run(
            (
                "run",
                "--detach",
                "--name",
                self.holder,
                "--restart=unless-stopped",
                "--network=none",
                "--read-only",
                "--cap-drop=ALL",
                "--security-opt=no-new-privileges",
                "--user=65534:65534",
                "--init",
                "--memory=32m",
                "--pids-limit=10",
                "--label",
                f"{STACK_LABEL}={self.stack}",
                "--label",
                f"{ROLE_LABEL}=holder",
                "--volume",
                f"{self.name}:/held:ro,nocopy",
                "--entrypoint=sleep",
                self.base,
                "infinity",
            )
        )

    def remove(self) -> None:
        """Delete holder, volume and all files in it, for good. Holder and volume may be gone already."""
        self.docker.run(("rm", "--force", self.holder), accept=(0, 1))
        if self._inspect() is not None:
            # Docker refuses while a container has it; so the files go after that.
            self.docker.run(("volume", "rm", self.name))
        if self.device is not None and self.device.is_dir():
            self._empty_device(self.device)

    def look(self, *, project: str) -> tuple[ImageLook, VolumeLook]:
        """What image and volume say of themselves; starts a shell in the image, and no server.

        Raises `image-missing` where the image is not there and cannot be fetched.
        """
        found = self._inspect()
        source = self.name if found is not None else self._files_without_volume()
        facts = _run_look(self.docker, self.base, source)
        image = _image_look(self.base, facts)
        if source is None:
            return image, VolumeLook(name=self.name, exists=False)
        volume = VolumeLook(
            name=self.name,
            exists=found is not None,
            held=self._holds(),
            empty="entries" not in facts,
            major=int(facts["major"]) if facts.get("major", "").isdigit() else None,
            versioned=facts.get("versioned") == "yes",
            owner_uid=int(facts["owner"]) if "owner" in facts else None,
            system_identifier=facts.get("system") or None,
            other_users=self._other_users(project),
            device=(found.get("Options") or {}).get("device", "") if found else source,
        )
        return image, volume

    def exists(self) -> bool:
        """Whether there is anything to look at: a volume, or the directory that stood behind one."""
        return self._inspect() is not None or self._files_without_volume() is not None

    def is_held(self) -> bool:
        return self._holds()

    def _inspect(self) -> dict[str, dict[str, str]] | None:
        answer = self.docker.run(("volume", "inspect", self.name), accept=(0, 1))
        if answer.exit_code != 0:
            return None
        found: list[dict[str, dict[str, str]]] = json.loads(answer.stdout)
        return found[0]

    def _holds(self) -> bool:
        wanted = ("--filter", f"name=^{self.holder}$", "--filter", f"volume={self.name}", "--filter", "status=running")
        return bool(self.docker.run(("ps", "--quiet", *wanted)).stdout.strip())

    def _other_users(self, project: str) -> tuple[str, ...]:
        """Two servers in two containers do not see each other's lock on one data directory, and would destroy it."""
        form = '{{.Names}}\t{{.Label "com.docker.compose.project"}}'
        rows = self.docker.run(("ps", "--filter", f"volume={self.name}", "--format", form)).stdout.splitlines()
        users = (row.partition("\t")[::2] for row in rows)
        return tuple(name for name, owner in users if name != self.holder and owner != project)

    def _files_without_volume(self) -> str | None:
        """The directory that a removed volume leaves behind, with its files."""
        return str(self.device) if self.device is not None and self.device.is_dir() else None

    def _empty_device(self, device: Path) -> None:
        """The files are the server's account's, so they are deleted from inside a container; the directory stays."""
        argv = ("run", "--rm", "--network=none", "--user=0:0", "--volume", f"{device}:/data", "--entrypoint=find",
                self.base, "/data", "-mindepth", "1", "-delete")  # fmt: skip
        self.docker.run(argv, seconds=_REMOVE_SECONDS)

    def give(self, account: str) -> None:
        """Let all files in it belong to an account, `name:group` of the image or `uid:gid`.

        A new directory belongs to whoever made it, and what was recovered to whoever read the archive; the server
        starts only on what is its own.
        """
        self._chown(account, f"{self.name}:/data:nocopy")

    def _chown(self, account: str, mount: str) -> None:
        argv = ("run", "--rm", "--network=none", "--user=0:0", "--cap-drop=ALL", "--cap-add=CHOWN", "--cap-add=FOWNER",
                "--cap-add=DAC_OVERRIDE", "--volume", mount, "--entrypoint=chown", self.base, "--recursive", account,
                "/data")  # fmt: skip
        self.docker.run(argv, seconds=_REMOVE_SECONDS)


def make_volume_over(docker: Docker, name: str, *, directory: Path, stack: str) -> None:
    """A volume whose files are those of a directory of the host, as they are. One of this name stays as it is."""
    labels = ("--label", f"{STACK_LABEL}={stack}", "--label", f"{ROLE_LABEL}={_ROLE}")
    backed = ("--opt", "type=none", "--opt", "o=bind", "--opt", f"device={directory}")
    if docker.run(("volume", "inspect", name), accept=(0, 1)).exit_code != 0:
        docker.run(("volume", "create", *labels, *backed, name))


def look_at_image(docker: Docker, image: str) -> ImageLook:
    """What an image says of itself, fetched where it is not there. Raises `image-missing`."""
    return _image_look(image, _run_look(docker, image, None))


def _run_look(docker: Docker, image: str, source: str | None) -> dict[str, str]:
    """What the script says, of the image and of what is mounted from `source`, a volume or a directory."""
    mount = ("--volume", f"{source}:/look:ro" + ("" if source.startswith("/") else ",nocopy")) if source else ()
    argv = ("run", "--rm", "--network=none", "--read-only", "--user=0:0", "--cap-drop=ALL",
            "--cap-add=DAC_READ_SEARCH", *mount, "--entrypoint=sh", image, "-c", _LOOK)  # fmt: skip
    try:
        return parse_look(docker.run(argv, seconds=_LOOK_SECONDS).stdout)
    except StratumError as error:
        if error.code == "tool-failed" and error.details["exit_code"] == "125":
            raise StratumError("image-missing", image=image, problem=error.details["stderr"]) from None
        raise


def parse_look(said: str) -> dict[str, str]:
    """The facts of a look, by name; lines that are none are passed over."""
    return dict(line.partition("=")[::2] for line in said.splitlines() if "=" in line)


def _image_look(name: str, facts: Mapping[str, str]) -> ImageLook:
    return ImageLook(
        name=name,
        major=int(facts["pg_major"]) if facts.get("pg_major", "").isdigit() else None,
        libc=_libc(facts.get("libc", "")),
        libc_version=_libc_version(facts.get("libc", "")),
    )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except PermissionError:
        raise StratumError("directory-needs-root", path=path.parent) from None


def _libc(said: str) -> Libc:
    if "musl" in said.lower():
        return Libc.MUSL
    return Libc.GLIBC if "libc" in said.lower() or "glibc" in said.lower() else Libc.UNKNOWN


def _libc_version(said: str) -> str:
    """The last word of `ldd (Debian GLIBC 2.36-9+deb12u10) 2.36`."""
    last = said.rsplit(maxsplit=1)[-1] if said.split() else ""
    return last if last[:1].isdigit() else ""
