"""Errors of releases, rehearsals, upgrades and rotations."""

from __future__ import annotations

from stratum.core.error_kinds import RUNNING, ErrorKind, ExitCode

RELEASES = (
    ErrorKind(
        code="rehearsal-refuses",
        exit=ExitCode.REFUSED,
        message="the rehearsal on a clone says: {summary}",
        data="untouched; only a throwaway clone was changed, and what ran before runs",
        next="`stratum rehearse` shows it in full; to go on all the same: {accept}",
    ),
    ErrorKind(
        code="rehearsal-not-closed-off",
        exit=ExitCode.REFUSED,
        message="nothing is rehearsed here, for it could not be closed off from the network: {problem}",
        data=RUNNING,
        next="run the command as root, or allow user namespaces (`sysctl user.max_user_namespaces`)",
    ),
    ErrorKind(
        code="rehearsal-broke-off",
        exit=ExitCode.COULD_NOT_VERIFY,
        message="the rehearsal could not be made: {problem}",
        data=RUNNING,
        next="mend what it names and try again; the throwaway clone is gone, or swept by the next command. "
        "`stratum update --accept unrehearsed` goes on without it",
    ),
    ErrorKind(
        code="nothing-to-rehearse",
        exit=ExitCode.REFUSED,
        message="there is nothing to rehearse: {problem}",
        data=RUNNING,
        next="set [commands] migrate in stratum.toml",
    ),
    ErrorKind(
        code="rotation-not-followed",
        exit=ExitCode.REFUSED,
        message="{place} would keep the old password of {role}",
        data=RUNNING,
        next="let it read {variable} of .env instead of a copy of the password, and run `stratum rotate` again",
    ),
    ErrorKind(
        code="rotation-not-permitted",
        exit=ExitCode.REFUSED,
        message="the server does not let the password of {role} be changed: {problem}",
        data="untouched; the passwords of before are in force",
        next="let an administrator of the server type `\\password {role}` in psql, write the new password into .env, "
        "and run `stratum up`",
    ),
    ErrorKind(
        code="rotation-not-proven",
        exit=ExitCode.COULD_NOT_VERIFY,
        message="the new password of {role} is not what counts: {problem}",
        data="untouched; the secrets of before are put back in the server, in .env and in what runs",
        next="mend what it names, and run `stratum rotate` again",
    ),
    ErrorKind(
        code="rotation-cut-across",
        exit=ExitCode.REFUSED,
        message="{file} was changed by somebody else while its secrets were",
        data="untouched; the secrets of before are put back, and the change by hand stays",
        next="run `stratum rotate` again when nobody edits the file",
    ),
    ErrorKind(
        code="rotated-lately",
        exit=ExitCode.REFUSED,
        message="the signing key was changed already, and the one before it counts until {until}",
        data="untouched; nothing was changed, and nobody was signed out",
        next="wait until then; `stratum rotate jwt --at-once` changes it now, and whoever is signed in signs in again",
    ),
    ErrorKind(
        code="update-code-taken-back",
        exit=ExitCode.FAILED,
        message="the update failed ({code}), and its code was taken back: {problem}",
        data="the release of before runs on what the new one left: others could have written to it since it was "
        "started. The copies from before the migration are kept until the next update",
        next="{next}; see that the release of before is well, or restore the backup that the update took",
    ),
    ErrorKind(
        code="update-migration-stays",
        exit=ExitCode.FAILED,
        message="the update without downtime failed ({code}) and was taken back, but for its migration: {problem}",
        data="nothing is lost, and nobody was kept from writing: the release of before serves on what the migration "
        "has done so far, as it was seen to on a clone",
        next="{next}; then run `stratum update` again",
    ),
    ErrorKind(
        code="no-downtime-impossible",
        exit=ExitCode.REFUSED,
        message="there is no update without downtime here: {problem}",
        data=RUNNING,
        next="`stratum update` stops the application for it, and its plan says for how long",
    ),
    ErrorKind(
        code="needs-downtime",
        exit=ExitCode.FAILED,
        message="the new release cannot take over while the one before serves: {reasons}",
        data=RUNNING,
        next="`stratum update` stops the application for it; or split the change, so that both releases can work with "
        "what each step leaves",
    ),
    ErrorKind(
        code="visitors-not-led",
        exit=ExitCode.FAILED,
        message="nginx did not lead visitors to the other containers: {problem}",
        data="untouched; visitors are led where they were led before",
        next="look at what it says: `stratum logs nginx`",
    ),
    ErrorKind(
        code="unknown-release",
        exit=ExitCode.USAGE,
        message="there is no release {release}, or more than one whose id ends so",
        data=RUNNING,
        next="`stratum releases` lists them",
    ),
    ErrorKind(
        code="release-images-gone",
        exit=ExitCode.REFUSED,
        message="release {release} cannot be started again: its images of {services} are not kept any more",
        data=RUNNING,
        next="check its commit out with git and run `stratum update`, which builds them anew",
    ),
    ErrorKind(
        code="code-needs-its-data",
        exit=ExitCode.REFUSED,
        message="release {release} cannot work on the data as it is now: {gone}",
        data=RUNNING,
        next="`stratum rollback {release} --data` brings the data of then back too, says first what that takes away, "
        "and keeps it beside; `stratum backup`, then `stratum backups export ID DIRECTORY` exports it all first",
    ),
    ErrorKind(
        code="release-does-not-run",
        exit=ExitCode.REFUSED,
        message="release {release} does not run on a clone of the data as it is now: {summary}",
        data="untouched; only a throwaway clone was changed, and what ran before runs",
        next="`stratum rollback {release} --data` brings the data of then back too, and says first what that takes "
        "away; to go back all the same: `stratum rollback {release}` with {accept}",
    ),
    ErrorKind(
        code="release-not-tried",
        exit=ExitCode.COULD_NOT_VERIFY,
        message="release {release} could not be tried on a clone of the data: {problem}",
        data="untouched; what ran before runs",
        next="mend what it names and try again; `stratum rollback {release} --accept unrehearsed` goes back without it",
    ),
    ErrorKind(
        code="data-not-beside",
        exit=ExitCode.REFUSED,
        message="the data that release {release} worked on is not kept beside: {reason}",
        data=RUNNING,
        next="`stratum rollback {release}` brings its code alone; `stratum backups list` shows the backups taken "
        "before each update",
    ),
    ErrorKind(
        code="not-counted-in-time",
        exit=ExitCode.COULD_NOT_VERIFY,
        message="counting was given up: it takes longer than anybody waits before a page",
        data=RUNNING,
        next="`stratum rollback --dry-run` on the host, also with `--data`, takes the time it needs",
    ),
    ErrorKind(
        code="move-refused",
        exit=ExitCode.REFUSED,
        message="the data in {volume} is not moved: {problem}",
        data=RUNNING,
        next="mend what it names, and run `stratum adopt --move` again; the volume is held, and backups go on",
    ),
    ErrorKind(
        code="volume-copy-not-whole",
        exit=ExitCode.COULD_NOT_VERIFY,
        message="the copy of {volume} is not whole: {problem}",
        data="untouched; the volume was only read, and what ran before runs on it again",
        next="look at `stratum logs`; `stratum adopt --move` again makes another copy",
    ),
    ErrorKind(
        code="upgrade-refused",
        exit=ExitCode.REFUSED,
        message="PostgreSQL is not brought to {major}: {problem}",
        data=RUNNING,
        next="mend what it names, or name a newer major, and run the command again; "
        "`stratum upgrade-postgres --undo` goes back to the cluster before the last upgrade",
    ),
    ErrorKind(
        code="upgrade-no-programs",
        exit=ExitCode.REFUSED,
        message="there are no programs of PostgreSQL {major} on this machine",
        data=RUNNING,
        next="install them, and name their directory in stratum.toml: [database] programs; "
        "{oldest} is the oldest major that Stratum works with",
    ),
    ErrorKind(
        code="upgrade-not-whole",
        exit=ExitCode.COULD_NOT_VERIFY,
        message="what arrived in PostgreSQL {major} is not what was there: {problem}",
        data="untouched; the old cluster serves as before, and what was made beside is thrown away",
        next="mend what it names, and run `stratum upgrade-postgres` again",
    ),
    ErrorKind(
        code="no-upgrade-to-undo",
        exit=ExitCode.REFUSED,
        message="there is no upgrade to go back from: {reason}",
        data=RUNNING,
        next="`stratum backups list` shows what can be restored instead",
    ),
)
