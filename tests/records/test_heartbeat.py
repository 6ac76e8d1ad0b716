"""Heartbeats: what a writer says of its work is read back without a look at the words."""

from __future__ import annotations

import pytest

from pbtnas.records.heartbeat import IDLE, Heartbeat, busy_with, waiting_for


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


def test_phases_have_the_bytes_that_others_wrote() -> None:
    """Workers and screens of different versions look at the same directory."""
    assert (IDLE, waiting_for("x"), busy_with("y")) == (
        "waiting for work",
        "waiting: x",
        "busy with y",
    )
