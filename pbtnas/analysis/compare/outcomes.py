"""The data of a run that comparisons use: its reported number, and its curve."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """The number a finished run reports.

    Args:
        run: Name of the run in messages, e.g. that of its directory.
        algorithm: Algorithm of the run, or the variant of it that a study names.
        seed: Seed of the run; runs of equal seed start from the same population and are paired.
        value: Number, e.g. the final FID on 50,000 images.
        metric: Name of what is measured, e.g. "fid-50k"; only equal metrics are compared.
        task: Task with its options, as JSON; only equal tasks are compared.
        budget: Network-epochs granted by the configuration, summed over all members.
    """

    run: str
    algorithm: str
    seed: int
    value: float
    metric: str
    task: str
    budget: int


@dataclass(frozen=True)
class Curve:
    """The best score of each generation of a run.

    Args:
        run: Name of the run in messages, e.g. that of its directory.
        algorithm: Algorithm of the run, or the variant of it that a study names.
        seed: Seed of the run; runs of equal seed start from the same population and are paired.
        metric: Name of what is measured, e.g. "fid-50k"; only equal metrics are compared.
        epochs: [G] network-epochs spent after each generation, summed over all members.
        scores: [G] best score of each generation; NaN where no member has one.
    """

    run: str
    algorithm: str
    seed: int
    metric: str
    epochs: tuple[int, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.epochs) != len(self.scores):
            raise ValueError(
                f"{self.run}: {len(self.epochs)} epoch counts for {len(self.scores)} scores"
            )
