"""What learns an architecture, exactly: on the simplex, and against autograd."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from pbtnas.models.cell64.networks import Cell64, Cell64Sizes
from pbtnas.models.edges import joint
from pbtnas.models.initialisation import initialise
from pbtnas.supernet.architecture_steps import (
    distance_to_uniform,
    exponentiated,
    unrolled_gradient,
)
from pbtnas.supernet.network import Mixed

EVERY = [(a, b, c) for a in range(4) for b in range(4) for c in range(4)]


def rows(seed: int, *, options: int = 5, dtype: torch.dtype = torch.float64) -> Tensor:
    """Six rows on the simplex."""
    logits = torch.randn(6, options, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return logits.softmax(dim=1)


def gradient(seed: int, *, options: int = 5, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(6, options, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_rows_stay_on_the_simplex() -> None:
    """After 2,000 float32 steps, rows sum to 1 within 1e-6, and none is below 0."""
    mixture = torch.full((6, 5), 0.2)
    for step in range(2000):
        mixture = exponentiated(mixture, gradient(step, dtype=torch.float32), 0.1, 1e-5)
        assert float((mixture.sum(dim=1) - 1).abs().max()) <= 1e-6
        assert float(mixture.min()) >= 0


def test_a_constant_added_to_a_row_of_the_gradient_changes_nothing() -> None:
    """Only differences between operations of an edge count, as long as the floor is not met."""
    constants = torch.tensor([[3.0], [-2.0], [0.5], [10.0], [-7.0], [0.0]], dtype=torch.float64)
    mixture, slope = rows(1), gradient(2)

    shifted = exponentiated(mixture, slope + constants, 0.3, 0)

    torch.testing.assert_close(shifted, exponentiated(mixture, slope, 0.3, 0), rtol=0, atol=1e-15)


def test_a_step_from_the_uniform_mixture_is_a_softmax() -> None:
    """It is softmax(-eta g)."""
    uniform, slope = torch.full((6, 5), 0.2, dtype=torch.float64), gradient(3)

    stepped = exponentiated(uniform, slope, 0.7, 0)

    torch.testing.assert_close(stepped, (-0.7 * slope).softmax(dim=1), rtol=0, atol=1e-15)


def test_a_step_of_length_zero_changes_nothing() -> None:
    """With rows above the floor, the mixture stays."""
    mixture = rows(4)

    stepped = exponentiated(mixture, gradient(5), 0.0, 1e-5)

    torch.testing.assert_close(stepped, mixture, rtol=0, atol=1e-15)


def test_a_constant_gradient_leads_to_a_vertex() -> None:
    """The smallest slope wins; the others end where the floor, and the division after, put them."""
    eta, floor = 0.1, 1e-5
    slopes = torch.stack([torch.arange(-2.0, 3.0)[torch.randperm(5)] for _ in range(6)]).double()
    mixture = torch.full((6, 5), 0.2, dtype=torch.float64)
    for _ in range(2000):
        mixture = exponentiated(mixture, slopes, eta, floor)

    others = floor / (math.exp(2 * eta) + 4 * floor)
    winners = F.one_hot(slopes.argmin(dim=1), 5).bool()
    torch.testing.assert_close(
        mixture[~winners], torch.full((24,), others).double(), rtol=1e-4, atol=0
    )
    assert float(mixture[winners].min()) > 1 - 5e-5


@pytest.mark.parametrize("normalise_first", [False, True])
def test_no_gradient_is_too_large(normalise_first: bool) -> None:
    """A row that is nearly at a vertex has one of thousands; it stays on the simplex, in float32.

    Without care exp overflows, and the row is NaN (gaea-gdas in NAS-Bench-201 ended so).
    """
    mixture = torch.full((6, 5), 0.2)
    for step in range(50):
        slope = 10.0 ** (step % 8) * gradient(step, dtype=torch.float32)
        mixture = exponentiated(mixture, slope, 0.7, 1e-5, normalise_first=normalise_first)

        assert float((mixture.sum(dim=1) - 1).abs().max()) <= 1e-6
        assert float(mixture.min()) > 0


def test_a_row_that_does_not_overflow_has_the_bits_that_it_had() -> None:
    """Runs begun before there was any care go on to the same bits."""
    for step in range(40):
        mixture, slope = rows(step, dtype=torch.float32), 3.0 * step * gradient(step).float()
        grown = (mixture * (-0.7 * slope).exp()).clamp(min=1e-5)
        before = grown / grown.sum(dim=-1, keepdim=True)
        whole = before.isfinite().all(dim=-1)

        assert torch.equal(exponentiated(mixture, slope, 0.7, 1e-5)[whole], before[whole])
    assert not whole.all()


def test_no_option_is_out_of_reach_where_rows_are_normalised_first() -> None:
    """The floor holds but for the last division, whatever is added to a row of the gradient."""
    floor, slope = 1e-5, 300 * gradient(6)
    mixture = exponentiated(rows(7), slope, 1.0, floor, normalise_first=True)
    shifted = exponentiated(rows(7), slope + 1e3, 1.0, floor, normalise_first=True)

    assert float(mixture.min()) >= floor / (1 + 5 * floor)
    torch.testing.assert_close(mixture, shifted, rtol=1e-9, atol=0)
    assert float(exponentiated(rows(7), slope, 1.0, floor).min()) < floor / 1e20


def test_the_divergence_from_the_uniform_mixture() -> None:
    """It is 0 there and ln O for a vertex, for each row."""
    assert float(distance_to_uniform(torch.full((3, 4), 0.25))) == 0
    vertex = torch.tensor([[1 - 3e-9, 1e-9, 1e-9, 1e-9]], dtype=torch.float64)
    assert float(distance_to_uniform(vertex)) == pytest.approx(math.log(4), abs=1e-6)


class Losses:
    """A supernet in double precision, and its losses on two batches."""

    def __init__(self) -> None:
        self.network = Cell64(Cell64Sizes(width=4, cells=1, stem_factor=1, classes=3), joint(EVERY))
        initialise(self.network, 3)
        self.network.double().train()
        self.logits = gradient(7, options=4)[:3].requires_grad_()
        self.weights = dict(self.network.named_parameters())
        for module in self.network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.track_running_stats = False
                module.running_mean = module.running_var = None
        chance = torch.Generator().manual_seed(8)
        self.images = torch.randn(2, 6, 3, 8, 8, generator=chance, dtype=torch.float64)
        self.labels = torch.randint(3, (2, 6), generator=chance)
        self.buffers = {n: torch.randn(w.shape, generator=chance, dtype=torch.float64) * 0.1
                        for n, w in self.weights.items()}  # fmt: skip

    def at(self, batch: int, weights: dict[str, Tensor] | None = None) -> Tensor:
        """The loss on a batch, 0 to train and 1 to validate."""
        inputs = (self.images[batch], Mixed(self.logits.softmax(dim=1)))
        output = functional_call(self.network, weights or self.weights, inputs)
        return F.cross_entropy(output, self.labels[batch])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_unrolled_gradient_is_that_of_autograd(momentum: float) -> None:
    """DARTS' finite difference against the derivative through the step of the weights."""
    losses, rate, decay = Losses(), 0.05, 3e-4
    slopes = torch.autograd.grad(losses.at(0), list(losses.weights.values()), create_graph=True)
    ahead = {
        name: w.detach() - rate * (momentum * losses.buffers[name] + g + decay * w.detach())
        for (name, w), g in zip(losses.weights.items(), slopes, strict=True)
    }
    (exact,) = torch.autograd.grad(losses.at(1, ahead), losses.logits)
    before = {name: w.detach().clone() for name, w in losses.weights.items()}

    def found(reach: float) -> Tensor:
        (gradient,) = unrolled_gradient(
            [losses.logits],
            list(losses.weights.values()),
            list(losses.buffers.values()),
            train_loss=lambda: losses.at(0),
            validation_loss=lambda: losses.at(1),
            rate=rate,
            momentum=momentum,
            decay=decay,
            reach=reach,
        )
        return gradient

    scale = float(exact.abs().max())
    (first,) = torch.autograd.grad(losses.at(1, as_constants(ahead)), losses.logits)
    assert float((found(1e-6) - exact).abs().max()) < 1e-6 * scale
    assert float((found(1e-2) - exact).abs().max()) < 0.1 * scale, "the published distance"
    assert float((first - exact).abs().max()) > 0.01 * scale, "the second term matters here"
    assert all(torch.equal(w, before[name]) for name, w in losses.weights.items())


def as_constants(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, which the architecture does not move."""
    return {name: weight.detach() for name, weight in weights.items()}
