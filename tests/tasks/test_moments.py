"""Optimiser moments by parameter name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, NAdam, Optimizer, RMSprop

from pbtnas.tasks.moments import load_moments, moments

OPTIMIZERS = [
    Adam,
    partial(Adam, fused=True),
    partial(AdamW, lr=1e-2, amsgrad=True),
    partial(SGD, lr=0.1, momentum=0.9),
    partial(SGD, lr=0.1),
    NAdam,
    RMSprop,
]

Make = Callable[..., Optimizer]


def step(network: nn.Module, optimizer: Optimizer, count: int) -> None:
    """Some steps on a fixed problem."""
    x = torch.linspace(-1, 1, 12).view(4, 3)
    for _ in range(count):
        optimizer.zero_grad()
        network(x).square().sum().backward()
        optimizer.step()


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def named(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters())


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_training_goes_on_to_the_same_bits(make: Make) -> None:
    """Moments taken and loaded, even with parameters in another order, lose nothing."""
    one, other = network(0), network(1)
    ours = make(one.parameters())
    step(one, ours, 3)
    theirs = make(reversed(list(other.parameters())))
    other.load_state_dict(one.state_dict())
    load_moments(theirs, named(other), moments(ours, named(one)))

    step(one, ours, 3)
    step(other, theirs, 3)

    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_moments_are_named_by_parameter() -> None:
    """The key is the parameter's path, a slash, and torch's name of the moment."""
    net = network(0)
    optimizer = Adam(net[1].parameters())
    step(net, optimizer, 1)

    assert set(moments(optimizer, named(net))) == {
        f"1.{p}/{m}" for p in ("weight", "bias") for m in ("step", "exp_avg", "exp_avg_sq")
    }


def test_a_parameter_without_moments_starts_fresh() -> None:
    """What it had before is gone; others keep theirs; names of nobody are ignored."""
    net = network(0)
    optimizer = Adam(net.parameters())
    step(net, optimizer, 2)
    kept = {k: v for k, v in moments(optimizer, named(net)).items() if not k.startswith("0.")}

    load_moments(optimizer, named(net), kept | {"gone.weight/exp_avg": torch.zeros(1)})

    assert set(moments(optimizer, named(net))) == set(kept)
    step(net, optimizer, 1)
    after = moments(optimizer, named(net))
    assert after["0.weight/step"] == 1 and after["1.weight/step"] == 3


def test_loaded_moments_are_copies() -> None:
    """Training on must not change the state that was loaded."""
    net = network(0)
    optimizer = Adam(net.parameters())
    step(net, optimizer, 1)
    given = {name: tensor.clone() for name, tensor in moments(optimizer, named(net)).items()}
    before = {name: tensor.clone() for name, tensor in given.items()}

    load_moments(optimizer, named(net), given)
    step(net, optimizer, 1)

    assert all(torch.equal(given[name], before[name]) for name in given)


def test_an_optimizer_that_cannot_be_resumed_is_refused() -> None:
    """LBFGS keeps lists and numbers: better an error than half a state."""
    net = network(0)
    optimizer = torch.optim.LBFGS(net.parameters())

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = net(torch.ones(1, 3)).square().sum()
        loss.backward()
        return loss.detach()

    optimizer.step(closure)

    with pytest.raises(ValueError, match=r"LBFGS keeps '\w+' of '0.weight' as a"):
        moments(optimizer, named(net))
