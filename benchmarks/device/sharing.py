"""Weight sharing on a GPU: a step of a network alone and of a supernet, and scoring all 64."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.device.gan import timed_ms
from benchmarks.device.rows import Row
from pbtnas.data.images import ImageSet
from pbtnas.determinism import as_in_the_search, full_float32
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, train
from pbtnas.tasks.weight_sharing import Cell64Task, SupernetTask
from pbtnas.tasks.weight_sharing.image_options import ImageOptions
from pbtnas.tasks.weight_sharing.options import Cell64Options, SupernetOptions

ARCHITECTURE = (3, 3, 2)
STEPS = 20


@cache
def noise(split: str, side: int) -> ImageSet:
    """Noise with labels, of the numbers of images of CIFAR-10."""
    count = {"train": 50_000, "test": 10_000}[split]
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    labels = rng.integers(0, 10, count, dtype=np.uint8)
    return ImageSet(f"noise-{split}", images, labels, "none")


class Noise:
    """As many images as CIFAR-10 has, of nothing, without a download."""

    def load_images(self, split: str) -> ImageSet:
        """Noise of the side of the options."""
        return noise(split, self.options.side)

    options: ImageOptions


class Alone(Noise, Cell64Task):
    """A network alone."""


class Shared(Noise, SupernetTask):
    """A supernet of all 64."""


def steps(device: str) -> Iterator[Row]:
    """The published size: 16 channels, 4 cells, 32x32, mini-batches of 256, 10,000 scored."""
    options: dict[str, Any] = {
        "as_published": True,
        **{"steps_per_epoch": STEPS, "schedule_epochs": 100_000},
    }
    if not device.startswith("cuda"):
        options |= {"width": 4, "side": 8, "batch_size": 32, "validation_images": 500}
    with tempfile.TemporaryDirectory() as scratch, as_in_the_search(threads=1):
        full_float32()
        context = Rehearsal(Path(scratch), device=device)
        alone, shared = Alone(Cell64Options(**options)), Shared(SupernetOptions(**options))
        for task in (alone, shared):
            task.prepare(RehearsalProducts(Path(scratch)))
        network, supernet = alone.create(ARCHITECTURE, 0), shared.create((0,), 0)
        for name, act in (
            ("bare loop", bare(alone, device)),
            ("cell64", lambda: train(network, 1, context)),
            ("supernet", lambda: train(supernet, 1, context)),
        ):
            yield [name, f"{timed_ms(act, device, times=3) / STEPS:.2f} ms a step"]
        scored_ms = timed_ms(lambda: supernet.accuracies("validation", context), device, times=1)
        yield ["all 64 subnets scored", f"{scored_ms:.0f} ms"]


def bare(task: Cell64Task, device: str) -> Callable[[], None]:
    """Steps of a network alone, without anything of pbtnas but its layers and batches."""
    network: torch.nn.Module = task.create(ARCHITECTURE, 0).trained_network().to(device)
    optimizer = torch.optim.SGD(network.parameters(), 0.025, momentum=0.9, weight_decay=1e-3)
    batches = task.batches(device)

    def run() -> None:
        for step in range(STEPS):
            images, labels = batches.at(0, step)
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images), labels)
            torch.autograd.backward(loss)
            optimizer.step()
            loss.item()

    return run
