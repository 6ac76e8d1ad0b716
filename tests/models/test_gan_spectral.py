"""Spectral normalisation against torch's own, and the promises torch's does not make."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from pbtnas.models.spectral import SpectralConv2d, SpectralLinear


def test_training_steps_are_those_of_torch_as_published():
    """Over three training forwards, outputs, gradients and estimates are the published ones.

    The authors used torch's older `spectral_norm`, which improves v before u.
    """
    torch.manual_seed(0)
    ours = SpectralConv2d(3, 5, 3, padding=1)
    plain = nn.Conv2d(3, 5, 3, padding=1)
    plain.load_state_dict({"weight": ours.weight, "bias": ours.bias})
    theirs = nn.utils.spectral_norm(plain)
    theirs.weight_u.copy_(ours.norm.u)
    theirs.weight_v.copy_(ours.norm.v)
    for _ in range(3):
        images = torch.randn(2, 3, 6, 6)
        torch.testing.assert_close(ours(images), theirs(images))
        # A cube: its gradient is not orthogonal to the weight, so the one of sigma counts.
        for layer in (ours, theirs):
            (layer(images) ** 3).mean().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight_orig.grad)
    torch.testing.assert_close(ours.norm.u, theirs.weight_u)
    torch.testing.assert_close(ours.norm.v, theirs.weight_v)


def test_evaluation_is_that_of_torchs_parametrization():
    """With the same estimates, torch's current spectral norm gives the same weight and gradient."""
    torch.manual_seed(0)
    ours = SpectralLinear(6, 4).eval()
    theirs = parametrizations.spectral_norm(nn.Linear(6, 4)).eval()
    estimates = theirs.parametrizations.weight[0]
    with torch.no_grad():
        theirs.parametrizations.weight.original.copy_(ours.weight)
        theirs.bias.copy_(ours.bias)
        estimates._u.copy_(ours.norm.u)
        estimates._v.copy_(ours.norm.v)
    x = torch.randn(3, 6)
    torch.testing.assert_close(ours(x), theirs(x))
    for layer in (ours, theirs):
        (layer(x) ** 3).mean().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.parametrizations.weight.original.grad)


@pytest.mark.parametrize(
    "module, shape",
    [(SpectralConv2d(4, 6, 3, padding=1), (1, 4, 5, 5)), (SpectralLinear(7, 5), (2, 7))],
    ids=["conv", "linear"],
)
def test_sigma_converges_to_the_largest_singular_value(module: nn.Module, shape: tuple[int, ...]):
    """After many training forwards the normalised weight has spectral norm 1."""
    with torch.no_grad():
        for _ in range(300):
            module(torch.zeros(shape))
        normalised = module.eval().norm(module.weight)
    assert torch.linalg.matrix_norm(normalised.flatten(1), ord=2).item() == pytest.approx(
        1, abs=1e-3
    )


def test_estimates_move_in_training_and_stay_in_evaluation():
    """One forward in training mode changes u and v; in evaluation mode neither."""
    layer = SpectralLinear(6, 4)
    before = layer.norm.u.clone()
    layer.eval()(torch.ones(1, 6))
    assert torch.equal(before, layer.norm.u)
    layer.train()(torch.ones(1, 6))
    assert not torch.equal(before, layer.norm.u)


def test_one_backward_may_follow_two_forwards():
    """A discriminator sees real and generated images before its backward."""
    layer = SpectralLinear(6, 4)
    (layer(torch.ones(1, 6)) + layer(torch.zeros(1, 6))).sum().backward()
    assert layer.weight.grad is not None


def test_tensors_keep_the_names_of_the_plain_layer():
    """Normalisation adds buffers and renames nothing."""
    names = {name for name, _ in SpectralConv2d(2, 2, 3).named_parameters()}
    assert names == {name for name, _ in nn.Conv2d(2, 2, 3).named_parameters()}
    buffers = {name for name, _ in SpectralConv2d(2, 2, 3).named_buffers()}
    assert buffers == {"norm.u", "norm.v"}


def test_the_seed_decides_weights_and_estimates():
    """Two layers made after the same seed hold the same bits, after another seed others."""

    def made(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        return list(SpectralConv2d(3, 4, 3).state_dict().values())

    assert all(map(torch.equal, made(1), made(1)))
    assert not any(map(torch.equal, made(1), made(2)))


def test_estimates_keep_full_precision_under_autocast():
    """Under bf16 autocast the weight is normalised exactly as without it."""
    torch.manual_seed(0)
    layer = SpectralLinear(64, 32).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = layer.norm(layer.weight)
    assert torch.equal(mixed, layer.norm(layer.weight))
