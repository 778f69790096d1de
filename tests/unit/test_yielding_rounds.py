"""Work that can wait gets the processor after the server's; what reports and receives does not wait."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from stratum.agent.rounds import Rounds


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
def test_a_yielding_thread_alone_is_nicer_than_the_process() -> None:
    ours, found, done = os.getpriority(os.PRIO_PROCESS, 0), dict[str, int](), threading.Barrier(3)

    def look() -> None:
        found[threading.current_thread().name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        done.wait(10)

    both = (
        Rounds("filing", look, every_seconds=60, yielding=True),
        Rounds("receiving", look, every_seconds=60),
    )
    for rounds in both:
        rounds.start()
    done.wait(10)
    for rounds in both:
        rounds.stop()
    assert found["stratum-receiving"] == os.getpriority(os.PRIO_PROCESS, 0) == ours
    assert found["stratum-filing"] == max(10, ours)
