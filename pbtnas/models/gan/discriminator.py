"""The discriminators of the paper's GAN spaces: AutoGAN's fixed one and the searchable one.

Images [B, 3, H, W] in [-1, 1] to one logit each, [B].  W channels everywhere inside; every
convolution and the final linear layer are spectrally normalised; activations are ReLU.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from pbtnas.models.gan.ops import POOLINGS_AT_INPUT, below, downsampling, edge, initialise
from pbtnas.models.spectral import SpectralConv2d, SpectralLinear
from pbtnas.search.options import Option

BLOCKS = 4

Branches = Literal["sum", "first"]
"""What a searchable block makes of its two branches.

"sum" is the paper's intent.  "first" is what the published code did: it kept only the first
branch where there is one (the second trained nothing), and did not downsample where there is
neither.  The published numbers of GanHard were reached with "first".
"""


class Head(nn.Module):
    """Features to logits: ReLU, sum over positions, linear without bias; [B, W, H, H] -> [B]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = SpectralLinear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(F.relu(x).sum((2, 3)))
        return logits.squeeze(1)


class Block(nn.Module):
    """A searchable block, [B, inputs, H, H] -> [B, W, H, H], or H/2 when it downsamples.

    With node = c0(x), the output is the sum of two branches:

        down0(c5(c1(x) + c3(node))) + down1(c6(c2(x) + c4(node)))

    Poolings of the "input" kind work on the two terms inside instead of at the branch's end.
    "none" on c1 (c2) removes the first (second) branch, "none" on c0 the node and with it
    c3 and c4; "none" on c5 (c6) passes the features through.  Without any branch the output
    is down0(node), or down0(x).  Downsampling layers exist even where they are not used.

    Args:
        choices: `c0` to `c6`, `downsample`, `down0`, `down1`.
        inputs: channels of x.
        width: channels W.
        image: whether x is an image, which has no ReLU before its convolutions.
        branches: see `Branches`.
    """

    def __init__(
        self,
        choices: Mapping[str, Option],
        *,
        inputs: int,
        width: int,
        image: bool,
        branches: Branches,
    ) -> None:
        super().__init__()
        entry = partial(edge, inputs=inputs, outputs=width, conv=SpectralConv2d, activate=not image)
        inner = partial(edge, inputs=width, outputs=width, conv=SpectralConv2d)
        self.branches = branches
        self.downsample = choices["downsample"] is True
        self.c0 = entry(choices["c0"])
        self.c1 = entry(choices["c1"])
        self.c2 = entry(choices["c2"])
        self.c3 = inner(choices["c3"])
        self.c4 = inner(choices["c4"])
        self.c5 = inner(choices["c5"])
        self.c6 = inner(choices["c6"])
        self.down0 = downsampling(choices["down0"], width, SpectralConv2d)
        self.down1 = downsampling(choices["down1"], width, SpectralConv2d)
        self.early0 = self.downsample and choices["down0"] in POOLINGS_AT_INPUT
        self.early1 = self.downsample and choices["down1"] in POOLINGS_AT_INPUT

    def forward(self, x: Tensor) -> Tensor:
        node = None if self.c0 is None else self.c0(x)
        first = self._branch(x, node, (self.c1, self.c3, self.c5), self.down0, self.early0)
        if first is not None and self.branches == "first":
            return first
        second = self._branch(x, node, (self.c2, self.c4, self.c6), self.down1, self.early1)
        if first is not None and second is not None:
            return first + second
        if first is not None:
            return first
        if second is not None:
            return second
        passed: Tensor = x if node is None else node
        if self.downsample and self.branches == "sum":
            passed = self.down0(passed)
        return passed

    def _branch(
        self,
        x: Tensor,
        node: Tensor | None,
        edges: tuple[nn.Module | None, nn.Module | None, nn.Module | None],
        down: nn.Module,
        early: bool,
    ) -> Tensor | None:
        """One branch, or None where it is missing; `early` pools inside it."""
        from_x, from_node, tail = edges
        if from_x is None:
            return None
        out: Tensor = from_x(x)
        if early:
            out = down(out)
        if node is not None and from_node is not None:
            term: Tensor = from_node(node)
            out = out + (down(term) if early else term)
        if tail is not None:
            out = tail(out)
        if self.downsample and not early:
            out = down(out)
        return out


class Discriminator(nn.Module):
    """The searchable discriminator: four blocks and the head; [B, 3, H, H] -> [B].

    Args:
        choices: options by module path below the discriminator: "block1.c0", ...
        width: channels W (128).
        branches: see `Branches`.

    H must be divisible by 16: every block may halve it.  Initialised from torch's global RNG.
    """

    def __init__(
        self, choices: Mapping[str, Option], *, width: int, branches: Branches = "sum"
    ) -> None:
        super().__init__()
        block = partial(Block, width=width, branches=branches)
        self.block1 = block(below(choices, "block1"), inputs=3, image=True)
        self.block2 = block(below(choices, "block2"), inputs=width, image=False)
        self.block3 = block(below(choices, "block3"), inputs=width, image=False)
        self.block4 = block(below(choices, "block4"), inputs=width, image=False)
        self.head = Head(width)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        x = self.block4(self.block3(self.block2(self.block1(images))))
        logits: Tensor = self.head(x)
        return logits


class FirstResidual(nn.Module):
    """AutoGAN's first block, from images: [B, 3, H, H] -> [B, W, H/2, H/2]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv0 = SpectralConv2d(3, width, 3, padding=1)
        self.conv1 = SpectralConv2d(width, width, 3, padding=1)
        self.shortcut = SpectralConv2d(3, width, 1)

    def forward(self, images: Tensor) -> Tensor:
        residual: Tensor = F.avg_pool2d(self.conv1(F.relu(self.conv0(images))), 2)
        shortcut: Tensor = self.shortcut(F.avg_pool2d(images, 2))
        return residual + shortcut


class Residual(nn.Module):
    """A block of AutoGAN's discriminator: [B, W, H, H] -> [B, W, H, H].

    One that downsamples halves H and has a convolution in its shortcut.
    """

    def __init__(self, width: int, downsample: bool) -> None:
        super().__init__()
        self.conv0 = SpectralConv2d(width, width, 3, padding=1)
        self.conv1 = SpectralConv2d(width, width, 3, padding=1)
        self.shortcut = SpectralConv2d(width, width, 1) if downsample else None

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv1(F.relu(self.conv0(F.relu(x))))
        if self.shortcut is None:
            return x + residual
        # Published is convolution, then pooling, in the shortcut; a mean commutes with a
        # 1x1 convolution, and pooling first is a quarter of the work.
        shortcut: Tensor = self.shortcut(F.avg_pool2d(x, 2))
        return shortcut + F.avg_pool2d(residual, 2)


class AutoGanDiscriminator(nn.Module):
    """The fixed discriminator of the `gan` space, AutoGAN's; [B, 3, H, H] -> [B].

    H must be divisible by 4.  Initialised from torch's global RNG.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.block1 = FirstResidual(width)
        self.block2 = Residual(width, downsample=True)
        self.block3 = Residual(width, downsample=False)
        self.block4 = Residual(width, downsample=False)
        self.head = Head(width)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        x = self.block4(self.block3(self.block2(self.block1(images))))
        logits: Tensor = self.head(x)
        return logits
