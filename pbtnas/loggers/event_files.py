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
from typing import Any

from pbtnas.analysis.history.member_steps import MemberStep
from pbtnas.loggers.base import LoggedRun, Logger, PopulationStep, TrainingLine
from pbtnas.loggers.flat import member_values, population_values
from pbtnas.records import paths
from pbtnas.records.pictures import MOST_BYTES
from pbtnas.regular_files import read_regular

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

    def preview(self, step: MemberStep, picture: Path) -> None:
        if step.network_epochs is None:
            return
        from PIL import Image

        data = read_regular(picture, limit=MOST_BYTES)
        with Image.open(io.BytesIO(data)) as opened:
            width, height = opened.size
        summary = self._summaries.Summary()
        image = self._summaries.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=data
        )
        summary.value.add(tag="preview", image=image)
        event = self._events.Event(
            wall_time=step.finished_s or 0.0, step=step.network_epochs, summary=summary
        )
        directory = self._directory / paths.member_name(step.member)
        self._write_events(directory, f"{step.generation:010d}.preview", [event])

    def population(self, step: PopulationStep) -> None:
        scalars = _at(step.network_epochs, population_values(step))
        self._write("population", step.generation, scalars, step.finished_s)

    def _write(
        self, name: str, generation: int, scalars: Sequence[Scalar], at_s: float | None
    ) -> None:
        events = []
        for tag, step, value in scalars:
            summary = self._summaries.Summary()
            summary.value.add(tag=tag, simple_value=value)
            events.append(self._events.Event(wall_time=at_s or 0.0, step=step, summary=summary))
        self._write_events(self._directory / name, f"{generation:010d}.pbtnas", events)

    def _write_events(self, directory: Path, suffix: str, events: Sequence[Any]) -> None:
        directory.mkdir(exist_ok=True)
        content = io.BytesIO()
        writer = self._records.RecordWriter(content)
        begin = self._events.Event(wall_time=events[0].wall_time, file_version="brain.Event:2")
        for event in (begin, *events):
            writer.write(event.SerializeToString())
        # TensorBoard reads the files of a directory in the order of their names.
        path = directory / f"events.out.tfevents.{suffix}"
        private = directory / f"{paths.PRIVATE}{os.getpid()}"
        private.write_bytes(content.getvalue())
        private.replace(path)


def _of_training(lines: Sequence[TrainingLine]) -> Iterator[Scalar]:
    for line in lines:
        for name, value in line.numbers.items():
            yield f"training/{name}", round(line.network_epochs), value


def _at(epochs: int, values: Mapping[str, float]) -> list[Scalar]:
    return [(tag, epochs, value) for tag, value in values.items()]
