"""The budget of a run, counted in network-epochs."""

from __future__ import annotations


def granted_epochs(
    *, population: int, generations: int, epochs: int, first_epochs: int | None
) -> int:
    """Network-epochs that a configuration grants the whole run.

    A run whose members failed for good spends less, but had the same budget.

    Args:
        population: Members of every generation.
        generations: Generations of the run.
        epochs: Epochs of a member in a generation.
        first_epochs: Epochs of a member in generation 0; None means as in all others.
    """
    first = epochs if first_epochs is None else first_epochs
    return population * (first + (generations - 1) * epochs)
