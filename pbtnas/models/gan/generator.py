"""The generator of the paper's GAN spaces: three upsampling cells fed by projections.

Choices are read by the names of the modules they decide ("cell1.up0"), relative to the
generator.  Shapes: B latents, C = `width` channels everywhere.  Activations are ReLU, and the
only normalisation is the batch norm before the output.  The topology is AdversarialNAS's, the
searchable projections are PBT-NAS's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pbtnas.models.gan.ops import add_edges, below, edge, initialise, resize, upsampling
from pbtnas.search.options import Option

CELLS = 3

SOURCES = ("whole", "part")
SIZES = ("bottom", "previous", "target")
PROJECTIONS: tuple[Option, ...] = tuple(f"{source}-{size}" for source in SOURCES for size in SIZES)
"""What a projection sees of the latent, and how large the maps are that it makes of it."""


class Projection(nn.Module):
    """Turns the latent into maps that are added to the features: [B, latent] -> [B, C, T, T].

    Args:
        choices: `linear` (one of `PROJECTIONS`), `up_mode` and `dropout`.
        width: channels C.
        index: this is the projection of cell `index + 1`'s input.
        target: size T of the features it is added to.
        bottom: size of the smallest features.
        latent: length of the latent vector.
        parts: into how many equal parts the latent is divided; `part` means part `index`.
    """

    def __init__(
        self,
        choices: Mapping[str, Option],
        *,
        width: int,
        index: int,
        target: int,
        bottom: int,
        latent: int,
        parts: int,
    ) -> None:
        super().__init__()
        rate = choices["dropout"]
        assert isinstance(rate, float)
        source, size = str(choices["linear"]).split("-")
        self.mode = str(choices["up_mode"])
        self.dropout = rate
        self.target = target
        self.size = {"bottom": bottom, "previous": target // 2, "target": target}[size]
        share = latent // parts
        self.start, length = (0, latent) if source == "whole" else (index * share, share)
        self.linear = nn.Linear(length, width * self.size**2)

    def forward(self, z: Tensor) -> Tensor:
        maps: Tensor = self.linear(z.narrow(1, self.start, self.linear.in_features))
        maps = maps.reshape(len(z), -1, self.size, self.size)
        if self.size < self.target:
            maps = resize(maps, self.target, self.mode)
        return F.dropout(maps, self.dropout, self.training)


class Cell(nn.Module):
    """Doubles the resolution: [B, C, H, H] -> [B, C, 2H, 2H], and the same for the skip-out.

    Nodes 0 and 1 are two upsamplings of the input; node 2 = c0(node 0) + c1(node 1) + skips;
    the output is c2(node 0) + c3(node 1) + c4(node 2).  Edges chosen as "none" are left out.

    Args:
        choices: `up0`, `up1`, `c0` to `c4`.
        width: channels C.
        skips: how many earlier cells' skip-outs come in.
        skip_mode: how those are resized.
    """

    def __init__(
        self, choices: Mapping[str, Option], width: int, skips: int, skip_mode: str
    ) -> None:
        super().__init__()
        self.up0 = upsampling(choices["up0"], width)
        self.up1 = upsampling(choices["up1"], width)
        self.c0 = edge(choices["c0"], width, width)
        self.c1 = edge(choices["c1"], width, width)
        self.c2 = edge(choices["c2"], width, width)
        self.c3 = edge(choices["c3"], width, width)
        self.c4 = edge(choices["c4"], width, width)
        self.skips = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(skips))
        self.skip_mode = skip_mode

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The cell's output and its skip-out, given the skip-outs of the earlier cells.

        As published, the skip-out is node 2 *with* the skips that came in: what cell 3
        receives from cell 2 contains cell 1's contribution to cell 2.  (There it comes of
        an addition in place; here it is written down.)
        """
        node0, node1 = self.up0(x), self.up1(x)
        node2 = add_edges((self.c0, node0), (self.c1, node1))
        if node2 is None:
            node2 = node0 + node1
        for conv, skip in zip(self.skips, skips, strict=True):
            # Published is resize, then 1x1 convolution.  The two commute (interpolation
            # weights sum to 1, so the bias does too), and small maps are cheaper.
            node2 = node2 + resize(conv(skip), node2.shape[2], self.skip_mode)
        node3 = add_edges((self.c2, node0), (self.c3, node1), (self.c4, node2))
        return (node2 if node3 is None else node3), node2


class Generator(nn.Module):
    """Latent vectors to images: [B, latent] -> [B, 3, 8 * bottom, 8 * bottom] in [-1, 1].

    Args:
        choices: options by module path below the generator: "cell1.up0", "projections.0.linear".
            There are as many projections as have choices (two in the STL-10 `gan` space),
            and a projection of a part of the latent sees an equal share of it.  One that
            is switched off owns its layer all the same, so that its weights are inherited
            and the switch only decides whether they are used.
        width: channels (256 for CIFAR-10, 270 for STL-10).
        bottom: size of the first cell's input (4, 6); even.
        latent: length of the latent vector (120).

    Initialised from torch's global RNG.
    """

    def __init__(
        self, choices: Mapping[str, Option], *, width: int, bottom: int, latent: int
    ) -> None:
        super().__init__()
        parts = sum(f"projections.{i}.linear" in choices for i in range(CELLS))
        self.enabled = tuple(
            i < parts and choices.get(f"projections.{i}.enabled", True) is True
            for i in range(CELLS)
        )
        self.projections = nn.ModuleList(
            Projection(
                below(choices, f"projections.{i}"),
                width=width,
                index=i,
                target=bottom * 2**i,
                bottom=bottom,
                latent=latent,
                parts=parts,
            )
            for i in range(parts)
        )
        self.cell1 = Cell(below(choices, "cell1"), width, skips=0, skip_mode="nearest")
        self.cell2 = Cell(below(choices, "cell2"), width, skips=1, skip_mode="bilinear")
        self.cell3 = Cell(below(choices, "cell3"), width, skips=2, skip_mode="nearest")
        self.norm = nn.BatchNorm2d(width)
        self.to_image = nn.Conv2d(width, 3, 3, padding=1)
        initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        x, skip1 = self.cell1(self.projections[0](z), [])
        if self.enabled[1]:
            x = x + self.projections[1](z)
        x, skip2 = self.cell2(x, [skip1])
        if self.enabled[2]:
            x = x + self.projections[2](z)
        x, _ = self.cell3(x, [skip1, skip2])
        return torch.tanh(self.to_image(F.relu(self.norm(x))))
