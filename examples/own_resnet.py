"""Search the blocks of a small ResNet: the kernel and the inner width of each, on real digits.

pbtnas task check --task examples/own_resnet.py:Resnet
pbtnas run configs/own_task.yaml runs/resnet --task examples/own_resnet.py:Resnet \
    --set task.name=Resnet
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Generator, Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from torchvision.models.resnet import BasicBlock

from pbtnas.search import SearchSpace, layer
from pbtnas.tasks.supervised import Split, SupervisedTask

SHAPES = tuple((kernel, width) for kernel in (1, 3, 5) for width in (8, 16, 32))
BLOCKS = {"first": 16, "second": 16, "third": 32, "fourth": 32}  # channels in and out


class Block(BasicBlock):
    """A block of ResNet-18 that is wide and large inside, and keeps the shape outside."""

    def __init__(self, channels: int, kernel: int, width: int) -> None:
        super().__init__(channels, channels)
        self.conv1 = nn.Conv2d(channels, width, kernel, padding="same", bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, channels, 3, padding=1, bias=False)


class SmallResnet(nn.Module):
    def __init__(self, choices: Mapping[str, Any]) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        for name, channels in BLOCKS.items():
            self.add_module(name, Block(channels, *choices[name]))
        shortcut = nn.Sequential(nn.Conv2d(16, 32, 1, stride=2), nn.BatchNorm2d(32))
        self.down = BasicBlock(16, 32, stride=2, downsample=shortcut)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        for name in ("stem", "first", "second", "down", "third", "fourth"):
            x = self.get_submodule(name)(x)
        outputs: Tensor = self.head(x.mean(dim=(2, 3)))
        return outputs


class Resnet(SupervisedTask):
    batch_size = 32
    space = SearchSpace([layer(name, SHAPES) for name in BLOCKS])

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        return SmallResnet(choices)

    def data(self) -> Split:
        x, y = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
        x = x.float().view(-1, 1, 8, 8) / 8 - 1
        return Split((x[:1400], y[:1400]), (x[1400:1600], y[1400:1600]), (x[1600:], y[1600:]))

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return torch.optim.AdamW(parameters, lr=3e-3)

    def schedule(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        return CosineAnnealingLR(optimizer, T_max=18 * steps)  # all epochs of a member

    def augment(self, inputs: Any, targets: Any, generator: Generator) -> tuple[Any, Any]:
        """Shift each batch by up to a pixel."""
        down, right = torch.randint(-1, 2, (2,), generator=generator).tolist()
        return inputs.roll((down, right), dims=(2, 3)), targets
