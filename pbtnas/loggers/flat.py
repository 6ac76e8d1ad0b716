"""Names what a member and a population are told by, the same for every logger of pbtnas."""

from __future__ import annotations

from pbtnas.analysis.history.member_steps import MemberStep
from pbtnas.loggers.base import PopulationStep


def member_values(step: MemberStep) -> dict[str, float]:
    """The numbers of a member in a generation: score, generation and metrics."""
    told = {"score": step.score, "generation": step.generation}
    told |= {f"metrics/{name}": value for name, value in step.metrics.items()}
    return {name: value for name, value in told.items() if value is not None}


def population_values(step: PopulationStep) -> dict[str, float]:
    """The numbers of a population after a generation."""
    told = {
        "score/best": step.best,
        "score/best_ever": step.best_ever,
        "score/mean": step.mean,
        "score/spread": step.spread,
        "members/scored": step.scored,
        "members/failed": step.failed,
        "generation": step.generation,
        "work": step.work,
    }
    for name, (mean, spread) in step.metrics.items():
        told |= {f"metrics/{name}/mean": mean, f"metrics/{name}/spread": spread}
    return {name: value for name, value in told.items() if value is not None}
