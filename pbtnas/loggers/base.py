"""The interface of a logger: what it is told, and when.

A logger stands beside a run, in a process of its own, and is told what the records say: each thing
once, in the order of generations, however late it is attached.  What it raises is reported, tried
again a few times and then given up; the run knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbtnas.analysis.history.member_steps import MemberStep


@dataclass(frozen=True)
class LoggedRun:
    """The run that a logger is told of.

    Args:
        id: Id of the run.
        name: Name of the run directory.
        directory: Directory of the run in which the logger may write; it exists.
        settings: The resolved configuration.
        told_before: Whether an earlier process has told this logger of the run already.
    """

    id: str
    name: str
    directory: Path
    settings: Mapping[str, Any]
    told_before: bool


@dataclass(frozen=True)
class TrainingLine:
    """What `context.log` was given at one place of a job.

    Args:
        step: Steps of the job that were done.
        network_epochs: Epochs that the network had been trained in all by then: as the line says,
            if it has a number `epoch`, or else by the share of the job's steps that were done.
        values: Values by name, but `epoch`.
    """

    step: int
    network_epochs: float
    values: Mapping[str, float | str]

    @property
    def numbers(self) -> dict[str, float]:
        """Those of the values that are numbers."""
        return {k: v for k, v in self.values.items() if not isinstance(v, str)}


@dataclass(frozen=True)
class PopulationStep:
    """The population after one generation.

    Args:
        generation: Generation, from 0.
        network_epochs: Epochs that each network has been trained in all.
        work: Network-epochs of all members of all generations up to this one.
        scored: Members that have a score.
        failed: Members that diverged or failed.
        best: Highest score of the generation; None if nobody has one.
        best_ever: Highest score of all generations up to this one.
        mean: Mean of the scores.
        spread: Their standard deviation, over all members that have one.
        metrics: Mean and standard deviation of each metric, over the members that have it.
        finished_s: When the last result came, in seconds since the epoch; a hint.
    """

    generation: int
    network_epochs: int
    work: int
    scored: int
    failed: int
    best: float | None
    best_ever: float | None
    mean: float | None
    spread: float | None
    metrics: Mapping[str, tuple[float, float]]
    finished_s: float | None


class Logger:
    """Takes what there is to log.  Override what you need: each method does nothing by default."""

    def begin(self, run: LoggedRun) -> None:
        """Called once before all others in each process."""

    def member(self, step: MemberStep, training: Sequence[TrainingLine]) -> None:
        """A member has its result of a generation; `training` is what it logged on the way."""

    def preview(self, step: MemberStep, picture: Path) -> None:
        """A member that was just told gave a picture with its score, which is still kept."""

    def population(self, step: PopulationStep) -> None:
        """A generation was selected from; all its members were told before."""

    def close(self) -> None:
        """Called once after all others, unless the process is killed."""
