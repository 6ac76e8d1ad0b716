"""Which architecture a mixture stands for."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pbtnas.search.space import Architecture


def discretise(mixture: Tensor, candidates: Sequence[Sequence[int]]) -> Architecture:
    """The option of the largest weight of each variable, the first of equals.

    Where all edges of a cell stay, as in `cell64` and `nb201`, weights of edges change nothing.

    Args:
        mixture: weights [V, O] of the candidates.
        candidates: for each variable, the O options that have a column.
    """
    rows = mixture.detach().tolist()
    return tuple(
        options[row.index(max(row))] for options, row in zip(candidates, rows, strict=True)
    )


def widened(mixture: Tensor, candidates: Sequence[Sequence[int]], options: int) -> Tensor:
    """The same weights with a column for every option of the space; 0 for those left out."""
    if mixture.shape[-1] == options:
        return mixture
    columns = mixture.new_tensor(candidates).long()
    return mixture.new_zeros(len(mixture), options).scatter(1, columns, mixture)
