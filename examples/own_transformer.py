"""Search a small transformer that writes Python: text of the standard library, byte by byte.

pbtnas task check --task examples/own_transformer.py:Writer
pbtnas run configs/own_task.yaml runs/writer --task examples/own_transformer.py:Writer \
    --set task.name=Writer

The text is that of your Python: compare scores of one version only.
"""

import argparse
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler

from pbtnas.search import SearchSpace, Variable, switch
from pbtnas.tasks.supervised import Split, SupervisedTask

LENGTH, WIDTH = 32, 32  # of a piece of text, and of the vector of a byte
ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "swish": F.silu}


class Block(nn.Module):
    """Attention, which keeps its weights whatever the heads, and a layer of its own width."""

    def __init__(self, hidden: int, heads: int, activation: str) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, heads, batch_first=True)
        self.wide = nn.ModuleDict(
            {"up": nn.Linear(WIDTH, hidden), "down": nn.Linear(hidden, WIDTH)}
        )
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.before(x)
        x = x + self.attention(y, y, y, attn_mask=mask, need_weights=False)[0]
        y = self.activation(self.wide["up"](self.between(x)))
        outputs: Tensor = x + self.wide["down"](y)
        return outputs


class Transformer(nn.Module):
    def __init__(self, choices: Mapping[str, Any]) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(256, WIDTH), nn.Embedding(LENGTH, WIDTH)
        shapes = [(choices[f"wide{i}"], choices[f"heads{i}"]) for i in (0, 1)]
        self.blocks = nn.ModuleList(Block(*shape, choices["activation"]) for shape in shapes)
        self.head = nn.Linear(WIDTH, 256)
        future = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
        self.register_buffer("future", future, persistent=False)

    def forward(self, text: Tensor) -> Tensor:
        x = self.letters(text) + self.places.weight
        for block in self.blocks:
            x = block(x, self.future)
        outputs: Tensor = self.head(x)
        return outputs


class Writer(SupervisedTask):
    clip_norm = 1.0
    batch_size = 32
    space = SearchSpace(
        [
            Variable("wide0", (32, 64, 128), modules=("blocks.0.wide",)),
            Variable("wide1", (32, 64, 128), modules=("blocks.1.wide",)),
            switch("heads0", (1, 2, 4)),
            switch("heads1", (1, 2, 4)),
            switch("activation", tuple(ACTIVATIONS)),
        ]
    )

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        return Transformer(choices)

    def data(self) -> Split:
        text = torch.tensor(list(Path(argparse.__file__).read_bytes()))
        pieces = text.unfold(0, LENGTH + 1, LENGTH)
        x, y = pieces[:, :-1].contiguous(), pieces[:, 1:].contiguous()
        a, b = int(0.8 * len(x)), int(0.9 * len(x))
        return Split((x[:a], y[:a]), (x[a:b], y[a:b]), (x[b:], y[b:]))

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return torch.optim.AdamW(parameters, lr=3e-3)

    def schedule(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        return LinearLR(optimizer, 0.1, total_iters=steps)  # warms up for an epoch

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """Minus the bits that a byte takes."""
        return -self.loss(outputs, targets).item() / math.log(2)
