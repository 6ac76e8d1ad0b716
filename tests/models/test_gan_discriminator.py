"""The searchable block's branches by hand-made weights, and AutoGAN's fixed discriminator."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pbtnas.models.gan.discriminator import AutoGanDiscriminator, Block, Branches, Head, Residual
from pbtnas.models.spectral import SpectralConv2d, SpectralLinear

WIDTH = 4
BLOCK = {f"c{i}": "conv_3x3" for i in range(7)} | {
    "downsample": True,
    "down0": "avg_pool",
    "down1": "avg_pool",
}


def _block(branches: Branches = "sum", image: bool = False, **changes: bool | str) -> Block:
    torch.manual_seed(0)
    choices: Mapping[str, bool | str] = BLOCK | changes
    block = Block(
        choices, inputs=3 if image else WIDTH, width=WIDTH, image=image, branches=branches
    )
    return block.eval()  # evaluation: the spectral norm's estimates stand still


def _features() -> Tensor:
    return torch.randn(2, WIDTH, 4, 4)


def _dead(block: Block, x: Tensor) -> set[str]:
    """Names of the block's children with parameters that got no gradient."""
    block(x).square().sum().backward()
    return {name.split(".")[0] for name, p in block.named_parameters() if p.grad is None}


def test_the_output_is_the_sum_of_two_branches():
    """Each branch is down(c5(c1(x) + c3(c0(x)))) with its own layers."""
    block, x = _block(), _features()
    node = block.c0(x)
    first = block.down0(block.c5(block.c1(x) + block.c3(node)))
    second = block.down1(block.c6(block.c2(x) + block.c4(node)))
    torch.testing.assert_close(block(x), first + second)
    assert _dead(block, x) == set()


def test_first_keeps_the_first_branch_only():
    """As published, the second branch's layers neither count nor train."""
    block, x = _block("first"), _features()
    first = block.down0(block.c5(block.c1(x) + block.c3(block.c0(x))))
    torch.testing.assert_close(block(x), first)
    assert _dead(block, x) == {"c2", "c4", "c6"}


@pytest.mark.parametrize("branches", ["sum", "first"])
def test_a_lone_branch_is_the_output(branches: Branches):
    """Without c1 both readings give the second branch, without c2 the first."""
    x = _features()
    block = _block(branches, c1="none")
    second = block.down1(block.c6(block.c2(x) + block.c4(block.c0(x))))
    torch.testing.assert_close(block(x), second)
    block = _block(branches, c2="none")
    first = block.down0(block.c5(block.c1(x) + block.c3(block.c0(x))))
    torch.testing.assert_close(block(x), first)


@pytest.mark.parametrize(
    "c0, branches, expected",
    [
        ("conv_3x3", "first", lambda block, x: block.c0(x)),
        ("none", "first", lambda block, x: x),
        ("conv_3x3", "sum", lambda block, x: block.down0(block.c0(x))),
        ("none", "sum", lambda block, x: block.down0(x)),
    ],
)
def test_without_branches_the_node_passes(c0: str, branches: Branches, expected):
    """The node (or x) is the output: downsampled in the intended reading, not as published."""
    block, x = _block(branches, c0=c0, c1="none", c2="none"), _features()
    torch.testing.assert_close(block(x), expected(block, x))


@pytest.mark.parametrize("branches", ["sum", "first"])
def test_without_the_node_its_edges_are_dead(branches: Branches):
    """c3 and c4 hang on c0: without it each branch is its first edge and its tail."""
    block, x = _block(branches, c0="none", c5="none", c6="none"), _features()
    expected = block.down0(block.c1(x))
    if branches == "sum":
        expected = expected + block.down1(block.c2(x))
    torch.testing.assert_close(block(x), expected)


def test_input_poolings_work_on_both_terms_inside_the_branch():
    """max_pool_input pools c1(x) and c3(node) one by one, before c5."""
    block, x = _block("first", down0="max_pool_input"), _features()
    pooled = F.max_pool2d(block.c1(x), 2) + F.max_pool2d(block.c3(block.c0(x)), 2)
    torch.testing.assert_close(block(x), block.c5(pooled))


@pytest.mark.parametrize("down", ["max_pool_input", "conv_3x3"])
def test_downsampling_layers_exist_but_rest_when_switched_off(down: str):
    """With downsample off the size stays, and the down layers are the only dead ones."""
    block, x = _block(downsample=False, down0=down, down1=down), _features()
    assert block(x).shape == x.shape
    assert _dead(block, x) == ({"down0", "down1"} if down == "conv_3x3" else set())


def test_two_branches_may_downsample_at_different_places():
    """An input pooling in one branch and a strided convolution in the other still add up."""
    block = _block(down0="avg_pool_input", down1="dil_conv_5x5")
    assert block(torch.randn(1, WIDTH, 2, 2)).shape == (1, WIDTH, 1, 1)


def test_the_image_block_has_no_relu_before_its_first_convolutions():
    """Pixels below zero reach c0, c1 and c2; the edges behind them have their ReLU."""
    block = _block(image=True)
    images = -torch.rand(2, 3, 4, 4)
    assert torch.equal(block.c1(images), block.c1.conv(images))
    features = _features()
    assert torch.equal(block.c3(features), block.c3.conv(F.relu(features)))


def test_the_head_sums_positions_of_the_normalised_relu():
    """A logit is a unit vector's product with the summed activations."""
    head = Head(WIDTH).train()
    x = _features()
    logits = head(x)
    direction = F.normalize(head.linear.weight, dim=1)
    torch.testing.assert_close(logits, (F.relu(x).sum((2, 3)) @ direction.t()).squeeze(1))


def test_the_shortcut_pools_before_its_convolution_without_a_difference():
    """The cheaper order gives the numbers of AutoGAN's."""
    block, x = Residual(WIDTH, downsample=True).eval(), _features()
    assert isinstance(block.shortcut, nn.Module)
    residual = block.conv1(F.relu(block.conv0(F.relu(x))))
    expected = F.avg_pool2d(block.shortcut(x), 2) + F.avg_pool2d(residual, 2)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("size", [16, 32, 48])
def test_autogan_gives_a_logit_an_image(size: int):
    """The fixed discriminator works at every size used, halving twice, and trains wholly."""
    network = AutoGanDiscriminator(width=WIDTH)
    features = network.block2(network.block1(torch.randn(2, 3, size, size)))
    assert features.shape == (2, WIDTH, size // 4, size // 4)
    logits = network(torch.randn(2, 3, size, size))
    assert logits.shape == (2,)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_a_new_discriminator_can_be_evaluated_before_it_was_trained():
    """Spectral-norm estimates are settled on the initial weights, not random."""
    torch.manual_seed(0)
    network = AutoGanDiscriminator(width=WIDTH).eval()
    for module in network.modules():
        if isinstance(module, SpectralConv2d | SpectralLinear):
            sigma = torch.linalg.matrix_norm(module.norm(module.weight).flatten(1), ord=2)
            assert sigma.item() == pytest.approx(1, abs=0.05)
