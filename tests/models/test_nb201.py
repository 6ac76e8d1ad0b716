"""The networks of NAS-Bench-201: sizes, names, and the texts of architectures."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from pbtnas.models.edges import alone, joint, only
from pbtnas.models.initialisation import initialise
from pbtnas.models.nb201.networks import Nb201, Nb201Sizes, nb201_space
from pbtnas.models.nb201.operations import operation
from pbtnas.models.nb201.text import OPERATIONS, digits, read, written
from pbtnas.supernet.network import Path

PUBLISHED, TINY = Nb201Sizes(), Nb201Sizes(width=4, cells=1, classes=3)
EVERY = [tuple(range(5))] * 6


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("111111", 73_306),
        ("222222", 241_306),
        ("333333", 1_531_546),
        ("333132", 1_073_466),
        ("333133", 1_288_506),
        ("223133", 858_426),
    ],
)
def test_a_network_alone_has_as_many_weights_as_the_benchmark_says(name: str, count: int) -> None:
    """So it has the published operations, stages and reductions, and no others."""
    network = Nb201(PUBLISHED, only(read(name)))

    assert sum(p.numel() for p in network.parameters()) == count


def test_operations_without_weights_add_none() -> None:
    """Whatever pooling, skips and zeros a network has, its weights are those of the skeleton."""
    for name in ("000000", "444444", "014014"):
        network = Nb201(PUBLISHED, only(read(name)))
        assert sum(p.numel() for p in network.parameters()) == 73_306


def test_the_space_has_15625_architectures_and_owns_the_edges() -> None:
    """Each variable owns its edge in every cell; everything else belongs to nobody."""
    space = nb201_space(cells=2)
    network = Nb201(Nb201Sizes(width=4, cells=2), EVERY)

    assert space.size == 15_625
    assert space.variables[3].modules == tuple(f"cells.{i}.e03" for i in range(6))
    owned = {name for name, _ in network.named_parameters() if space.owner(name) is not None}
    assert owned == {name for name, _ in network.named_parameters() if ".e" in name}


def test_nodes_sum_their_edges() -> None:
    """Edge by edge: with skips, node 1 is x, node 2 twice x, and the output four times x."""
    network = Nb201(TINY, only((1,) * 6)).eval()
    x = torch.randn(2, 4, 8, 8)
    for chosen, times in (
        ((1, 1, 1, 1, 1, 1), 4.0),
        ((1, 0, 0, 0, 1, 0), 1.0),
        ((1, 0, 1, 0, 0, 1), 1.0),
        ((0, 1, 1, 1, 1, 1), 2.0),
        ((1, 1, 1, 0, 0, 1), 2.0),
    ):
        cell = Nb201(TINY, only(chosen)).eval().cells[0]
        assert torch.equal(cell(x, alone), times * x), chosen
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 3)


def test_pooling_does_not_count_the_padding() -> None:
    """A constant image stays what it is, at its border too; zeros let nothing through."""
    x = torch.full((1, 2, 5, 5), 3.0)

    assert torch.equal(operation(4, 2, 0.1, affine=True)(x), x)
    assert torch.equal(operation(0, 2, 0.1, affine=True)(x), torch.zeros_like(x))


@pytest.mark.parametrize("side", [8, 9, 32])
@pytest.mark.parametrize("affine", [True, False])
def test_a_path_is_the_network_alone(side: int, affine: bool) -> None:
    """Equal seeds give equal weights, and with them the same bits, alone and in a supernet."""
    sizes = Nb201Sizes(width=4, cells=1, affine=affine)
    supernet, images = Nb201(sizes, EVERY).eval(), torch.randn(2, 3, side, side)
    initialise(supernet, 5)
    for name in ("333132", "014234", "000000"):
        network = Nb201(sizes, only(read(name))).eval()
        initialise(network, 5)

        assert torch.equal(supernet(images, Path(read(name))), network(images))


def test_convolutions_have_a_bias_where_normalisation_has_no_weights() -> None:
    """As in published supernets; stem and reductions are the same in both."""
    names = {
        affine: {n for n, _ in Nb201(Nb201Sizes(cells=1, affine=affine), EVERY).named_parameters()}
        for affine in (True, False)
    }

    conv = "cells.0.e01.nor_conv_3x3"
    assert {f"{conv}.norm.weight", f"{conv}.norm.bias"} <= names[True] - names[False]
    assert f"{conv}.conv.bias" in names[False] - names[True]
    assert "reductions.0.first.norm.weight" in names[True] & names[False]


def test_every_text_is_read_as_what_was_written() -> None:
    """Both ways of writing, for all architectures; joint candidates span them all."""
    every = list(product(range(len(OPERATIONS)), repeat=6))
    for architecture in every:
        assert read(written(architecture)) == read(digits(architecture)) == architecture
    assert list(map(tuple, joint(every))) == EVERY


def test_a_text_is_the_benchmarks() -> None:
    """The network that is best on CIFAR-10, as the benchmark writes it."""
    assert written(read("333132")) == (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
        "+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("333", "'333' is no architecture of NAS-Bench-201: expected 6 digits from 0 to 4"),
        ("333135", "'333135' is no architecture"),
        ("３33132", "is no architecture"),
        ("|none~0|+|none~0|none~1|", "has 2 nodes, expected 3"),
        ("|none~0|+|none~0|+|none~0|none~1|none~2|", "node 2 is .* expected .op~0.op~1."),
        ("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|", "node 2 is"),
        ("|zero~0|+|none~0|none~1|+|none~0|none~1|none~2|", "node 1 has the operation 'zero'"),
        ("none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "node 1 is"),
    ],
)
def test_what_is_no_architecture_is_refused(text: str, sentence: str) -> None:
    """In a sentence that says where."""
    with pytest.raises(ValueError, match=sentence):
        read(text)
