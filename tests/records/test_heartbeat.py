"""Heartbeats: what a writer says of its work is read back without a look at the words."""

from __future__ import annotations

import pytest

from pbtnas.records.heartbeat import IDLE, Heartbeat, busy_with, left, waiting_for


@pytest.mark.parametrize(
    ("phase", "idle", "reason", "run"),
    [
        (IDLE, True, "", ""),
        (waiting_for("results: No space left"), False, "results: No space left", ""),
        (busy_with("searl-s2"), False, "", "searl-s2"),
        ("training g0002 m02 attempt 1", False, "", ""),
        ("waiting for the disk", False, "", ""),
        ("", False, "", ""),
    ],
)
def test_a_phase_is_read_as_it_was_written(phase: str, idle: bool, reason: str, run: str) -> None:
    """A heartbeat tells whether its writer is idle, hindered or at work for another run."""
    beat = Heartbeat.decode(Heartbeat(3, 40, phase).encode())

    assert beat is not None
    assert (beat.idle, beat.waiting_for, beat.busy_with) == (idle, reason, run)


def test_a_last_beat_tells_how_its_writer_ended() -> None:
    """Whoever reads it need not wait for the lease."""
    last = Heartbeat.decode(Heartbeat(9, 0, left("stopped")).encode())

    assert last is not None and last.left == "stopped" and not last.idle
    assert Heartbeat(3, 40, "training").left == ""


def test_of_a_long_reason_the_end_is_kept() -> None:
    """A deep path leaves room for what is wrong with it."""
    phase = waiting_for(f"{'/deep' * 60}: No space left on device")
    beat = Heartbeat.decode(Heartbeat(10**6, 10**6, phase).encode())

    assert beat is not None and beat.phase == phase
    assert beat.waiting_for.startswith("...") and phase.endswith(": No space left on device")


def test_phases_have_the_bytes_that_others_wrote() -> None:
    """Workers and screens of different versions look at the same directory."""
    assert (IDLE, waiting_for("x"), busy_with("y")) == (
        "waiting for work",
        "waiting: x",
        "busy with y",
    )
