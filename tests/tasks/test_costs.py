"""What a trained network costs: counted on shapes, or said by its trainee."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pbtnas.search.objectives import objectives_of
from pbtnas.tasks.costs import costs_of, multiply_adds
from pbtnas.tasks.faults import TaskFault


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 16, 10)
    )


class Trainee:
    """A trainee that says some of its costs."""

    def __init__(self, **said: Any) -> None:
        self._said = said

    def trained_network(self) -> nn.Module:
        return network()

    def costs(self) -> dict[str, Any]:
        return self._said


def test_multiply_adds_are_counted_on_shapes_and_leave_the_network_alone() -> None:
    """Convolutions and matrix products, each product once; no number of the network changes."""
    ours = network().train()
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}

    count = multiply_adds(ours, lambda n: n(torch.zeros(1, 3, 4, 4, device="meta")))

    assert count == 8 * 3 * 9 * 16 + 8 * 16 * 10
    assert ours.training
    assert all(torch.equal(before[name], tensor) for name, tensor in ours.state_dict().items())


def test_a_task_may_say_other_numbers_and_only_what_is_asked_for_is_counted() -> None:
    """Parameters are those of the trained network unless the trainee says otherwise."""
    parameters = 3 * 8 * 9 + 8 + 16 + 128 * 10 + 10

    assert costs_of(Trainee(multiply_adds=7), {"parameters"}) == {"parameters": parameters}
    both = costs_of(Trainee(multiply_adds=7, parameters=3), {"parameters", "multiply_adds"})
    assert both == {"parameters": 3.0, "multiply_adds": 7.0}
    assert costs_of(object(), {"parameters", "multiply_adds"}) == {}
    with pytest.raises(TaskFault, match="'multiply_adds' of costs"):
        costs_of(Trainee(multiply_adds="many"), {"multiply_adds"})


def test_they_are_counted_where_an_objective_asks_for_them() -> None:
    """All other runs keep the metrics that they had."""
    assert objectives_of(["score"], 24).counted == frozenset()
    assert objectives_of(["score", "parameters smaller"], 24).counted == {"parameters"}
