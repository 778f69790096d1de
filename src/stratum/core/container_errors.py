"""Errors of a stack on Docker: the engine, the images, the volume and the containers."""

from __future__ import annotations

from stratum.core.error_kinds import RUNNING, UNTOUCHED, ErrorKind, ExitCode

CONTAINERS = (
    ErrorKind(
        code="docker-missing",
        exit=ExitCode.FAILED,
        message="there is no docker program on this machine",
        data=UNTOUCHED,
        next="install Docker Engine with its Compose plugin (https://docs.docker.com/engine/install/)",
    ),
    ErrorKind(
        code="docker-unreachable",
        exit=ExitCode.FAILED,
        message="the Docker engine does not answer: {problem}",
        data="untouched; whether containers run cannot be seen from here",
        next="start it (`systemctl start docker`), or add yourself to the group that may use it",
    ),
    ErrorKind(
        code="docker-too-old",
        exit=ExitCode.REFUSED,
        message="{what} is {found}, and {wanted} is the oldest that understands this stack",
        data=UNTOUCHED,
        next="update Docker Engine and its Compose plugin",
    ),
    ErrorKind(
        code="no-compose-file",
        exit=ExitCode.USAGE,
        message="{directory} holds no Compose file ({names})",
        data=UNTOUCHED,
        next="`stratum init --runtime compose` in an empty directory lays one down; copy it from there",
    ),
    ErrorKind(
        code="archive-needs-root",
        exit=ExitCode.FAILED,
        message="the archive's directory {path} cannot be made or written to by this account",
        data="untouched; nothing was laid down",
        next="run `sudo mkdir -p {path}` and `sudo chown $(id -u):$(id -g) {path}`, then this again; or name another "
        "directory with --archive",
    ),
    ErrorKind(
        code="directory-needs-root",
        exit=ExitCode.FAILED,
        message="the directory {path} for the database's files cannot be made or written to by this account",
        data=UNTOUCHED,
        next="run `sudo mkdir -p {path}` and `sudo chown $(id -u):$(id -g) {path}`, then this again; or name another "
        "directory",
    ),
    ErrorKind(
        code="certificate-missing",
        exit=ExitCode.REFUSED,
        message="nginx needs a certificate and its key, and there is no file {files}",
        data=UNTOUCHED,
        next="put them where NGINX_CERT_PATH and NGINX_KEY_PATH of .env say; for a first try "
        "`stratum up --all --self-signed` makes a pair",
    ),
    ErrorKind(
        code="image-missing",
        exit=ExitCode.FAILED,
        message="the image {image} is not on this machine and could not be fetched: {problem}",
        data=UNTOUCHED,
        next="see whether POSTGRES_IMAGE of .env names an image that exists, and that the registry can be reached",
    ),
    ErrorKind(
        code="image-unusable",
        exit=ExitCode.REFUSED,
        message="the image {image} cannot be used: {problem}",
        data=UNTOUCHED,
        next="name an official Debian image, such as postgres:16-bookworm, in POSTGRES_IMAGE of .env, or with "
        "--postgres-image",
    ),
    ErrorKind(
        code="mount-mismatch",
        exit=ExitCode.REFUSED,
        message="PostgreSQL {major} ({image}) looks for its data below {wanted}, and the volume is mounted at {mount}",
        data="untouched; started like this the server would have begun anew in a volume without a name",
        next="put POSTGRES_MOUNT={wanted} into .env",
    ),
    ErrorKind(
        code="volume-in-use",
        exit=ExitCode.REFUSED,
        message="the volume {volume} is in use by containers that are not this stack's: {containers}",
        data="untouched; two servers on one data directory would destroy it",
        next="stop those containers, or give this stack another STACK_NAME and POSTGRES_VOLUME in .env",
    ),
    ErrorKind(
        code="volume-from-alpine",
        exit=ExitCode.REFUSED,
        message="the volume {volume} was made by an Alpine image of PostgreSQL {major}; {image} is built on Debian, "
        "where text sorts otherwise",
        data="untouched; on this image its text indexes would silently give wrong answers",
        next="move it by a dump: start the old image on it and run `pg_dump -Fc` there; then set POSTGRES_VOLUME to a "
        "new name, run `stratum up` and `stratum restore --file DUMP`; the old volume stays as it is",
    ),
    ErrorKind(
        code="volume-other-major",
        exit=ExitCode.REFUSED,
        message="the volume {volume} holds data of PostgreSQL {major}; the image {image} is PostgreSQL {image_major}",
        data="untouched; a server of another major cannot open it",
        next="put the old image back into POSTGRES_IMAGE of .env; to change the major, restore a backup into a new "
        "volume: docs/how-to/move-to-another-image.md",
    ),
    ErrorKind(
        code="collation-moved",
        exit=ExitCode.REFUSED,
        message="the image {image} has C library {now}, and the data was written under {before}: text may sort "
        "otherwise there",
        data="untouched; on this image indexes over text could silently give wrong answers",
        next="pin the Debian suite of before in POSTGRES_IMAGE of .env (such as postgres:16-bookworm), or restore a "
        "backup into a new volume: docs/how-to/move-to-another-image.md",
    ),
    ErrorKind(
        code="guard-refused",
        exit=ExitCode.REFUSED,
        message="the guard refused to let anything work on this cluster: {said}",
        data="not touched; the database runs, and no service works on it",
        next="`stratum identity show` says how it differs from the recorded one; `stratum restore` brings that back",
    ),
    ErrorKind(
        code="container-not-serving",
        exit=ExitCode.FAILED,
        message="the container of {service} does not serve ({state}): {log}",
        data="the data is in its volume, as before",
        next="mend what the log says, then run `stratum up` again; `stratum logs {service}` shows more",
    ),
    ErrorKind(
        code="compose-failed",
        exit=ExitCode.FAILED,
        message="Docker Compose could not start the stack: {problem}",
        data="the data is in its volume, as before",
        next="mend what the message says, then run `stratum up` again",
    ),
    ErrorKind(
        code="build-failed",
        exit=ExitCode.FAILED,
        message="the images could not be built: {problem}",
        data="untouched; what runs goes on running as it was",
        next="mend what the message says, then run `stratum build` again",
    ),
    ErrorKind(
        code="backup-service-away",
        exit=ExitCode.FAILED,
        message="the service backup, which does the work on data, gave no answer: {problem}",
        data="nothing further was done; what a verb had begun by then is finished or taken back by the next command",
        next="run `stratum up`; it starts the backup service also when the database is refused",
    ),
    ErrorKind(
        code="not-from-here",
        exit=ExitCode.REFUSED,
        message="this process cannot {what}",
        data=UNTOUCHED,
        next="on the host of a Compose stack run the same command there; a server of your own is managed by you",
    ),
    ErrorKind(
        code="not-started-from-here",
        exit=ExitCode.REFUSED,
        message="{detail}",
        data="not reachable, so nothing was changed",
        next="start it, then run the command again",
    ),
    ErrorKind(
        code="dump-unreadable",
        exit=ExitCode.FAILED,
        message="{file} could not be restored into a throwaway server: {problem}",
        data="untouched; the live database was only read, and nothing was filed",
        next="see whether it is a whole `pg_dump -Fc` file of this PostgreSQL's major or an older one; the roles it "
        "names have to exist",
    ),
    ErrorKind(
        code="source-not-moved",
        exit=ExitCode.FAILED,
        message="git did not move the stack's files to {ref}: {problem}",
        data="untouched; what runs goes on running as it was",
        next="see to what git says, in the stack's directory: `git status` shows where it stands; then run the command "
        "again",
    ),
    ErrorKind(
        code="source-changed",
        exit=ExitCode.REFUSED,
        message="the stack's files are not those of a commit: {files}",
        data="untouched; nothing was stopped",
        next="`git commit` what you changed, or put it away with `git stash`, then run the command again: a release is "
        "known by its commit, and the way back leads to one",
    ),
    ErrorKind(
        code="update-taken-back",
        exit=ExitCode.FAILED,
        message="the update failed ({code}) and was taken back: {problem}",
        data="as before the update: the release of before runs on it. What the new one had changed is kept beside for "
        "a look, until the next update: {kept}",
        next="{next}; then run `stratum update` again",
    ),
    ErrorKind(
        code="no-undo-copy",
        exit=ExitCode.REFUSED,
        message="there is no copy of {database} from before the update {label}",
        data=RUNNING,
        next="`stratum backups list` shows the backup taken before it; `stratum restore ID` brings that back",
    ),
    ErrorKind(
        code="backup-not-proven",
        exit=ExitCode.AT_RISK,
        message="the backup taken before the update is not proven: the drill of {backup} says {verdict}",
        data=RUNNING,
        next="see what the drill found with `stratum drill {backup}`; nothing is updated without a proven way back",
    ),
    ErrorKind(
        code="nothing-to-roll-back",
        exit=ExitCode.REFUSED,
        message="no update is recorded that could be rolled back: {reason}",
        data=RUNNING,
        next="`stratum restore` brings data back; an older release is checked out with git, then `stratum update`",
    ),
    ErrorKind(
        code="data-directory-in-use",
        exit=ExitCode.REFUSED,
        message="{directory} holds a cluster already",
        data="untouched; the cluster that is there was not replaced",
        next="run `stratum up`, which starts it",
    ),
)
