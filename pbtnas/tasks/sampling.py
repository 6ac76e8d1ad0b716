"""A trained generator of images, as it is exported and used.

Shapes: B latents or images, L length of a latent, C channels, H and W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pbtnas.data.batches import pixels


class Sampler(nn.Module):
    """Generates images from random numbers.

    Args:
        generator: latents [B, L] to images in [-1, 1], [B, C, H, W] or flattened.
        latent: L.
        image: (C, H, W).
        batch: latents that the generator sees at once.
        together: whether it normalises a whole batch together, by its statistics.
    """

    def __init__(
        self,
        generator: nn.Module,
        *,
        latent: int,
        image: tuple[int, int, int],
        batch: int,
        together: bool,
    ) -> None:
        super().__init__()
        self.generator = generator
        self.latent = latent
        self.image = image
        self.example = f"images = network.sample(64, seed=1)  # uint8 {[64, *image]}"
        self._batch = batch
        self._together = together

    def forward(self, latents: Tensor) -> Tensor:
        """Standard normal latents [B, L] to float images [B, C, H, W] in [-1, 1]."""
        images: Tensor = self.generator(latents)
        return images.view(-1, *self.image)

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> Tensor:
        """`n` images [n, C, H, W] uint8 on the CPU; the same bits for the same arguments.

        Made in batches in evaluation mode, on the device where the network is.
        Raises `ValueError` unless n is at least 1.
        """
        if n < 1:
            raise ValueError(f"sample: n must be at least 1, not {n}")
        self.eval()
        device = next(self.parameters()).device
        chance = torch.Generator().manual_seed(seed)
        batches = []
        for start in range(0, n, self._batch):
            # Whole batches of latents: the first images of few and of many are the same.
            latents = torch.randn(self._batch, self.latent, generator=chance)
            wanted = min(self._batch, n - start)
            images = self(latents[: None if self._together else wanted].to(device))
            batches.append(pixels(images[:wanted]).round().to(torch.uint8).cpu())
        return torch.cat(batches)
