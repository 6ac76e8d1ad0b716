"""What the study knows of a run: one number to report, and how it got there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """The number a finished run reports.

    Args:
        run: what messages call the run, e.g. its directory's name.
        algorithm: of the run, or the variant of it that a study names.
        seed: of the run; runs of equal seed start from the same population and are paired.
        value: the number, e.g. the final FID on 50,000 images.
        metric: what it measures, e.g. "fid-50k"; only equal metrics are compared.
        task: what was trained, options included; only equal tasks are compared.
        budget: network-epochs granted by the configuration, summed over all members.
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
        run: what messages call the run.
        algorithm: of the run.
        seed: of the run.
        metric: what the score measures; larger is better.
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
