"""Mixtures, samples and parts of channels: what they are for one-hot weights, and by gradient."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pbtnas.models.cell64.networks import Cell64, Cell64Sizes
from pbtnas.models.edges import Edge, joint
from pbtnas.models.initialisation import initialise
from pbtnas.supernet.discretise import discretise, widened
from pbtnas.supernet.network import Mixed, Path
from pbtnas.supernet.relaxation import (
    Partial,
    entropy,
    gumbel_noise,
    hard_sample,
    softmax_by_node,
)

EVERY = [(a, b, c) for a in range(4) for b in range(4) for c in range(4)]


def supernet() -> Cell64:
    network = Cell64(Cell64Sizes(width=4, cells=2, stem_factor=1, classes=3), joint(EVERY))
    initialise(network, 3)
    return network


def images() -> Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_sample_is_one_hot_and_its_gradient_that_of_the_softmax() -> None:
    """Exactly one-hot in value, in 10,000 rows; straight through in gradient."""
    logits = torch.randn(10_000, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    noise, weights = gumbel_noise((10_000, 5), 2), torch.randn(10_000, 5)

    hard = hard_sample(logits.log_softmax(dim=1), noise, 0.7)
    (gradient,) = torch.autograd.grad((hard * weights).sum(), logits)

    assert torch.equal(hard, F.one_hot(hard.argmax(dim=1), 5).float())
    soft = ((logits.log_softmax(dim=1) + noise) / 0.7).softmax(dim=1)
    (expected,) = torch.autograd.grad((soft * weights).sum(), logits)
    assert torch.equal(gradient, expected)


def test_samples_are_drawn_by_the_mixture() -> None:
    """Shares of 40,000 draws are the weights, within five standard errors; seeds decide them."""
    mixture = torch.tensor([0.6, 0.3, 0.1])
    noise = gumbel_noise((40_000, 3), 4)

    drawn = hard_sample(mixture.log(), noise, 1.0).mean(dim=0)

    torch.testing.assert_close(drawn, mixture, rtol=0, atol=5 * math.sqrt(0.25 / 40_000))
    assert torch.equal(noise, gumbel_noise((40_000, 3), 4))
    assert not torch.equal(noise, gumbel_noise((40_000, 3), 5))


def test_one_part_of_the_channels_is_all_of_them() -> None:
    """With K = 1, partial channels are the mixture, bit by bit in output and gradient."""
    found = []
    for wrap in (lambda mixed: mixed, lambda mixed: Partial(mixed, 1)):
        weights = torch.full((3, 4), 0.25, requires_grad=True)
        output = supernet()(images(), wrap(Mixed(weights)))
        (gradient,) = torch.autograd.grad(output.square().sum(), weights)
        found.append((output, gradient))

    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_other_parts_go_around_the_operations() -> None:
    """A Kth of the channels is changed, the others come out as they went in, every Kth first."""
    edge = Edge(0, ["twice"], {0: Twice()})
    x = torch.arange(8.0).reshape(1, 8, 1, 1)

    output = Partial(Path((0,)), 4, torch.tensor([0.5]))(edge, x)

    assert output.flatten().tolist() == [0.0, 1.0, 2.0, 3.0, 1.0, 1.5, 2.5, 3.5]


class Twice(torch.nn.Module):
    """Multiplies by two."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def test_weights_of_edges_sum_to_one_at_each_node() -> None:
    """The only edge into a node has all its weight, and gradients reach the logits."""
    logits = torch.tensor([3.0, 0.0, math.log(3)], requires_grad=True)

    weights = softmax_by_node(logits, (0, 1, 1))
    (gradient,) = torch.autograd.grad(weights[2], logits)

    torch.testing.assert_close(weights, torch.tensor([1.0, 0.25, 0.75]))
    torch.testing.assert_close(gradient, torch.tensor([0.0, -0.1875, 0.1875]))


@pytest.mark.parametrize("options", [4, 5])
def test_the_entropy_of_a_mixture(options: int) -> None:
    """It is ln O for the uniform one, 0 for a choice, and the mean over variables between."""
    uniform = torch.full((2, options), 1 / options)
    chosen = F.one_hot(torch.tensor([1, 2]), options).float()

    assert entropy(uniform) == pytest.approx(math.log(options), abs=1e-6)
    assert entropy(chosen) == 0
    half = torch.stack([uniform[0], chosen[0]])
    assert entropy(half) == pytest.approx(math.log(options) / 2, abs=1e-6)


def test_a_one_hot_mixture_stands_for_its_architecture() -> None:
    """Also where options are left out; of equal weights the first is chosen."""
    candidates = [(1, 2, 4), (0, 1, 3)]
    mixture = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])

    assert discretise(mixture, candidates) == (4, 1)
    assert discretise(torch.full((2, 3), 1 / 3), candidates) == (1, 0)
    for architecture in EVERY:
        rows = F.one_hot(torch.tensor(architecture), 4)
        assert discretise(rows, [range(4)] * 3) == architecture
    wide = widened(mixture, candidates, 5)
    assert wide.tolist() == [[0, 0, 0, 0, 1], [0, 1, 0, 0, 0]]
