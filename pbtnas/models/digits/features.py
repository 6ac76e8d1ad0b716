"""The small classifier whose features judge generated digits: the part of Inception in the FID."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURES = 32

_SEED = 0
_EPOCHS = 20
_BATCH = 128


class FeatureNet(nn.Module):
    """Images [B, 64] to class logits [B, 10] by way of features [B, 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, FEATURES))
        self.head = nn.Linear(FEATURES, 10)

    def features(self, images: Tensor) -> Tensor:
        """Images [B, 64] in [-1, 1] to their features [B, 32]: what the head sees."""
        features: Tensor = torch.tanh(self.trunk(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 64] to logits [B, 10]."""
        logits: Tensor = self.head(self.features(images))
        return logits


def train_features(images: Tensor, labels: Tensor) -> FeatureNet:
    """Train a `FeatureNet` on images [N, 64] and labels [N]; less than a second of CPU.

    Always from the same seed, without touching the global RNG: one machine makes one network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        net = FeatureNet()
    order = torch.Generator().manual_seed(_SEED)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3, fused=True)
    for _ in range(_EPOCHS):
        for batch in torch.split(torch.randperm(len(images), generator=order), _BATCH):
            loss = F.cross_entropy(net(images[batch]), labels[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return net.requires_grad_(False).eval()
