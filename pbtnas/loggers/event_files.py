"""Writes TensorBoard's event files: what `tensorboard --logdir RUN` shows.

One directory for each member and one for the population; in it one file for each generation, which
appears whole.  So a file that is there is complete, whoever wrote it, and the same records give
the same files: to write one again changes nothing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pbtnas.analysis.history.member_steps import MemberStep
from pbtnas.loggers.base import LoggedRun, Logger, PopulationStep, TrainingLine
from pbtnas.loggers.flat import member_values, population_values
from pbtnas.records import paths

Scalar = tuple[str, int, float]
"""Tag, step and value."""


class EventFiles(Logger):
    """Writes event files below its directory of the run."""

    def __init__(self) -> None:
        # Imported at once, so that it is told at the start if it is not installed.
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer import record_writer

        self._events, self._summaries, self._records = event_pb2, summary_pb2, record_writer
        self._directory = Path()

    def begin(self, run: LoggedRun) -> None:
        self._directory = run.directory

    def member(self, step: MemberStep, training: Sequence[TrainingLine]) -> None:
        if step.network_epochs is None:
            return
        scalars = [*_of_training(training), *_at(step.network_epochs, member_values(step))]
        self._write(paths.member_name(step.member), step.generation, scalars, step.finished_s)

    def population(self, step: PopulationStep) -> None:
        scalars = _at(step.network_epochs, population_values(step))
        self._write("population", step.generation, scalars, step.finished_s)

    def _write(
        self, name: str, generation: int, scalars: Sequence[Scalar], at_s: float | None
    ) -> None:
        directory = self._directory / name
        directory.mkdir(exist_ok=True)
        content = io.BytesIO()
        writer = self._records.RecordWriter(content)
        wall_time = at_s or 0.0
        event = self._events.Event
        writer.write(event(wall_time=wall_time, file_version="brain.Event:2").SerializeToString())
        for tag, step, value in scalars:
            summary = self._summaries.Summary()
            summary.value.add(tag=tag, simple_value=value)
            told = event(wall_time=wall_time, step=step, summary=summary)
            writer.write(told.SerializeToString())
        # TensorBoard reads the files of a directory in the order of their names.
        path = directory / f"events.out.tfevents.{generation:010d}.pbtnas"
        private = directory / f"{paths.PRIVATE}{os.getpid()}"
        private.write_bytes(content.getvalue())
        private.replace(path)


def _of_training(lines: Sequence[TrainingLine]) -> Iterator[Scalar]:
    for line in lines:
        for name, value in line.numbers.items():
            yield f"training/{name}", round(line.network_epochs), value


def _at(epochs: int, values: Mapping[str, float]) -> list[Scalar]:
    return [(tag, epochs, value) for tag, value in values.items()]
