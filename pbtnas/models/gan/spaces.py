"""The paper's two GAN search spaces, and the networks of their architectures.

`gan` searches the generator's three cells (21 variables); `gan-hard` searches projections,
cells and the discriminator (72 variables).  Variables are named by the module they decide.
The sizes follow from the option lists; the paper states others (3.4e19 and 2.9e53), which do
not follow from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from pbtnas.models.gan.discriminator import BLOCKS, AutoGanDiscriminator, Branches, Discriminator
from pbtnas.models.gan.generator import CELLS, PROJECTIONS, Generator
from pbtnas.models.gan.ops import DOWNSAMPLINGS, EDGES, IMAGE_EDGES, UPSAMPLINGS, below
from pbtnas.search.options import Option
from pbtnas.search.space import SearchSpace, Variable, layer, switch


@dataclass(frozen=True)
class GanSizes:
    """The sizes of the networks, which are not searched.  Images are 8 * `bottom` pixels wide.

    Args:
        width: channels of the generator.
        bottom: size of the generator's smallest features; even.
        latent: length of the latent vector; divisible by three and by `fixed_projections`.
        discriminator_width: channels of the discriminator.
        fixed_projections: how many projections the generator of `gan` has, 1 to 3; each sees
            an equal share of the latent.
    """

    width: int
    bottom: int
    latent: int = 120
    discriminator_width: int = 128
    fixed_projections: int = 3

    def __post_init__(self) -> None:
        if min(self.width, self.discriminator_width, self.latent) < 1:
            raise ValueError(f"GAN sizes must be positive: {self}")
        if self.bottom < 2 or self.bottom % 2:
            raise ValueError(f"`bottom` must be even and at least 2, not {self.bottom}")
        if not 1 <= self.fixed_projections <= CELLS:
            raise ValueError(
                f"`fixed_projections` must be 1 to {CELLS}, not {self.fixed_projections}"
            )
        if self.latent % CELLS or self.latent % self.fixed_projections:
            raise ValueError(
                f"`latent` must be divisible by {CELLS} and by `fixed_projections` "
                f"({self.fixed_projections}), which {self.latent} is not"
            )


class GanNetworks(nn.Module):
    """A generator and its discriminator, so that tensor names begin with which one it is."""

    def __init__(
        self, generator: Generator, discriminator: Discriminator | AutoGanDiscriminator
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator


def gan_space() -> SearchSpace:
    """`gan`: the edges and upsamplings of three cells; 151263^3 = 3.461e15 architectures."""
    return SearchSpace(_cells())


def gan_hard_space() -> SearchSpace:
    """`gan-hard`: projections, cells, discriminator blocks; 2.9065e52 architectures."""
    projections = [v for i in range(CELLS) for v in _projection(i)]
    blocks = [v for i in range(1, BLOCKS + 1) for v in _block(i)]
    return SearchSpace(projections + _cells() + blocks)


def build_gan(choices: Mapping[str, Option], sizes: GanSizes) -> GanNetworks:
    """The networks of an architecture of `gan`, given as `SearchSpace.decode` returns it.

    Its projections are fixed: each makes maps of the target size out of its share of the
    latent.  Its discriminator is AutoGAN's.  Initialised from torch's global RNG.
    """
    fixed: dict[str, Option] = {}
    for i in range(sizes.fixed_projections):
        fixed[f"projections.{i}.linear"] = "part-target"
        fixed[f"projections.{i}.up_mode"] = "nearest"
        fixed[f"projections.{i}.dropout"] = 0.0
    return GanNetworks(
        _generator(fixed | below(choices, "generator"), sizes),
        AutoGanDiscriminator(width=sizes.discriminator_width),
    )


def build_gan_hard(
    choices: Mapping[str, Option], sizes: GanSizes, branches: Branches = "sum"
) -> GanNetworks:
    """The networks of an architecture of `gan-hard`, as `SearchSpace.decode` returns it.

    Initialised from torch's global RNG.
    """
    return GanNetworks(
        _generator(below(choices, "generator"), sizes),
        Discriminator(
            below(choices, "discriminator"), width=sizes.discriminator_width, branches=branches
        ),
    )


def _generator(choices: Mapping[str, Option], sizes: GanSizes) -> Generator:
    return Generator(choices, width=sizes.width, bottom=sizes.bottom, latent=sizes.latent)


def _projection(i: int) -> list[Variable]:
    at = f"generator.projections.{i}"
    variables = [
        layer(f"{at}.linear", PROJECTIONS),
        switch(f"{at}.up_mode", ("nearest", "bilinear")),
        switch(f"{at}.dropout", (0.0, 0.1, 0.2)),
    ]
    if i == 0:  # the first cell has no other input
        return variables
    return [switch(f"{at}.enabled", (False, True)), *variables]


def _cells() -> list[Variable]:
    variables = []
    for i in range(1, CELLS + 1):
        at = f"generator.cell{i}"
        variables += [layer(f"{at}.up{k}", UPSAMPLINGS) for k in range(2)]
        variables += [layer(f"{at}.c{k}", EDGES) for k in range(5)]
    return variables


def _block(i: int) -> list[Variable]:
    at = f"discriminator.block{i}"
    entries = IMAGE_EDGES if i == 1 else EDGES  # only convolutions turn 3 channels into W
    return [
        *(layer(f"{at}.c{k}", entries) for k in range(3)),
        *(layer(f"{at}.c{k}", EDGES) for k in range(3, 7)),
        switch(f"{at}.downsample", (False, True)),
        *(layer(f"{at}.down{k}", DOWNSAMPLINGS) for k in range(2)),
    ]
