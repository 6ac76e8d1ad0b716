"""Running a supernet: its subnets are networks of their own, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pbtnas.models.cell64.networks import Cell64, Cell64Sizes
from pbtnas.models.edges import joint, only
from pbtnas.models.initialisation import initialise
from pbtnas.supernet.network import Mixed, Path, Sampled, UsedTensors

SIZES = Cell64Sizes(width=4, cells=2, stem_factor=1, classes=3)
EVERY = [(a, b, c) for a in range(4) for b in range(4) for c in range(4)]
SOME = [(0, 0, 0), (3, 2, 3), (1, 2, 0)]

some = pytest.mark.parametrize("architecture", SOME)


def images(seed: int = 0) -> Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def supernet(*, trained: bool = True) -> Cell64:
    """A supernet whose estimates of normalisation are not those of a new one."""
    network = Cell64(SIZES, joint(EVERY))
    initialise(network, 3)
    if trained:
        for i, architecture in enumerate(SOME):
            network(images(i), Path(architecture))
    return network


def one_hot(architecture: tuple[int, ...]) -> Tensor:
    return nn.functional.one_hot(torch.tensor(architecture), 4).float()


def gradients(network: nn.Module, output: Tensor) -> dict[str, Tensor]:
    network.zero_grad()
    torch.autograd.backward(output.square().mean())
    named = network.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


@some
def test_a_path_is_the_network_alone(architecture: tuple[int, ...]) -> None:
    """With the extracted tensors, a network alone computes the same bits."""
    network = supernet().eval()
    alone = Cell64(SIZES, only(architecture)).eval()
    state = network.state_dict()
    names = UsedTensors(network).by(architecture)
    assert set(names) == set(alone.state_dict())
    alone.load_state_dict({name: state[name] for name in names})

    assert torch.equal(network(images(), Path(architecture)), alone(images()))


@some
@pytest.mark.parametrize("training", [False, True])
def test_a_mixture_of_one_is_the_path(architecture: tuple[int, ...], training: bool) -> None:
    """One-hot weights give the outputs of the path bit by bit, and its gradients to 1e-6."""
    network = supernet().train(training)
    path = network(images(), Path(architecture))
    of_path = gradients(network, path)

    mixed = network(images(), Mixed(one_hot(architecture)))
    of_mixed = gradients(network, mixed)

    assert torch.equal(path, mixed)
    for name, gradient in of_path.items():
        torch.testing.assert_close(of_mixed[name], gradient, rtol=0, atol=1e-6)


@some
def test_a_sample_is_the_path(architecture: tuple[int, ...]) -> None:
    """Hard weights give the outputs of the path; only if summed do the others get a gradient."""
    network = supernet().eval()
    for unchosen in ("summed", "left out"):
        logits = torch.zeros(3, 4, requires_grad=True)
        soft = logits.softmax(dim=1)
        hard = one_hot(architecture) + (soft - soft.detach())
        weights = hard.detach().requires_grad_()

        output = network(images(), Sampled(weights, unchosen))  # type: ignore[arg-type]
        torch.autograd.backward(output.square().mean())

        assert torch.equal(output, network(images(), Path(architecture)))
        assert weights.grad is not None
        chosen = one_hot(architecture).bool()
        assert bool(weights.grad[chosen].abs().gt(0).all())
        assert bool(weights.grad[~chosen].abs().gt(0).any()) == (unchosen == "summed")


def test_weights_of_a_mixture_have_gradients() -> None:
    """Every operation contributes to the output, so every weight can be learnt."""
    weights = torch.full((3, 4), 0.25, requires_grad=True)
    torch.autograd.backward(supernet()(images(), Mixed(weights)).square().sum())

    assert weights.grad is not None
    assert bool(weights.grad.abs().gt(0).all())


@pytest.mark.parametrize("traversal", [Path, lambda a: Mixed(one_hot(a))])
def test_a_network_of_part_of_the_space_runs(
    traversal: Callable[[tuple[int, ...]], Path | Mixed],
) -> None:
    """A group's network has the operations of its own subnets, and runs them as the whole does."""
    part = Cell64(SIZES, joint(SOME[:2]))
    initialise(part, 3)
    whole = supernet(trained=False).eval()

    for architecture in SOME[:2]:
        output = part.eval()(images(), traversal(architecture))
        assert torch.equal(output, whole(images(), Path(architecture)))
    with pytest.raises(KeyError):
        part(images(), Path((1, 1, 1)))
