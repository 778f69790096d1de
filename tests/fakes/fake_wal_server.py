"""A server whose WAL is received: it shows what a test sets, and notes what is asked of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from stratum.core.receiving_rules import ReceivingView


class FakeWalServer:
    """Stands in for `WalReceiver`; receiving leaves one partial segment in the directory."""

    def __init__(self, view: ReceivingView) -> None:
        self.view = view
        self.running = False
        self.said = ""
        self.calls: list[str] = []
        self.held = 0

    @property
    def is_running(self) -> bool:
        return self.running

    def look(self) -> ReceivingView:
        self.view = replace(self.view, at=self.view.at + timedelta(seconds=1))
        return self.view

    def limit(self, megabytes: int) -> None:
        self.calls.append("limit")
        self.view = replace(self.view, keep_mb=megabytes)

    def history(self, timeline: int) -> str:
        self.calls.append(f"history {timeline}")
        return "1\t0/5000000\tno recovery target specified\n"

    def create_slot(self) -> None:
        self.calls.append("slot")
        self.view = replace(self.view, slot_exists=True, slot_status="reserved")

    def drop_slot(self) -> None:
        self.calls.append("no slot")
        self.view = replace(self.view, slot_exists=False, slot_status="")

    def start(self, directory: Path) -> None:
        self.calls.append("start")
        self.running = True
        (directory / "000000010000000000000005.partial").write_bytes(b"\1" * 100)
        self.view = replace(self.view, slot_active=True, written_lsn=self.view.flushed_lsn)

    def break_off(self, said: str) -> None:
        """The child ended by itself."""
        self.running, self.said = False, said
        self.view = replace(self.view, slot_active=False, written_lsn=None)

    def end(self) -> str:
        if self.running:
            self.break_off("")
            self.calls.append("end")
        said, self.said = self.said, ""
        return said

    def holds(self, lsn: int, *, timeline: int) -> bool:
        return timeline == self.view.timeline and lsn <= self.held

    def flush(self) -> None:
        self.calls.append("flush")

    def close(self) -> None:
        self.end()
