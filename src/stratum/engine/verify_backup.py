"""verify: read every stored byte of a backup and compare it with the manifest; needs no running server."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from stratum.core.backup import CHECKSUMS, DumpedDatabase, FileFacts, Manifest, render_checksums
from stratum.core.dump_contents import compare_contents
from stratum.core.errors import StratumError
from stratum.core.file_sets import FileSetFacts
from stratum.core.proof import Check, Method, Proof, Verdict, could_not_verify, listed, overall
from stratum.engine.run_plan import new_plan_id
from stratum.ports import PgTools, Ports


def verify_backup(manifest: Manifest, ports: Ports) -> Proof:
    """Check hashes, sizes, headers, the whole data of each dump, and the manifest against the contents.

    Writes nothing but its own proof. A pass says that the bytes are those that were written; only a drill
    says that they restore.
    """
    started, clock = ports.clock.now(), ports.clock.monotonic()
    checks = verification_checks(manifest, ports)
    finished = ports.clock.now()
    proof = Proof(
        id=new_plan_id(finished),
        backup_id=manifest.id,
        method=Method.VERIFY,
        verdict=overall(checks),
        checks=checks,
        started_at=started,
        finished_at=finished,
        digest_mode=manifest.digest_mode,
        total_seconds=round(ports.clock.monotonic() - clock, 3),
    )
    ports.archive.record_proof(proof)
    return proof


def verification_checks(manifest: Manifest, ports: Ports) -> tuple[Check, ...]:
    """The checks, without recording a proof; stops after the stored files when these are not whole."""
    path = ports.archive.backup_path(manifest.id)
    files = check_stored_files(manifest, path, ports)
    if files.verdict is not Verdict.PROVEN:
        return (files,)
    if (unread := check_tools(manifest, ports)) is not None:
        return (files, unread)
    tools = ports.runtime.offline_tools()
    try:
        with ports.archive.opened(manifest.id) as plain:
            read = [check for database in manifest.databases for check in _check_dump(database, plain, tools)]
            read += [_check_file_set(facts, plain, ports) for facts in manifest.file_sets]
    except StratumError as error:
        return (files, unopened(error))
    return (files, *read)


def unopened(error: StratumError) -> Check:
    """What a sealed backup that could not be opened says: nothing, without the key; that it is damaged, with it."""
    if error.code == "sealed-damaged":
        return Check(name="contents", verdict=Verdict.FAILED, reason=error.message)
    if error.code not in UNOPENED:
        raise error
    return could_not_verify("contents", error.message)


UNOPENED = frozenset({"sealed-no-key", "sealed-wrong-key", "identity-unreadable"})
"""Errors that say that a key is missing, and nothing of what is sealed."""


def check_tools(manifest: Manifest, ports: Ports) -> Check | None:
    """None when the tools here can read the dump; older ones cannot, which says nothing about the dump."""
    wrote, here = manifest.tool_version, ports.runtime.tools_version()
    if int(here.split(".")[0]) >= int(wrote.split(".")[0]):
        return None
    return could_not_verify("tools", f"the dump was written by pg_dump {wrote}, and the tools here are {here}")


def check_stored_files(manifest: Manifest, path: Path, ports: Ports) -> Check:
    """Every file the manifest names is there with its size and SHA-256, its checksum file too, and no other is."""
    wanted = {file.path: file for file in (*manifest.files, _checksum_file(manifest))}
    found = {file.path: file for file in ports.archive.measure(path)}
    wrong = [
        _describe(name, wanted.get(name), found.get(name))
        for name in wanted.keys() | found.keys()
        if wanted.get(name) != found.get(name)
    ]
    if wrong or not manifest.files:
        return Check(name="stored-files", verdict=Verdict.FAILED, reason=listed(wrong) or "the backup has no files")
    return Check(name="stored-files", verdict=Verdict.PROVEN, reason=f"{len(wanted)} files, SHA-256 equal")


def _checksum_file(manifest: Manifest) -> FileFacts:
    content = render_checksums(manifest.files).encode()
    return FileFacts(path=CHECKSUMS, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _describe(name: str, wanted: FileFacts | None, found: FileFacts | None) -> str:
    if found is None:
        return f"{name} is missing"
    if wanted is None:
        return f"{name} does not belong to the backup"
    if wanted.bytes != found.bytes:
        return f"{name} has {found.bytes} bytes instead of {wanted.bytes}"
    return f"{name} has changed content"


def _check_file_set(facts: FileSetFacts, plain: Path, ports: Ports) -> Check:
    try:
        found = ports.file_sets.read(plain / facts.path)
    except StratumError as error:
        return Check(name=f"files {facts.name}", verdict=Verdict.FAILED, reason=error.message)
    if found != facts.contents:
        return Check(name=f"files {facts.name}", verdict=Verdict.FAILED, reason="the tar holds other files")
    reason = f"{found.entries} entries, all content read"
    return Check(name=f"files {facts.name}", verdict=Verdict.PROVEN, reason=reason)


def _check_dump(database: DumpedDatabase, path: Path, tools: PgTools) -> tuple[Check, ...]:
    source, name = path / database.path, database.facts.properties.name
    try:
        version = tools.archive_version(source)
        contents = tools.contents(source)
        rows = tools.read_everything(source)
    except StratumError as error:
        return (Check(name=f"dump {name}", verdict=Verdict.FAILED, reason=error.message),)
    if version != database.archive_version:
        reason = f"archive version {version} instead of {database.archive_version}"
        return (Check(name=f"dump {name}", verdict=Verdict.FAILED, reason=reason),)
    read = Check(name=f"dump {name}", verdict=Verdict.PROVEN, reason=f"archive version {version}, all data read")
    return (read, replace(compare_contents(database.facts.tables, contents, rows), name=f"contents {name}"))
