"""What drivers of all protocols have in common."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pbtnas.engine.driver import Driver
from pbtnas.engine.signals import StopRequest
from pbtnas.protocol.operations import Now
from pbtnas.store.posix import PosixStore


def test_leases_run_on_a_clock_that_nobody_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting the time of a machine frees no claim; and while it is suspended, the clock goes on,
    where there is one that does."""
    clocks = {time.CLOCK_REALTIME: 1e9, time.CLOCK_MONOTONIC: 5.0}
    lease_clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    clocks[lease_clock] = 7.0
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)

    with PosixStore(tmp_path, "me") as store:
        assert Driver(store, StopRequest(())).execute(Now()) == 7.0
