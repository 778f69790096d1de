"""pgBackRest and Barman, as their own manuals set them up for one cluster: the fastest settings that keep it safe."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """The cluster that everybody copies."""

    data: Path
    sockets: Path
    port: int
    superuser: str
    passfile: Path


class PgBackRest:
    """Two processes, zstd level 1, WAL by `archive_command`; see https://pgbackrest.org/user-guide.html for each."""

    def __init__(self, work: Path, cluster: Cluster) -> None:
        self.repository = work / "pgbackrest"
        self._work, self._cluster = work, cluster
        self._file = work / "pgbackrest.conf"

    @property
    def archive_command(self) -> str:
        return f"pgbackrest --config={self._file} --stanza=bench archive-push %p"

    def set_up(self) -> None:
        for folder in (self.repository, self._work / "pgbackrest-log", self._work / "pgbackrest-lock"):
            folder.mkdir()
        cluster = self._cluster
        self._file.write_text(
            f"[global]\nrepo1-path={self.repository}\nrepo1-retention-full=9\nprocess-max=2\ncompress-type=zst\n"
            f"compress-level=1\nstart-fast=y\nlog-level-console=warn\nlog-level-file=off\n"
            f"log-path={self._work / 'pgbackrest-log'}\nlock-path={self._work / 'pgbackrest-lock'}\n"
            f"[bench]\npg1-path={cluster.data}\npg1-socket-path={cluster.sockets}\npg1-port={cluster.port}\n"
            f"pg1-user={cluster.superuser}\n",
            encoding="utf-8",
        )

    def create(self) -> None:
        self._run("stanza-create")

    def back_up(self) -> None:
        self._run("backup", "--type=full")

    def size(self) -> int:
        """Of the newest full backup, as stored."""
        newest = sorted(path for path in (self.repository / "backup" / "bench").iterdir() if path.name.endswith("F"))
        return bytes_below(newest[-1])

    def restore(self, data: Path, *, at: str | None = None) -> None:
        data.mkdir(mode=0o700)
        target = ("--type=time", f"--target={at}", "--target-action=promote") if at else ()
        self._run("restore", f"--pg1-path={data}", *target)

    def _run(self, command: str, *options: str) -> None:
        run(("pgbackrest", f"--config={self._file}", "--stanza=bench", *options, command), self._cluster)


class Barman:
    """Streaming: `pg_basebackup` and `pg_receivewal`, compressed by the server; see https://docs.pgbarman.org."""

    def __init__(self, work: Path, cluster: Cluster) -> None:
        self.home = work / "barman"
        self._cluster = cluster
        self._file = work / "barman.conf"

    def set_up(self) -> None:
        (self.home / "d").mkdir(parents=True)
        cluster = self._cluster
        reach = f"host={cluster.sockets} port={cluster.port} user={cluster.superuser} dbname=postgres"
        self._file.write_text(
            f"[barman]\nbarman_home={self.home}\nbarman_user=postgres\nlog_file={self.home / 'log'}\nlog_level=INFO\n"
            f"configuration_files_directory={self.home / 'd'}\n"
            f"[bench]\ndescription=bench\nconninfo={reach}\nstreaming_conninfo={reach}\nbackup_method=postgres\n"
            "streaming_archiver=on\nslot_name=barman\ncreate_slot=auto\nbackup_compression=zstd\n"
            "backup_compression_format=tar\nbackup_compression_level=1\nbackup_compression_location=server\n"
            "backup_compression_workers=2\nimmediate_checkpoint=true\npath_prefix=/usr/lib/postgresql/17/bin\n"
            f"recovery_staging_path={self.home}\nlocal_staging_path={self.home}\n",
            encoding="utf-8",
        )

    def create(self) -> None:
        self._run("cron")
        self._run("switch-wal", "--force", "--archive", "--archive-timeout=240", "bench")

    def settle(self) -> None:
        """Let it file the WAL it has received, as its cron job does once a minute."""
        self._run("cron")

    def end(self) -> None:
        """Its receiver would go on in the background."""
        self._run("receive-wal", "--stop", "bench")
        self._run("receive-wal", "--drop-slot", "bench")

    def back_up(self) -> None:
        self._run("backup", "bench")

    def size(self) -> int:
        newest = sorted((self.home / "bench" / "base").iterdir())
        return bytes_below(newest[-1])

    def restore(self, data: Path, *, at: str | None = None) -> None:
        self._run(
            "restore", *((f"--target-time={at}", "--target-action=promote") if at else ()), "bench", "latest", str(data)
        )

    def _run(self, command: str, *options: str) -> None:
        run(("barman", "-q", "-c", str(self._file), command, *options), self._cluster)


def run(argv: Sequence[str], cluster: Cluster) -> None:
    """Raises CalledProcessError, with what the tool said."""
    env = os.environ | {"PGPASSFILE": str(cluster.passfile), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} exited {done.returncode}: {done.stdout[-1500:]} {done.stderr[-1500:]}")


def bytes_below(folder: Path) -> int:
    """What all files below a directory take, as their names say."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
