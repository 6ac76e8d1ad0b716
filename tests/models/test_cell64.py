"""The networks of the space of 64: sizes, names, initialisation."""

from __future__ import annotations

import pytest
import torch

from pbtnas.models.cell64.networks import EDGES, Cell64, Cell64Sizes, cell64_space
from pbtnas.models.cell64.operations import MaxPool
from pbtnas.models.edges import joint, only
from pbtnas.models.initialisation import initialise
from pbtnas.search.space import Architecture

PUBLISHED, TINY = Cell64Sizes(), Cell64Sizes(width=8, cells=2, stem_factor=2)
EVERY = [(a, b, c) for a in range(4) for b in range(4) for c in range(4)]


def architecture(name: str) -> Architecture:
    """The architecture that the paper writes as three digits."""
    return tuple(int(digit) - 1 for digit in name)


@pytest.mark.parametrize(
    ("name", "published", "tiny"),
    [
        ("111", 24_858, 3_226),
        ("222", 34_458, 4_858),
        ("333", 40_602, 6_394),
        ("444", 32_730, 4_810),
        ("434", 35_354, 5_338),
    ],
)
def test_a_network_alone_has_as_many_weights_as_the_paper_says(
    name: str, published: int, tiny: int
) -> None:
    """So it has the published operations, and no others."""
    for sizes, count in ((PUBLISHED, published), (TINY, tiny)):
        network = Cell64(sizes, only(architecture(name)))
        assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize(("sizes", "count"), [(PUBLISHED, 58_074), (TINY, 9_610)])
def test_a_supernet_has_every_operation_once(sizes: Cell64Sizes, count: int) -> None:
    """Its weights are those of all operations of all edges, stem and head."""
    assert sum(p.numel() for p in Cell64(sizes, joint(EVERY)).parameters()) == count


def test_the_space_has_64_architectures_and_owns_the_edges() -> None:
    """Each variable owns its edge in every cell; stem, entries and head belong to nobody."""
    space = cell64_space(cells=2)
    names = dict(Cell64(TINY, joint(EVERY)).named_parameters())

    assert space.size == 64
    assert space.variables[1].modules == ("cells.0.e02", "cells.1.e02")
    assert {name.split(".")[0] for name in names if space.owner(name) is None} == {
        *("stem", "cells", "head")
    }
    edges = {name for name in names if any(f".{edge}." in name for edge in EDGES)}
    assert {name for name in names if space.owner(name) is not None} == edges


def test_equal_seeds_give_equal_weights_to_networks_alone_and_to_supernets() -> None:
    """Each tensor has a stream of its own, named by the tensor: the others play no part."""
    supernet = Cell64(TINY, joint(EVERY))
    initialise(supernet, 5)
    for name in ("111", "234", "434"):
        alone = Cell64(TINY, only(architecture(name)))
        initialise(alone, 5)
        assert alone.state_dict().keys() <= supernet.state_dict().keys()
        for tensor, value in alone.state_dict().items():
            assert torch.equal(value, supernet.state_dict()[tensor])


def test_other_seeds_and_other_tensors_get_other_weights() -> None:
    """No two convolutions of a network begin alike, and none as with another seed."""
    first, other = Cell64(TINY, only((1, 1, 1))), Cell64(TINY, only((1, 1, 1)))
    initialise(first, 1)
    initialise(other, 2)
    weights = [p.flatten()[:9] for n in (first, other) for p in n.parameters() if p.dim() > 1]

    assert len({tuple(weight.tolist()) for weight in weights}) == len(weights)


def test_weights_are_as_large_as_torch_makes_them() -> None:
    """A convolution begins within 1 / sqrt(inputs), and normalisation as the identity."""
    network = Cell64(PUBLISHED, only((1, 1, 1)))
    initialise(network, 0)
    bound = (9 * 48) ** -0.5

    assert float(network.stem.conv2.weight.detach().abs().max()) == pytest.approx(bound, rel=0.01)
    assert torch.equal(network.stem.norm1.weight, torch.ones(48))


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_pooling_is_the_same_with_and_without_gradients(kernel: int) -> None:
    """The faster way, where nobody wants gradients, has the bits of torch's, NaN included."""
    x = torch.randn(3, 4, 9, 9, generator=torch.Generator().manual_seed(1))
    x[0, 0, 4, 4] = torch.nan
    x[1, 0, 0] = -torch.inf
    pool = MaxPool(4, kernel, momentum=0.1).eval()

    with torch.no_grad():
        faster = pool(x)

    torch.testing.assert_close(faster, pool(x).detach(), rtol=0, atol=0, equal_nan=True)
