"""Steps that learn an architecture: the exponentiated gradient, and the unrolled gradient.

The other steps are Adam's on logits, and REINFORCE (`supernet.controller`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

ArchitectureStep = Literal["none", "adam", "exponentiated", "reinforce"]
Objective = Literal["bilevel", "single-level"]
First = Literal["architecture", "weights"]
Gradient = Literal["first-order", "second-order"]


@torch.no_grad()
def exponentiated(
    mixture: Tensor, gradient: Tensor, rate: float, floor: float, *, normalise_first: bool = False
) -> Tensor:
    """A step of the exponentiated gradient on the simplex (GAEA, arXiv 2004.07802, section 3).

    Each row is multiplied by exp(-rate * gradient), clipped from below and divided by its sum.
    Finite for every finite gradient: where a row would overflow, its largest exponent is taken off
    all of them first, which changes nothing but what the floor is compared with.

    Args:
        mixture: rows on the simplex, [V, O] or [O].
        gradient: of the loss by the mixture, of that shape.
        rate: step length.
        floor: smallest value before the division, which keeps options alive.
        normalise_first: divide by the sum before clipping too, so that no option falls below the
            floor by more than the last division takes: what needs its logarithm needs that.
    """
    exponents = -rate * gradient
    grown = mixture * (exponents - exponents.amax(dim=-1, keepdim=True)).exp()
    if normalise_first:
        grown /= grown.sum(dim=-1, keepdim=True)
    else:
        plain = mixture * exponents.exp()
        grown = torch.where(plain.sum(dim=-1, keepdim=True).isfinite(), plain, grown)
    grown = grown.clamp(min=floor)
    return grown / grown.sum(dim=-1, keepdim=True)


def distance_to_uniform(mixture: Tensor) -> Tensor:
    """The sum over rows of the Kullback-Leibler divergence from the uniform mixture, in nats."""
    return (mixture * (mixture * mixture.shape[-1]).log()).sum()


def unrolled_gradient(
    architecture: Sequence[Tensor],
    weights: Sequence[Tensor],
    momenta: Sequence[Tensor | None],
    *,
    train_loss: Callable[[], Tensor],
    validation_loss: Callable[[], Tensor],
    rate: float,
    momentum: float,
    decay: float,
    reach: float = 0.01,
) -> list[Tensor]:
    """The gradient by the architecture of the validation loss after a step of the weights.

    The product with the mixed second derivative is a central difference (DARTS, arXiv 1806.09055,
    equations 6 to 8).  The weights have their values back afterwards, bit by bit.

    Args:
        architecture: tensors whose gradient is wanted.
        weights: shared weights, on which both losses depend.
        momenta: the momentum buffer of each weight; None before its first step.
        train_loss: computes the training loss with the weights as they are.
        validation_loss: computes the validation loss with the weights as they are.
        rate: learning rate of the weights, the length of the step.
        momentum: of SGD.
        decay: weight decay of SGD.
        reach: distance in the space of the weights of each side of the difference.
    """
    kept = [weight.detach().clone() for weight in weights]

    def put(directions: Sequence[Tensor], length: float) -> None:
        with torch.no_grad():
            for weight, value, direction in zip(weights, kept, directions, strict=True):
                weight.copy_(value + length * direction)

    try:
        gradients = _gradients(train_loss(), weights)
        velocities = [
            gradient + decay * value + (0 if buffer is None else momentum * buffer)
            for gradient, value, buffer in zip(gradients, kept, momenta, strict=True)
        ]
        put(velocities, -rate)
        found = _gradients(validation_loss(), [*architecture, *weights])
        ahead, directions = found[: len(architecture)], found[len(architecture) :]
        norm = float(torch.stack([d.double().square().sum() for d in directions]).sum().sqrt())
        if norm == 0:
            return ahead
        epsilon = reach / norm
        put(directions, epsilon)
        above = _gradients(train_loss(), architecture)
        put(directions, -epsilon)
        below = _gradients(train_loss(), architecture)
    finally:
        put(kept, 0)
    return [
        first - rate * (plus - minus) / (2 * epsilon)
        for first, plus, minus in zip(ahead, above, below, strict=True)
    ]


def _gradients(loss: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of a loss; zero for what it does not depend on."""
    return list(torch.autograd.grad(loss, list(tensors), allow_unused=True, materialize_grads=True))
