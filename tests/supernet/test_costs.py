"""Multiply-adds of subnets and mixtures, from the layers of the supernet."""

from __future__ import annotations

import pytest
import torch

from pbtnas.models.cell64.networks import Cell64, Cell64Sizes
from pbtnas.models.edges import joint, only
from pbtnas.supernet.costs import pass_costs
from pbtnas.tasks.costs import multiply_adds

EVERY = [(a, b, c) for a in range(4) for b in range(4) for c in range(4)]
SIZES = Cell64Sizes(width=4, cells=2, stem_factor=1, classes=3)


@pytest.mark.parametrize("architecture", [(0, 0, 0), (1, 2, 3), (3, 3, 2)])
def test_a_path_costs_what_the_network_alone_does(architecture: tuple[int, ...]) -> None:
    """As counted by torch; a mixture costs the fixed layers and all operations once."""
    costs = pass_costs(Cell64(SIZES, joint(EVERY)), 8)
    images = torch.empty(1, 3, 8, 8, device="meta")

    alone = multiply_adds(Cell64(SIZES, only(architecture)), lambda network: network(images))

    assert costs.path(architecture) == alone
    rows = [sum(costs.operations[v, o] for o in range(4)) for v in range(3)]
    assert costs.mixed() == costs.fixed + sum(rows)
