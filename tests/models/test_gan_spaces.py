"""The two GAN spaces: what they list, and that every architecture of them is a network."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pbtnas.models.gan.discriminator import Branches
from pbtnas.models.gan.spaces import (
    GanNetworks,
    GanSizes,
    build_gan,
    build_gan_hard,
    gan_hard_space,
    gan_space,
)
from pbtnas.search.space import Option, SearchSpace

GAN, HARD = gan_space(), gan_hard_space()
CIFAR10 = GanSizes(width=256, bottom=4)
STL10 = GanSizes(width=270, bottom=6, fixed_projections=2)
NARROW = GanSizes(width=4, bottom=2, latent=12, discriminator_width=4)
CELL = ["up0", "up1", "c0", "c1", "c2", "c3", "c4"]
SEEDS = st.integers(0, 2**32 - 1)


def _build(space: SearchSpace, choices: dict[str, Option], sizes: GanSizes) -> GanNetworks:
    return (build_gan if space is GAN else build_gan_hard)(choices, sizes)


def _random(space: SearchSpace, seed: int) -> dict[str, Option]:
    return space.decode(space.sample(random.Random(seed)))


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_sizes_follow_from_the_option_lists():
    """21 and 72 variables, with exactly the number of architectures the lists give."""
    assert (len(GAN), len(HARD)) == (21, 72)
    assert GAN.size == 151263**3 == 3_460_972_340_748_447
    projections, first, other = 36 * 72**2, 5**3 * 7**4 * 2 * 8**2, 7**7 * 2 * 8**2
    assert HARD.size == projections * GAN.size * first * other**3
    assert HARD.size == 29064744805785532203881706814130106923056021635072000


def test_variables_come_in_the_order_of_the_reference():
    """Projections 0 to 10, cells 11 to 31, discriminator blocks 32 to 71."""
    cells = [f"generator.cell{i}.{name}" for i in (1, 2, 3) for name in CELL]
    assert [v.name for v in GAN] == cells
    names = [v.name for v in HARD]
    assert names[:11] == [
        "generator.projections.0.linear",
        "generator.projections.0.up_mode",
        "generator.projections.0.dropout",
        *(
            f"generator.projections.{i}.{name}"
            for i in (1, 2)
            for name in ("enabled", "linear", "up_mode", "dropout")
        ),
    ]
    assert names[11:32] == cells
    block = [*(f"c{k}" for k in range(7)), "downsample", "down0", "down1"]
    assert names[32:] == [f"discriminator.block{i}.{name}" for i in (1, 2, 3, 4) for name in block]


def test_switches_own_nothing_and_layers_own_their_module():
    """Only enabled, up_mode, dropout and downsample carry no weights."""
    switches = {v.name.rpartition(".")[2] for v in HARD if not v.modules}
    assert switches == {"enabled", "up_mode", "dropout", "downsample"}
    assert all(v.modules == (v.name,) for v in HARD if v.modules)


def test_what_no_variable_owns_is_what_the_reference_never_exchanges():
    """Skip convolutions, output layers and the head come from the base always."""
    networks = build_gan_hard(_random(HARD, 0), NARROW)
    free = {name for name in networks.state_dict() if HARD.owner(name) is None}
    roots = {".".join(name.split(".")[:3]).removesuffix(".weight") for name in free}
    assert {root for root in roots if "skips" in root or "head" in root} == {
        "generator.cell2.skips",
        "generator.cell3.skips",
        "discriminator.head.linear",
    }
    assert {r for r in roots if not any(k in r for k in ("skips", "head", "norm", "to_image"))} == (
        set()
    )
    fixed = build_gan(_random(GAN, 0), NARROW)
    owned = {name.split(".")[1] for name in fixed.state_dict() if GAN.owner(name) is not None}
    assert owned <= {"cell1", "cell2", "cell3"}


def test_the_published_cell_has_the_published_number_of_parameters():
    """AdversarialNAS's own CIFAR-10 cells give 8,846,851 and AutoGAN's 1,053,824."""
    cells = ([1, 1, 1, 0, 3, 3, 1], [1, 1, 0, 1, 3, 3, 3], [0, 1, 0, 3, 3, 0, 3])
    with torch.device("meta"):
        networks = build_gan(GAN.decode([i for cell in cells for i in cell]), CIFAR10)
    assert _count(networks.generator) == 8_846_851
    assert _count(networks.generator.projections) == 3_526_656
    assert _count(networks.discriminator) == 1_053_824


@pytest.mark.parametrize(
    "space, sizes, generator, discriminator",
    [
        (GAN, CIFAR10, (7.0, 15.5), (1.0, 1.1)),
        (HARD, CIFAR10, (5.2, 22.5), (4.1, 6.3)),
        pytest.param(GAN, STL10, (10.9, 17.4), (1.0, 1.1), marks=pytest.mark.slow),
        pytest.param(HARD, STL10, (11.2, 32.3), (3.2, 7.0), marks=pytest.mark.slow),
    ],
    ids=["gan-cifar10", "gan-hard-cifar10", "gan-stl10", "gan-hard-stl10"],
)
def test_mean_sizes_are_in_the_range_of_the_reference(
    space: SearchSpace,
    sizes: GanSizes,
    generator: tuple[float, float],
    discriminator: tuple[float, float],
):
    """At full width the mean of 12 random networks is within the range of another 12."""
    with torch.device("meta"):
        networks = [_build(space, _random(space, seed), sizes) for seed in range(12)]
    for part, (low, high) in (("generator", generator), ("discriminator", discriminator)):
        mean = sum(_count(n.get_submodule(part)) for n in networks) / 12e6
        assert low < mean < high


@pytest.mark.parametrize("space", [GAN, HARD], ids=["gan", "gan-hard"])
def test_names_and_shapes_never_depend_on_a_switch(space: SearchSpace):
    """Flipping every switch leaves the state dict's names and shapes alone."""
    for seed in range(5):
        choices = _random(space, seed)
        flipped = choices | {
            v.name: next(option for option in v.options if option != choices[v.name])
            for v in space
            if not v.modules
        }
        before, after = (_build(space, c, NARROW) for c in (choices, flipped))
        shapes = [{n: t.shape for n, t in m.state_dict().items()} for m in (before, after)]
        assert shapes[0] == shapes[1]


POSITIONS = ["linear", "up_mode", "dropout", "enabled"] + [
    f"{kind}.{position}"
    for kind, positions in (
        ("cell", CELL),
        ("block", [*(f"c{k}" for k in range(7)), "downsample", "down0", "down1"]),
    )
    for position in positions
]
"""Where an option can stand, taking cells (blocks, projections) together."""


def _stands_at(name: str, position: str) -> bool:
    kind, _, last = position.rpartition(".")
    return name.endswith(f".{last}") and kind in name


def _lively(options: tuple[Option, ...]) -> Option:
    """An option that uses all it can: convolutions, and switches on."""
    return next((o for o in options if o in ("whole-target", True, 0.1, "conv_3x3")), options[0])


@pytest.mark.parametrize("position", POSITIONS)
def test_every_option_of_every_position_works_and_trains(position: str):
    """With all else in use, any option keeps the interface, and its parameters get gradients.

    The option stands in all cells (blocks, projections) that have it at once.
    """
    for option in {o: None for v in HARD if _stands_at(v.name, position) for o in v.options}:
        choices = {
            v.name: option
            if _stands_at(v.name, position) and option in v.options
            else _lively(v.options)
            for v in HARD
        }
        torch.manual_seed(0)
        networks = build_gan_hard(choices, NARROW)
        if position.startswith("block"):
            part, out = "discriminator", networks.discriminator(torch.randn(2, 3, 16, 16))
            assert out.shape == (2,)
        else:
            part, out = "generator", networks.generator(torch.randn(2, NARROW.latent))
            assert out.shape == (2, 3, 16, 16)
        out.square().sum().backward()
        dead = {
            n.rpartition(".")[0]
            for n, p in networks.named_parameters()
            if p.grad is None and n.startswith(part)
        }
        assert dead == {module for name in choices for module in _idle(name, choices[name])}


def _idle(name: str, option: Option) -> set[str]:
    """Modules that get no gradient when one variable of a lively architecture has an option."""
    at, _, last = name.rpartition(".")
    hang_on_it: dict[str, tuple[str, ...]] = {}
    if option is False:
        hang_on_it = {"enabled": ("linear",), "downsample": ("down0.conv", "down1.conv")}
    elif option == "none" and at.startswith("generator"):
        # Without c4 in any cell, nothing reads node 2 and the skips that go to it.
        skips = {"cell1": (), "cell2": ("skips.0",), "cell3": ("skips.0", "skips.1")}
        hang_on_it = {"c4": ("c0.conv", "c1.conv", *skips[at.removeprefix("generator.")])}
    elif option == "none" and at.startswith("discriminator"):
        hang_on_it = {
            "c0": ("c3.conv", "c4.conv"),
            "c1": ("c3.conv", "c5.conv", "down0.conv"),
            "c2": ("c4.conv", "c6.conv", "down1.conv"),
        }
    return {f"{at}.{module}" for module in hang_on_it.get(last, ())}


@pytest.mark.parametrize("space", [GAN, HARD], ids=["gan", "gan-hard"])
@given(seed=SEEDS, batch=st.sampled_from([1, 2]), branches=st.sampled_from(["sum", "first"]))
@settings(deadline=None, max_examples=15)
def test_random_architectures_make_and_judge_images(
    space: SearchSpace, seed: int, batch: int, branches: Branches
):
    """Forward and backward of any architecture give finite images, logits and gradients."""
    choices = _random(space, seed)
    torch.manual_seed(seed)
    if space is GAN:
        networks = build_gan(choices, NARROW)
    else:
        networks = build_gan_hard(choices, NARROW, branches)
    images = networks.generator(torch.randn(batch, NARROW.latent))
    logits = networks.discriminator(images)
    assert images.shape == (batch, 3, 16, 16)
    assert images.abs().max() <= 1
    assert logits.shape == (batch,)
    logits.sum().backward()
    gradients = [p.grad for p in networks.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_the_stl10_variants_make_their_images():
    """Bottom 6 gives 48x48, with two projections in `gan` and three in `gan-hard`."""
    sizes = GanSizes(width=4, bottom=6, latent=12, discriminator_width=4, fixed_projections=2)
    for space, projections in ((GAN, 2), (HARD, 3)):
        networks = _build(space, _random(space, 0), sizes)
        images = networks.generator(torch.randn(1, 12))
        assert len(networks.generator.projections) == projections
        assert images.shape == (1, 3, 48, 48)
        assert networks.discriminator(images).shape == (1,)


def test_the_seed_decides_every_tensor():
    """Built twice after the same seed, an architecture has the same bits."""
    made = []
    for _ in range(2):
        torch.manual_seed(7)
        made.append(build_gan_hard(_random(HARD, 3), NARROW).state_dict())
    assert made[0].keys() == made[1].keys()
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"bottom": 3}, "`bottom` must be even"),
        ({"latent": 10}, "`latent` must be divisible by 3"),
        ({"latent": 15, "fixed_projections": 2}, "`fixed_projections`"),
        ({"fixed_projections": 4}, "must be 1 to 3"),
        ({"width": 0}, "positive"),
    ],
)
def test_impossible_sizes_are_refused(changes: dict[str, int], message: str):
    """Sizes whose networks could not be built are one clear error."""
    with pytest.raises(ValueError, match=message):
        GanSizes(**({"width": 4, "bottom": 2, "latent": 12} | changes))
