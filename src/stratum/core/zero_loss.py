"""Zero-loss as a server shows it: who waits for the receiver, what stands in the way, and which waits were cut."""

from __future__ import annotations

from dataclasses import dataclass, field

from stratum.core.receiving import ReceiverPhase, ReceiverState
from stratum.core.receiving_rules import SLOT

CAUGHT_UP_BYTES = 1 << 20
"""How far the receiver may be behind when commits begin to wait for it: a moment's worth."""

FOREIGN = "synchronous_standby_names is {names}: somebody else decides which standby commits wait for"
NEVER_APPLIED = "synchronous_commit is remote_apply for {where}: the receiver applies nothing, so commits would hang"
LOWERED = "synchronous_commit is {value}: the server acknowledges commits before they are received"


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A session whose commit waits for the receiver."""

    pid: int
    began: str
    """When the session began: with `pid` it names the session, for numbers come again."""
    user: str
    database: str
    application: str
    seconds: float
    """Since its statement began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitLook:
    """One server as zero-loss sees it at one moment."""

    names: str
    """`synchronous_standby_names`."""
    commit: str
    """`synchronous_commit` of a session that sets nothing."""
    receiving: bool
    """Whether the receiver is connected and has caught up once (`streaming`)."""
    synchronous: bool
    """Whether the server takes it for the standby that commits wait for."""
    received_before: int | None
    """How far the receiver said it has WAL on disk, read before the sessions were; None while it is away."""
    received_after: int | None
    """The same, read after them."""
    flushed_lsn: int
    waiting: tuple[Waiting, ...] = ()
    applied_for: tuple[str, ...] = ()
    """Roles and databases that were given remote_apply."""
    lowered_for: tuple[str, ...] = ()
    """Roles and databases that were given less than `on`."""
    lowered: frozenset[str] = field(default_factory=frozenset)
    """Sessions that turned `synchronous_commit` down for themselves, as far as that can be seen."""

    @property
    def armed(self) -> bool:
        """Whether commits wait for the receiver."""
        return self.names.strip().strip('"') == SLOT

    @property
    def behind_bytes(self) -> int | None:
        return None if self.received_after is None else max(0, self.flushed_lsn - self.received_after)


def why_impossible(look: CommitLook) -> str | None:
    """Why commits of this server must not be made to wait; None where they may."""
    if look.names.strip() and not look.armed:
        return FOREIGN.format(names=look.names)
    if look.commit == "remote_apply" or look.applied_for:
        where = "all sessions" if look.commit == "remote_apply" else ", ".join(look.applied_for)
        return NEVER_APPLIED.format(where=where)
    return LOWERED.format(value=look.commit) if look.commit != "on" else None


def is_ready(look: CommitLook, state: ReceiverState) -> bool:
    """Whether to begin waiting: the receiver has all but a moment's worth, and a base backup it continues stands."""
    return (
        look.receiving
        and look.behind_bytes is not None
        and look.behind_bytes <= CAUGHT_UP_BYTES
        and state.phase is ReceiverPhase.RECEIVING
        and state.unprotected_since is None
    )


def moves_on(before: CommitLook | None, now: CommitLook) -> bool:
    """Whether waiting leads anywhere: the receiver is there, and where somebody waits it took more since.

    One that is connected and takes nothing is as good as away: frozen, or with a disk that does not answer.
    """
    if not now.receiving or now.received_after is None:
        return False
    if not now.waiting or before is None or before.received_after is None:
        return True
    return now.received_after > before.received_after


def count_cut_waits(before: CommitLook | None, now: CommitLook) -> int:
    """Commits that waited at the look before and do not any more, although nothing was received in between.

    Such a wait was cancelled, or its session ended: the commit was acknowledged, or nobody knows, without being safe.
    What begins and ends between two looks, or is cancelled while WAL arrives, is not seen.
    """
    if before is None or not (before.armed and now.armed) or before.received_before != now.received_after:
        return 0
    still = {(one.pid, one.began) for one in now.waiting}
    return sum((one.pid, one.began) not in still for one in before.waiting)
