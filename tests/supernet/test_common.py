"""Subnets that are run on the same images give what each gives by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pbtnas.models.cell64.networks import Cell64, Cell64Sizes, cell64_space
from pbtnas.models.edges import Edge, Traversal, alone, joint
from pbtnas.models.initialisation import initialise
from pbtnas.supernet.common import computed_once
from pbtnas.supernet.parts import subnets_of
from pbtnas.supernet.sharing import IsPrivate, Supernet, below, matching, nothing

SIZES = Cell64Sizes(width=4, cells=2, stem_factor=1, classes=3)
SUBNETS = subnets_of(cell64_space(2))
SHARINGS = {
    "all": nothing,
    "prefix": below(["cells.1", "head"]),
    "no prefix": below(["cells.0", "cells.1", "head"]),
    "estimates": matching(["cells.*.running_*", "*.num_batches_tracked"]),
}


class Images:
    """Two batches, and a supernet whose private tensors differ between subnets."""

    def __init__(self, is_private: IsPrivate) -> None:
        network = Cell64(SIZES, joint(list(SUBNETS.values())))
        initialise(network, 3)
        self.supernet = Supernet(network, SUBNETS, is_private)
        draw = torch.Generator().manual_seed(0)
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            if name.startswith("private.") and tensor.is_floating_point():
                tensor.data += 0.1 * torch.rand(tensor.shape, generator=draw)
        network.eval()
        self.batches = [torch.randn(3, 3, 6, 6, generator=draw) for _ in range(2)]

    def run(self, subnet: str, images: Tensor) -> Tensor:
        with torch.no_grad(), self.supernet.entered(subnet) as path:
            output: Tensor = self.supernet.network(images, path)
            return output


@pytest.mark.parametrize("sharing", SHARINGS)
def test_subnets_together_have_the_bits_of_each_alone(sharing: str) -> None:
    """What is computed once is what they have in common, whatever is private to them."""
    case = Images(SHARINGS[sharing])
    for images in case.batches:
        alone = {name: case.run(name, images) for name in SUBNETS}
        with computed_once(case.supernet, images):
            together = {name: case.run(name, images) for name in SUBNETS}
        assert all(torch.equal(together[name], alone[name]) for name in SUBNETS)
    assert len({tuple(output.flatten().tolist()) for output in alone.values()}) == len(SUBNETS)


def test_the_stem_runs_once_and_operations_once_an_input() -> None:
    """64 subnets need the stem once, and 4 + 4 + 16 operations of the first cell instead of 192."""
    case = Images(nothing)
    calls = {"stem.conv1": 0, "cells.0": 0, "cells.1": 0}

    def count(path: str) -> None:
        calls[path] += 1

    for path, module in case.supernet.network.named_modules():
        norm = isinstance(module, nn.BatchNorm2d) and path.endswith(("5x5.norm", "3x3.norm"))
        last = norm or path.endswith(".1.norm")
        key = path if path in calls else path[: len("cells.0")] if last else None
        if key in calls and path not in ("cells.0", "cells.1"):
            module.register_forward_hook(lambda *_, key=key: count(key))

    with computed_once(case.supernet, case.batches[0]):
        for name in SUBNETS:
            case.run(name, case.batches[0])

    assert calls == {"stem.conv1": 1, "cells.0": 4 + 4 + 16, "cells.1": 3 * 64}


def test_nothing_stays_behind() -> None:
    """After it, the network computes from its weights of then, and sees other images."""
    case = Images(nothing)
    with computed_once(case.supernet, case.batches[0]):
        case.run("111", case.batches[0])
        other = case.run("111", case.batches[1])
    before = case.run("111", case.batches[0])

    with torch.no_grad():
        case.supernet.network.get_parameter("stem.conv1.weight").mul_(2).add_(0.1)

    assert not torch.equal(other, before)
    assert not torch.equal(case.run("111", case.batches[0]), before)
    assert not any("forward" in vars(module) for module in case.supernet.network.modules())


def test_an_output_that_was_changed_in_place_is_computed_again() -> None:
    """A network of a user may rectify the stem's output in place."""
    case = Images(nothing)
    network = case.supernet.network
    changed = [case.run(name, case.batches[0]) for name in ("111", "222")]
    with computed_once(case.supernet, case.batches[0]), torch.no_grad():
        first = network.stem(case.batches[0])
        assert network.stem(case.batches[0]) is first
        first.neg_()
        assert torch.equal(network.stem(case.batches[0]), -first)
        together = [case.run(name, case.batches[0]) for name in ("111", "222")]

    assert all(map(torch.equal, together, changed))


class Cell(nn.Module):
    """What users may write: a traversal kept by its parent, a norm under two names, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.edge = Edge(0, ("a", "b"), {0: nn.Conv2d(3, 3, 1), 1: nn.Conv2d(3, 3, 3, padding=1)})
        self.how: Traversal = alone

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self.edge, x)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.stem = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), self.norm)
        self.act = nn.SiLU(inplace=True)
        self.cell = Cell()

    def forward(self, images: Tensor, traversal: Traversal = alone) -> Tensor:
        self.cell.how = traversal
        return self.cell(self.act(self.act(self.stem(images))))


def test_networks_of_users_have_the_bits_of_each_alone() -> None:
    """Whatever depends on more than a module's input, or changes it, is computed for each."""
    network = Own()
    supernet = Supernet(network, {"a": (0,), "b": (1,)}, matching(["norm.*"]))
    images = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))

    def run(subnet: str) -> Tensor:
        with torch.no_grad(), supernet.entered(subnet) as path:
            output: Tensor = network(images, path)
            return output

    run("a")  # in training mode: it moves estimates that are its own
    network.eval()
    by_itself = [run("a"), run("b")]
    with computed_once(supernet, images):
        together = [run("a"), run("b")]
    assert not torch.equal(*by_itself)
    assert all(map(torch.equal, together, by_itself))
