"""What a job has logged is one log, however many attempts it took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.member_steps import MemberStep
from pbtnas.loggers.base import TrainingLine
from pbtnas.loggers.training_logs import one_log, training_lines
from pbtnas.records import paths
from pbtnas.store.reader import RunReader


def log(*lines: dict[str, Any]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


WHOLE = [{"step": step, "loss": 1 / step} for step in range(1, 9)]


@pytest.mark.parametrize("snapshot", [0, 3, 5])
def test_what_a_later_attempt_logs_again_counts_once(snapshot: int) -> None:
    """It goes on from a snapshot, or begins again; the first one was killed within a line."""
    first = log(*WHOLE[:5]) + b'{"step": 6, "lo'
    second = log(*WHOLE[snapshot:])

    assert one_log([first, second]) == one_log([log(*WHOLE)])
    assert one_log([first, b"", second]) == one_log([log(*WHOLE)])


def test_what_is_logged_with_the_score_takes_nothing_away() -> None:
    """An attempt that only scored goes on behind the last step; other words of that step stay."""
    scored = {"step": 8, "protocol": "100 images"}

    merged = one_log([log(*WHOLE), log(scored)])

    assert [done for done, _ in merged] == [*range(1, 9), 8]
    assert dict(merged[-1][1]) == {"protocol": "100 images"}


def test_lines_are_placed_by_network_epochs(tmp_path: Path) -> None:
    """As their `epoch` says; without one, by the share of the job's steps that are done."""
    step = MemberStep(2, 3, "ok", 1.0, {}, {}, epochs=4, network_epochs=10, attempt=1)
    file = tmp_path / paths.attempt_log(2, 3, 1)
    file.parent.mkdir(parents=True)
    file.write_bytes(
        log(
            {"step": 10, "loss": 0.5},
            {"step": 20, "epoch": 2, "loss": 0.25, "phase": "warm"},
            {"step": 40, "loss": 0.125, "nested": {"no": "number"}},
        )
        + b"not JSON\n[1, 2]\n"
    )
    with RunReader(tmp_path) as reader:
        lines = training_lines(RecordFiles(reader), step)

    assert lines == [
        TrainingLine(10, 7.0, {"loss": 0.5}),
        TrainingLine(20, 8.0, {"loss": 0.25, "phase": "warm"}),
        TrainingLine(40, 10.0, {"loss": 0.125}),
    ]
    assert lines[1].numbers == {"loss": 0.25}
