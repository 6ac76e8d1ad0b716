"""Reads what members logged while they trained, as one log for each job.

A job may have had several attempts, each with a log of its own.  A later one goes on from a
snapshot of an earlier one, or begins again: what the earlier one has logged beyond that place is
logged once more, and counts once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.member_steps import MemberStep
from pbtnas.loggers.base import TrainingLine
from pbtnas.records import paths

EPOCH = "epoch"  # the key with which a task says where in the job it is

Line = tuple[int, Mapping[str, Any]]


def training_lines(files: RecordFiles, step: MemberStep) -> list[TrainingLine]:
    """What a member logged in a generation, in order; nothing where its job was taken over."""
    if step.attempt is None or step.epochs is None or step.network_epochs is None:
        return []
    names = [
        paths.attempt_log(step.generation, step.member, number)
        for number in range(1, step.attempt + 1)
    ]
    lines = one_log([files.bytes(name) or b"" for name in names])
    steps = max((done for done, _ in lines), default=0)
    before = step.network_epochs - step.epochs
    return [
        TrainingLine(
            done,
            before + _epochs(values, done / steps * step.epochs if steps else 0.0),
            {name: value for name, value in values.items() if name != EPOCH},
        )
        for done, values in lines
    ]


def one_log(attempts: Sequence[bytes]) -> list[Line]:
    """The lines of all attempts at a job, as if it had been done without interruption."""
    whole: list[Line] = []
    for data in attempts:
        lines = list(_lines(data))
        if lines:
            begins = lines[0][0]
            again = {(done, *values) for done, values in lines}
            whole = [
                (done, values)
                for done, values in whole
                if done <= begins and (done, *values) not in again
            ]
            whole += lines
    return whole


def _lines(data: bytes) -> Iterator[Line]:
    """The whole lines of one log: who writes it may be killed within one."""
    for text in data.splitlines():
        try:
            values = json.loads(text)
            done = int(values.pop("step"))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        yield done, {str(k): v for k, v in values.items() if isinstance(v, Real | str)}


def _epochs(values: Mapping[str, Any], otherwise: float) -> float:
    told = values.get(EPOCH)
    return float(told) if isinstance(told, Real) else otherwise
