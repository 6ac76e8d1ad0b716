"""The controller draws what its probabilities say, and REINFORCE follows the mean reward."""

from __future__ import annotations

import math
import random
from collections import Counter

import torch
from torch import Tensor

from pbtnas.supernet.controller import Controller, entropies, log_probabilities, policy_loss

EVERY = [(a, b, c) for a in range(4) for b in range(4) for c in range(4)]


def controller() -> Controller:
    """One whose choices are not uniform."""
    found = Controller(3, 4, seed=1)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.mul_(12)
    return found.double()


def rewards() -> Tensor:
    """A reward for each of the 64 architectures."""
    return torch.rand(64, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def gradient(loss: Tensor, found: Controller) -> Tensor:
    slopes = torch.autograd.grad(loss, list(found.parameters()))
    return torch.cat([slope.flatten() for slope in slopes])


def test_the_probabilities_of_all_architectures_sum_to_one() -> None:
    """And their entropies are those of the conditional choices, whose mean is the whole entropy."""
    found = controller()
    logs = log_probabilities(found, EVERY).detach()

    assert abs(float(logs.exp().sum()) - 1) < 1e-12
    mean = float((logs.exp() * entropies(found, EVERY).detach()).sum())
    assert math.isclose(mean, -float((logs.exp() * logs).sum()), rel_tol=1e-9)


def test_the_expected_gradient_is_that_of_the_mean_reward() -> None:
    """REINFORCE over all 64 architectures, each as often as it is drawn, whatever the baseline."""
    found = controller()
    mean_reward = (log_probabilities(found, EVERY).exp() * rewards()).sum()
    exact = -gradient(mean_reward, found)

    for baseline in (0.0, 0.4):
        logs = log_probabilities(found, EVERY)
        often = logs.detach().exp() * 64  # `policy_loss` is a mean
        estimate = gradient(policy_loss(logs, often * (rewards() - baseline)), found)

        torch.testing.assert_close(estimate, exact, rtol=1e-9, atol=1e-12)


def test_draws_follow_the_probabilities() -> None:
    """Of 20,000 draws each architecture has its share, within five standard errors."""
    found, rng, count = controller(), random.Random(3), 20_000
    drawn = found.draw([[rng.random() for _ in range(3)] for _ in range(count)])

    shares = Counter(drawn)
    for architecture, p in zip(EVERY, log_probabilities(found, EVERY).exp().tolist(), strict=True):
        assert abs(shares[architecture] / count - p) <= 5 * math.sqrt(p / count) + 1e-4


def test_the_greedy_choice_is_the_most_probable_each_time() -> None:
    """With the probabilities of each choice given those before it."""
    found = controller()
    architecture, rows = found.greedy()

    assert architecture == tuple(rows.argmax(dim=1).tolist())
    chosen = rows.gather(1, torch.tensor(architecture)[:, None]).log().sum()
    torch.testing.assert_close(chosen, log_probabilities(found, [architecture])[0].detach())


def test_weights_begin_small_and_by_the_seed() -> None:
    """Within ±0.1, so that first draws are almost uniform; the same bits for a seed."""
    one, same, other = Controller(3, 4, 1), Controller(3, 4, 1), Controller(3, 4, 2)

    state = one.state_dict()
    assert all(float(tensor.abs().max()) <= 0.1 for tensor in state.values())
    assert all(torch.equal(tensor, same.state_dict()[name]) for name, tensor in state.items())
    assert not torch.equal(one.start, other.start)
    assert float(one.greedy()[1].max()) < 0.3
