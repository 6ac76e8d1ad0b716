"""Every operation of the GAN spaces: interface, gradients, definition, initialisation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pbtnas.models.gan import ops
from pbtnas.models.spectral import SpectralConv2d

CHANNELS = 4


def _assert_trains(operation: nn.Module, x: torch.Tensor, shape: tuple[int, ...]) -> None:
    out = operation(x.requires_grad_())
    assert out.shape == shape
    (out**2).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    for name, parameter in operation.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("conv", [nn.Conv2d, SpectralConv2d], ids=["plain", "spectral"])
@pytest.mark.parametrize("option", ops.EDGES)
def test_an_edge_keeps_the_shape_and_trains(option: str, conv: type[nn.Conv2d]):
    """Every edge maps [B, C, H, H] to itself, and its gradient reaches all its parameters."""
    operation = ops.edge(option, CHANNELS, CHANNELS, conv)
    if option == "none":
        assert operation is None
    else:
        assert operation is not None
        _assert_trains(operation, torch.randn(2, CHANNELS, 6, 6), (2, CHANNELS, 6, 6))


@pytest.mark.parametrize("option", ops.IMAGE_EDGES)
def test_an_image_edge_sees_negative_pixels(option: str):
    """An edge from an image has no ReLU: images below zero are not all the same to it."""
    operation = ops.edge(option, 3, CHANNELS, SpectralConv2d, activate=False)
    assert operation is not None
    _assert_trains(operation, -torch.rand(2, 3, 6, 6), (2, CHANNELS, 6, 6))


@pytest.mark.parametrize("option", ops.UPSAMPLINGS)
def test_an_upsampling_doubles_and_trains(option: str):
    """Every upsampling doubles the size, and its gradient reaches all its parameters."""
    x = torch.randn(2, CHANNELS, 3, 3)
    _assert_trains(ops.upsampling(option, CHANNELS), x, (2, CHANNELS, 6, 6))


@pytest.mark.parametrize("size", [2, 6])
@pytest.mark.parametrize("option", ops.DOWNSAMPLINGS)
def test_a_downsampling_halves_and_trains(option: str, size: int):
    """Every downsampling halves even sizes down to 2, and its parameters get gradients."""
    operation = ops.downsampling(option, CHANNELS, SpectralConv2d)
    # Positive: a 2x2 map of negative numbers would leave a ReLU nothing to pass on.
    x = torch.rand(2, CHANNELS, size, size)
    _assert_trains(operation, x, (2, CHANNELS, size // 2, size // 2))


def test_unknown_options_are_refused_by_name():
    """A misspelt operation is an error that names it, at every kind of position."""
    for make in (ops.upsampling, ops.downsampling):
        with pytest.raises(ValueError, match="conv_7x7"):
            make("conv_7x7", CHANNELS)
    with pytest.raises(ValueError, match="conv_7x7"):
        ops.edge("conv_7x7", CHANNELS, CHANNELS)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_interpolation_is_resize_relu_convolution(mode: str):
    """Convolving before repeating pixels changes nothing against the paper's order."""
    operation = ops.Interpolation(CHANNELS, mode)
    x = torch.randn(2, CHANNELS, 3, 3)
    expected = operation.conv(F.relu(F.interpolate(x, scale_factor=2, mode=mode)))
    torch.testing.assert_close(operation(x), expected)


@pytest.mark.parametrize(("old", "new"), [(4, 8), (8, 32), (5, 15)])
def test_the_interpolation_of_gpus_is_that_of_cpus_to_rounding(old: int, new: int):
    """Two products of matrices, whose gradients add up in one order, give what torch gives."""
    x = torch.randn(2, 3, old, old, requires_grad=True)
    expected = F.interpolate(x, size=(new, new), mode="bilinear")
    found = ops.bilinear_by_products(x, new)
    ones = torch.randn_like(found)

    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, x, ones), torch.autograd.grad(expected, x, ones)
    )


def test_a_dilated_convolution_reaches_as_far_as_its_name_says():
    """dil_conv_5x5 is 5x5 taps two pixels apart: a single pixel reaches four pixels away."""
    operation = ops.edge("dil_conv_5x5", 1, 1)
    assert operation is not None
    nn.init.ones_(operation.conv.weight)
    nn.init.zeros_(operation.conv.bias)
    pixel = torch.zeros(1, 1, 11, 11)
    pixel[0, 0, 5, 5] = 1
    rows = operation(pixel)[0, 0].sum(1)
    assert rows.tolist() == [0, 5, 0, 5, 0, 5, 0, 5, 0, 5, 0]


def test_deconvolution_mixes_channels_only_in_its_1x1():
    """The transposed convolution is depth-wise and neither layer has a bias."""
    shapes = {n: tuple(p.shape) for n, p in ops.Deconvolution(CHANNELS).named_parameters()}
    assert shapes == {
        "spread.weight": (CHANNELS, 1, 3, 3),
        "conv.weight": (CHANNELS, CHANNELS, 1, 1),
    }


def test_initialisation_touches_convolutions_and_batch_norm_scales_only():
    """Convolutions fill the Xavier range, scales spread about 1, all else keeps its values."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(8, 16, 3), nn.ConvTranspose2d(4, 4, 3), nn.Linear(5, 5), nn.BatchNorm2d(2000)
    )
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ops.initialise(network)
    after = network.state_dict()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"0.weight", "3.weight"}
    bound = math.sqrt(6 / (9 * (8 + 16)))
    assert 0.95 * bound < after["0.weight"].abs().max() <= bound
    assert after["3.weight"].mean().item() == pytest.approx(1, abs=0.002)
    assert after["3.weight"].std().item() == pytest.approx(0.02, rel=0.1)


def test_below_matches_whole_dotted_parts():
    """Choices of `cell1` are not those of `cell10`."""
    choices = {"cell1.c0": "none", "cell10.c0": "conv_1x1", "cell1.deep.c1": "none"}
    assert ops.below(choices, "cell1") == {"c0": "none", "deep.c1": "none"}
