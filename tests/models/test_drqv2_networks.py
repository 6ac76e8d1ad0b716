"""The space and the networks of visual RL."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from pbtnas.models.drqv2.layers import Linear
from pbtnas.models.drqv2.networks import Choices, DrQV2, Sizes, truncated_normal
from pbtnas.models.drqv2.spaces import drqv2_space
from tests.models.drqv2 import drqv2_architecture

PIXELS = Sizes(observation=(6, 20, 20), actions=3, hidden=16, channels=4)
FEATURES = Sizes(observation=(7,), actions=3, hidden=16)


def published() -> dict[str, object]:
    """The choices nearest to DrQ-v2's own networks."""
    space = drqv2_space()
    return dict(space.decode(drqv2_architecture(space)))


def build(choices: Choices, sizes: Sizes = PIXELS, seed: int = 0) -> DrQV2:
    """A network of these choices, with weights of that seed."""
    torch.manual_seed(seed)
    return DrQV2(choices, sizes)


MOST_OPTIONS = max(len(variable.options) for variable in drqv2_space())


def every_option() -> Iterator[Choices]:
    """As few networks as have each option of each variable: the first options, the second, ..."""
    for i in range(MOST_OPTIONS):
        yield {v.name: v.options[i % len(v.options)] for v in drqv2_space()}


def forward(network: DrQV2, sizes: Sizes) -> tuple[torch.Tensor, ...]:
    """Mean action and both values of two observations."""
    torch.manual_seed(9)
    observation = torch.rand(2, *sizes.observation) * (255 if sizes.pixels else 1)
    representation = network.encoder(observation)
    assert representation.shape == (2, sizes.representation)
    mean = network.actor(representation)
    return (mean, *network.critic(representation, mean))


def test_the_space_is_that_of_the_reference() -> None:
    """36 variables in the reference's order, and the size that its option lists give."""
    space = drqv2_space()
    assert len(space) == 36
    assert space.size == 4611686018427387904000
    names = [variable.name for variable in space]
    assert names[:3] == ["actor.policy.1", "actor.policy.2", "actor.policy.3"]
    assert names[7] == "actor.feature_dim"
    assert names[10:17] == [
        *("critic.Q1.1", "critic.Q1_activation.1", "critic.Q1.2", "critic.Q1_activation.2"),
        *("critic.Q1.3", "critic.Q1_activation.3", "critic.Q1_activation.0"),
    ]
    assert names[24:29] == [
        *("critic.feature_dim", "critic.trunk_activation"),
        *("critic.spectral_norm_Q1", "critic.spectral_norm_Q2", "encoder.convnet.1"),
    ]
    assert names[35] == "encoder.spectral_norm"
    assert sum(not variable.modules for variable in space) == 22


def test_the_space_of_state_features_has_no_encoder() -> None:
    """Actor and critic are searched as before."""
    pixels, features = drqv2_space(), drqv2_space(pixels=False)
    assert len(features) == 28
    assert features.size * 10**3 * 4**4 * 2 == pixels.size


def test_drqv2s_own_networks_have_their_parameter_counts() -> None:
    """The published layer sizes, counted by hand, with the encoder's padded 41 x 41 maps."""
    network = build(published(), Sizes(observation=(9, 84, 84), actions=6))
    representation, features, hidden = 32 * 41 * 41, 50, 1024
    assert network.actor.trunk[0].in_features == representation == 53792
    trunk = representation * features + features + 2 * features
    middle = hidden * hidden + hidden

    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(network.encoder) == 9 * 32 * 9 + 32 + 3 * (32 * 32 * 9 + 32) == 30368
    actor = trunk + (features + 1) * hidden + middle + (hidden + 1) * 6
    assert count(network.actor) == actor == 3797724
    one_q = (features + 6 + 1) * hidden + middle + hidden + 1
    assert count(network.critic) == trunk + 2 * one_q == 4907736


@pytest.mark.parametrize("choices", list(every_option()), ids=range(MOST_OPTIONS))
def test_every_option_learns_and_reloads(choices: Choices) -> None:
    """Each option keeps its position's interface, sends gradients and loads strictly."""
    network = build(choices)
    mean, q1, q2 = forward(network, PIXELS)
    assert mean.shape == (2, 3) and q1.shape == q2.shape == (2,)
    assert mean.abs().max() < 1
    (q1 + q2).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    other = build(choices, seed=1)
    other.load_state_dict(network.state_dict(), strict=True)
    network.eval()
    other.eval()
    assert all(map(torch.equal, forward(network, PIXELS), forward(other, PIXELS)))


@pytest.mark.parametrize("seed", range(3))
def test_random_architectures_of_state_features_work(seed: int) -> None:
    """Without an encoder, the trunks see the features themselves."""
    space = drqv2_space(pixels=False)
    network = build(space.decode(space.sample(random.Random(seed))), FEATURES)
    assert not list(network.encoder.parameters())
    assert forward(network, FEATURES)[0].shape == (2, 3)


def test_only_owned_modules_change_with_a_variable() -> None:
    """Tensors whose names or shapes an option changes belong to the variable of that option."""
    space = drqv2_space()
    before = {n: t.shape for n, t in build(published()).state_dict().items()}
    for index, variable in enumerate(space):
        choices = {**published(), variable.name: variable.options[-1]}
        after = {n: t.shape for n, t in build(choices).state_dict().items()}
        changed = {n for n in {*before, *after} if before.get(n) != after.get(n)}
        assert {space.owner(name) for name in changed} <= {index}, variable.name
        assert variable.modules or not changed, "a switch changed names or shapes"


def test_heads_and_the_first_convolution_always_come_from_the_base() -> None:
    """No variable owns them (reference, section 3.6); everything else that is searched has one."""
    space = drqv2_space()
    names = build(published()).state_dict()
    free = {name.rpartition(".")[0] for name in names if space.owner(name) is None}
    convolution = "encoder.convnet.0.0"
    assert free == {
        *(convolution, f"{convolution}.norm"),
        *("actor.policy.4", "critic.Q1.4", "critic.Q2.4"),
    }


def test_weights_are_orthogonal_with_spectral_norm_too() -> None:
    """The normalised layers get the initialisation they were meant to have, and no bias."""
    choices = {**published(), "actor.spectral_norm": True, "encoder.spectral_norm": True}
    network = build(choices)
    weight = network.actor.policy[1][0].weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(16), atol=1e-5, rtol=0)
    filters = network.encoder.convnet[1][0].weight.flatten(1)
    torch.testing.assert_close(filters @ filters.T, 2 * torch.eye(4), atol=1e-5, rtol=0)
    assert all(not p.any() for n, p in network.named_parameters() if n.endswith("bias"))


def test_spectral_norm_changes_the_function_and_no_weight() -> None:
    """Switched on by inheritance, it divides the same weights by their largest singular value."""
    off = Linear(6, 5, spectral=False)
    with torch.no_grad():
        off.weight.mul_(3.0).add_(torch.randn(5, 6))  # trained on, while the norm was off
    on = Linear(6, 5, spectral=True)
    on.load_state_dict(off.state_dict(), strict=True)
    on.eval()
    x = torch.randn(4, 6)
    largest = torch.linalg.svdvals(off.weight)[0]
    assert torch.equal(on.weight, off.weight)
    torch.testing.assert_close(on(x), x @ off.weight.T / largest, rtol=0.02, atol=0.02)


def test_saved_estimates_of_a_norm_that_is_off_depend_on_the_weight_alone() -> None:
    """Saving more or less often, or reloading, changes no bit of them."""
    one, two = Linear(6, 5, spectral=False), Linear(6, 5, spectral=False)
    one.state_dict()
    with torch.no_grad():
        one.weight.add_(1.0)
        two.weight.copy_(one.weight)
    assert torch.equal(one.state_dict()["norm.u"], two.state_dict()["norm.u"])
    assert torch.equal(one.state_dict()["norm.v"], two.state_dict()["norm.v"])


def test_a_switched_on_norm_follows_its_weight_in_training_only() -> None:
    """One power iteration a forward in training; none in evaluation, and none by saving."""
    layer = Linear(6, 5, spectral=True)
    with torch.no_grad():
        layer.weight.add_(torch.randn(5, 6))
    before = layer.norm.u.clone()
    layer.eval()
    layer(torch.randn(2, 6))
    assert torch.equal(layer.state_dict()["norm.u"], before)
    layer.train()
    layer(torch.randn(2, 6))
    assert not torch.equal(layer.norm.u, before)


def test_actions_are_inside_and_learn_at_the_border() -> None:
    """Noise never leaves (-1, 1), the clip limits it, and cut-off actions keep their gradient."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.full((1000, 2), 0.9, requires_grad=True)
    action = truncated_normal(mean, 1.0, generator)
    assert action.abs().max() < 1
    assert (action > 0.999).float().mean() > 0.3
    action.sum().backward()
    assert mean.grad is not None and (mean.grad == 1).all()
    clipped = truncated_normal(torch.zeros(1000, 2), 1.0, generator, clip=0.3)
    assert clipped.abs().max() == pytest.approx(0.3)


def test_the_generator_decides_the_noise() -> None:
    """Nothing is drawn from the global generator."""
    mean = torch.zeros(4, 2)
    one = truncated_normal(mean, 0.5, torch.Generator().manual_seed(3))
    torch.manual_seed(1)
    two = truncated_normal(mean, 0.5, torch.Generator().manual_seed(3))
    assert torch.equal(one, two)
