"""restore: the whole database, one table, beside under another name, or back to before the last restore."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stratum.cli.moments import AtOption, BeforeOption, LsnOption, NameOption, TimelineOption, parse_moment
from stratum.cli.restoring_host import restored_on_host
from stratum.cli.session import (
    HERE,
    ConfirmOption,
    DryRunOption,
    IdentityOption,
    JsonOption,
    StackOption,
    carry_out,
    opened,
    reported,
    show_outcome,
)
from stratum.core.errors import StratumError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stratum.core.volume_recovery import Moment
    from stratum.engine.restore import Target
    from stratum.ports import Outcome, Ports

_NAME_LIMIT_BYTES = 63


def restore(
    backup_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A backup; by default the newest whole one.")
    ] = None,
    at: AtOption = None,
    lsn: LsnOption = None,
    name: NameOption = None,
    before_xid: BeforeOption = None,
    timeline: TimelineOption = None,
    database: Annotated[str | None, typer.Option(help="Which database; by default the application's.")] = None,
    table: Annotated[str | None, typer.Option(help="Only this table, into a schema of its own.")] = None,
    place: Annotated[
        str | None,
        typer.Option("--place", metavar="SCHEMA", help="With --table: put the one restored there in place."),
    ] = None,
    into: Annotated[str | None, typer.Option(metavar="NAME", help="Into a new database; the live one stays.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="From this `pg_dump -Fc` file, whoever made it.")
    ] = None,
    files: Annotated[
        str | None, typer.Option("--files", metavar="NAME", help="Only this file set of [[files]]; no database.")
    ] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="The whole cluster, in a data directory or volume of its own.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Swap back to what the last restore replaced.")] = False,
    identity: IdentityOption = None,
    confirm: ConfirmOption = [],  # noqa: B006 - typer copies the default
    stack: StackOption = HERE,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring data back: built beside, verified, compared with what is live, then swapped; never overwritten."""
    with reported(as_json=as_json):
        moment = parse_moment(at, lsn, name, before_xid, timeline)
        _refuse_contradictions(undo=undo, backup_id=backup_id, at=moment, table=table, into=into, place=place,
                               cluster=cluster, file=file, files=files, database=database, lsn=lsn, name=name,
                               before_xid=before_xid, timeline=timeline)  # fmt: skip
        asked = _Asked(target=_target(backup_id, moment.at if moment else None, database, into), moment=moment,
                       table=table, place=place, file=file, files=files, cluster=cluster, undo=undo)  # fmt: skip
    if asked.may_be_the_hosts:
        wanted = None if undo else asked.whole_cluster or asked.target
        if restored_on_host(stack, wanted, moment=asked.moment, confirm=confirm, dry_run=dry_run, as_json=as_json):
            return
    with opened(stack, as_json=as_json, dry_run=dry_run, confirm=confirm, inside=True, file=file, file_set=files,
                identity=identity) as ports:  # fmt: skip
        outcome = carry_out(ports, why="restore", dry_run=dry_run, verb=lambda: _restore(ports, asked))
        show_outcome(outcome, as_json=as_json, done=_DONE.get(outcome.plan.verb, _done)(outcome))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What the command line asked for."""

    target: Target
    moment: Moment | None
    table: str | None
    place: str | None
    file: Path | None
    files: str | None
    cluster: bool
    undo: bool

    @property
    def may_be_the_hosts(self) -> bool:
        """Whether it may be about a whole volume, which only the host of a Compose stack can move."""
        return not any((self.table, self.target.into, self.file, self.files))

    @property
    def whole_cluster(self) -> Moment | None:
        from stratum.core.volume_recovery import Moment

        return (self.moment or Moment()) if self.cluster else None


def _restore(ports: Ports, asked: _Asked) -> Outcome:
    from stratum.engine.restore_at import restore_to, undo_last
    from stratum.engine.restore_cluster import restore_cluster
    from stratum.engine.restore_table import parse_table, put_in_place

    if asked.files is not None:
        return _files(ports, asked.files, asked)
    if asked.whole_cluster is not None:
        return restore_cluster(ports, asked.whole_cluster)
    if asked.undo:
        return undo_last(ports, asked.target.database)
    if asked.file is not None:
        return _file(ports, asked.file, asked.target.database, asked.target.into)
    table = parse_table(asked.table) if asked.table is not None else None
    if table is not None and asked.place is not None:
        return put_in_place(ports, table, asked.place, asked.target.database)
    return restore_to(ports, asked.target, asked.moment, table=table)


def _files(ports: Ports, name: str, asked: _Asked) -> Outcome:
    from stratum.engine.restore_files import restore_files, undo_files

    if asked.undo:
        return undo_files(ports, name)
    return restore_files(ports, name, backup_id=asked.target.backup_id, at=asked.target.at)


def _file(ports: Ports, file: Path, database: str | None, into: str | None) -> Outcome:
    """File it as a backup, and restore that."""
    from stratum.engine.import_dump import import_dump
    from stratum.engine.restore import Target
    from stratum.engine.restore import restore as run

    if not file.is_file():
        raise StratumError("invalid-argument", argument="--file", problem=f"there is no file {file}")
    name, found = database or ports.stack.databases[0], file.stat()
    taken_at = datetime.fromtimestamp(found.st_mtime, UTC)
    filed = import_dump(ports, file.absolute(), database=name, taken_at=taken_at, bytes_=found.st_size)
    if filed.end is None:
        return filed
    return run(ports, Target(backup_id=str(filed.facts["backup_id"]), database=name, into=into))


def _target(backup_id: str | None, at: datetime | None, database: str | None, into: str | None) -> Target:
    from stratum.engine.restore import Target

    if into is not None and not 0 < len(into.encode()) <= _NAME_LIMIT_BYTES:
        problem = f"a database's name has 1 to {_NAME_LIMIT_BYTES} bytes, not {len(into.encode())}"
        raise StratumError("invalid-argument", argument="--into", problem=problem)
    return Target(backup_id=backup_id, at=at, database=database, into=into)


def _refuse_contradictions(**given: object) -> None:
    """Options that name different restores are refused instead of one of them winning in silence."""
    set_ones = {name for name, value in given.items() if value}
    for first, second in (("undo", "backup_id"), ("undo", "at"), ("undo", "table"), ("undo", "into"), ("table", "into"),
                          ("backup_id", "at"), ("place", "backup_id"), ("place", "at"), ("file", "backup_id"),
                          ("file", "at"), ("file", "table"), ("file", "undo"), ("cluster", "backup_id"),
                          ("cluster", "table"), ("cluster", "into"), ("cluster", "file"),
                          ("cluster", "undo"), ("files", "table"), ("files", "into"), ("files", "file"),
                          ("files", "cluster"), ("files", "database"), ("files", "lsn"), ("files", "name"),
                          ("files", "before_xid"), ("files", "timeline")):  # fmt: skip
        if {first, second} <= set_ones:
            problem = f"it cannot go with --{second.replace('_', '-')}"
            raise StratumError("invalid-argument", argument=f"--{first}", problem=problem)
    if "place" in set_ones and "table" not in set_ones:
        raise StratumError("invalid-argument", argument="--place", problem="it needs --table")


def _cluster_done(outcome: Outcome) -> str:
    reached, aside = outcome.facts.get("reached"), outcome.plan.params["aside"]
    lines = [f"done: {outcome.plan.headline}", *([str(reached)] if reached else [])]
    if outcome.facts.get("set_aside"):
        lines.append(f"the data directory of before is kept as kept/{aside}; `stratum restore --undo` goes back to it")
    return "\n".join(lines)


def _files_done(outcome: Outcome) -> str:
    back = f"stratum restore --files {outcome.plan.params['files']} --undo"
    return f"done: {outcome.plan.headline}\nwhat it replaced is kept; `{back}` goes back to it"


def _done(outcome: Outcome) -> str:
    from stratum.engine.restore import still_to_restore

    params, facts = outcome.plan.params, outcome.facts
    if outcome.plan.verb == "restore-table":
        place = f"stratum restore --table {params['table_schema']}.{params['table']} --place {facts.get('schema')}"
        return f"restored into schema {facts.get('schema')}; put it in place with `{place}`"
    if outcome.plan.verb == "place-table":
        return f"in place; the table it replaced is kept in schema {params['kept_schema']}"
    if outcome.plan.verb == "restore" and not params["swap"]:
        return f"restored into {params['beside']}: {facts.get('verdict')}; the live database was not touched"
    if params.get("rebuild"):
        kept = (
            f"; what was left of the old data directory is kept as kept/{params['aside']}"
            if facts.get("set_aside")
            else ""
        )
        left = params.get("left")
        others = [still_to_restore(str(name)) for name in left] if isinstance(left, list) else []
        return "\n".join((f"done: {outcome.plan.headline}", f"a new cluster was made{kept}", *others))
    if facts.get("replaced") is False:
        return f"done: {outcome.plan.headline}\nthere was no {params['database']} that it replaced"
    back = f"what it replaced is kept as {params['kept']}; `{params.get('undo')}` swaps back"
    return f"done: {outcome.plan.headline}\n{back}"


_DONE: dict[str, Callable[[Outcome], str]] = {
    "restore-cluster": _cluster_done,
    "undo-restore-cluster": _cluster_done,
    "restore-files": _files_done,
    "undo-restore-files": _files_done,
}
"""What a person is told, where it is not a database that was brought back."""
