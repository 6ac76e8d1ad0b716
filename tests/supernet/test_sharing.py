"""What is private to a subnet, and what scoring leaves as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from pbtnas.models.cell64.networks import Cell64, Cell64Sizes, cell64_space
from pbtnas.models.edges import joint, only
from pbtnas.models.initialisation import initialise
from pbtnas.supernet.parts import subnets_of
from pbtnas.supernet.sharing import IsPrivate, Supernet, below, matching, nothing
from pbtnas.supernet.statistics import Statistics, scoring

SIZES = Cell64Sizes(width=4, cells=1, stem_factor=1, classes=3)
SUBNETS = {name: a for name, a in subnets_of(cell64_space(1)).items() if name in ("111", "343")}
SHARINGS = {
    "all": nothing,
    "prefix": below(["cells.0", "head"]),
    "weights": matching(["cells.*.weight"]),
    "estimates": matching(["*.running_*", "*.num_batches_tracked"]),
}


def images(seed: int = 0) -> Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def supernet(is_private: IsPrivate) -> Supernet:
    network = Cell64(SIZES, joint(list(SUBNETS.values())))
    initialise(network, 3)
    return Supernet(network, SUBNETS, is_private)


def run(network: Supernet, subnet: str, seed: int = 0) -> Tensor:
    with network.entered(subnet) as path:
        output: Tensor = network.network(images(seed), path)
        return output


@pytest.mark.parametrize("sharing", SHARINGS)
def test_a_subnet_is_a_network_alone(sharing: str) -> None:
    """What is extracted of it, private or shared, has the names of a network alone and its bits."""
    whole = supernet(SHARINGS[sharing])
    for subnet in SUBNETS:
        run(whole, subnet, seed=1)
    whole.network.eval()
    for subnet, architecture in SUBNETS.items():
        alone = Cell64(SIZES, only(architecture)).eval()
        alone.load_state_dict(whole.extract(subnet))

        assert torch.equal(run(whole, subnet), alone(images()))


@pytest.mark.parametrize("sharing", SHARINGS)
def test_what_is_inserted_is_extracted(sharing: str) -> None:
    """A network trained elsewhere takes the place of a subnet, and of nothing private to others."""
    whole = supernet(SHARINGS[sharing])
    alone = Cell64(SIZES, only(SUBNETS["343"]))
    initialise(alone, 9)
    before = {name: tensor.clone() for name, tensor in whole.extract("111").items()}

    whole.insert("343", alone.state_dict())

    for name, tensor in whole.extract("343").items():
        assert torch.equal(tensor, alone.state_dict()[name])
    theirs = {n for n in before if SHARINGS[sharing](n) or n not in alone.state_dict()}
    assert all(torch.equal(whole.extract("111")[name], before[name]) for name in theirs)


def test_private_tensors_are_named_after_their_subnet() -> None:
    """They begin as a network alone does, and a subnet moves none that is another's."""
    whole = supernet(SHARINGS["prefix"])
    alone = Cell64(SIZES, only(SUBNETS["343"]))
    initialise(alone, 3)
    names = [name for name, _ in whole.network.named_parameters()]

    assert names[:2] == ["stem.conv1.weight", "stem.norm1.weight"]
    assert "private.343.cells.0.e01.sep_conv_5x5.0.depthwise.weight" in names
    assert not any(name.startswith(("cells", "head")) for name in names)
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, whole.extract("343")[name])

    estimates = {name: tensor.clone() for name, tensor in whole.extract("111").items()}
    run(whole, "343")
    moved = {n for n, t in whole.extract("111").items() if not torch.equal(t, estimates[n])}
    assert moved == {f"stem.norm{i}.{name}" for i in (1, 2) for name in ESTIMATES}


ESTIMATES = ("running_mean", "running_var", "num_batches_tracked")


@pytest.mark.parametrize("sharing", ["all", "estimates"])
@pytest.mark.parametrize("statistics", ["running", "batch", "recalibrated"])
def test_scoring_leaves_the_estimates_as_they_were(sharing: str, statistics: Statistics) -> None:
    """Whatever normalisation uses meanwhile, even NaN, training goes on as if it had not been."""
    whole = supernet(SHARINGS[sharing])
    run(whole, "343", seed=1)
    before = {name: tensor.clone() for name, tensor in whole.network.state_dict().items()}
    with whole.entered("343") as path:
        used = {n: b.clone() for n, b in whole.network.named_buffers()}

        def run_it(x: Tensor) -> Tensor:
            output: Tensor = whole.network(x, path)
            return output

        whole.network.eval()
        with scoring(whole.network, statistics, run_it, lambda: iter([images(2), images(3)])):
            run_it(images() * torch.nan)
        whole.network.train()

        assert all(torch.equal(used[n], b) for n, b in whole.network.named_buffers())
    assert all(torch.equal(before[n], t) for n, t in whole.network.state_dict().items())


def scored(network: Cell64, statistics: Statistics, batches: list[Tensor]) -> Tensor:
    def make() -> Iterator[Tensor]:
        return iter(batches)

    network.eval()
    with torch.no_grad(), scoring(network, statistics, network, make):
        output: Tensor = network(images())
    assert not any(module.training for module in network.modules())
    network.train()
    return output


def test_recalibrated_statistics_are_those_of_the_batches_given() -> None:
    """With the images that are scored as the only batch they agree with the batch's own."""
    network = Cell64(SIZES, only((2, 0, 1)))
    initialise(network, 3)
    batch = scored(network, "batch", [])
    with torch.no_grad():
        trained = network(images())

    assert torch.equal(batch, trained)
    # Estimates are of the unbiased variance, a batch's own normalisation is not.
    torch.testing.assert_close(
        scored(network, "recalibrated", [images()]), batch, rtol=0.05, atol=0.01
    )
    twice = scored(network, "recalibrated", [images(), images()])
    torch.testing.assert_close(twice, scored(network, "recalibrated", [images()]))
    assert not torch.allclose(scored(network, "running", []), batch, atol=0.01)
