"""What training steps of small networks cost: processor time, in turns in one process.

OMP_NUM_THREADS=1 python -m benchmarks.small_steps [--rounds 15]

digits              a step of both networks, as jobs train them, over six random members
digits, autograd    the same step as it was before its gradients were written out
supervised          a step of a small `SupervisedTask` with the default optimiser
supervised, fused   the same with `fused_adam = True`
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pbtnas.determinism import as_in_the_search
from pbtnas.models.digits.networks import LATENTS, PIXELS
from pbtnas.search import SearchSpace, layer
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts
from pbtnas.tasks.digits import DigitsTask
from pbtnas.tasks.supervised import Split, SupervisedTask
from tests.models.test_digits_gradients import by_autograd

STEPS = 30


class Net(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first, self.hidden = nn.Linear(64, 64), nn.Linear(64, hidden)
        self.head = nn.Linear(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.relu(self.hidden(torch.relu(self.first(x)))))
        return out


class Small(SupervisedTask):
    """Three layers; an epoch is as many steps as a round."""

    space = SearchSpace([layer("hidden", (32, 64))])

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        return Net(choices["hidden"])

    def data(self) -> Split:
        chance = torch.Generator().manual_seed(0)
        size = STEPS * self.batch_size
        x = torch.randn(size, 64, generator=chance)
        y = torch.randint(0, 10, (size,), generator=chance)
        return Split((x, y), (x, y), (x, y))


class Fused(Small):
    fused_adam = True


def rounds() -> dict[str, Callable[[], object]]:
    """What makes `STEPS` steps, by name."""
    digits = DigitsTask()
    rng = random.Random(0)
    members = [digits.create(digits.space.sample(rng), 1) for _ in range(6)]
    written = [member.steps() for member in members]
    real, latents = torch.rand(64, PIXELS) * 2 - 1, torch.randn(64, LATENTS)

    def by_written_gradients() -> None:
        for _ in range(STEPS // len(members)):
            for member, training in zip(members, written, strict=True):
                training.step(real, latents)
                member.average(0.01)

    def as_before() -> None:
        for _ in range(STEPS // len(members)):
            for member in members:
                by_autograd(member, real, latents)
                for average, parameter in zip(*member._pairs, strict=True):
                    average.detach().lerp_(parameter.detach(), 0.01)

    return {
        "digits": by_written_gradients,
        "digits, autograd": as_before,
        "supervised, fused": supervised(Fused()),
        "supervised": supervised(Small()),
    }


def supervised(task: SupervisedTask) -> Callable[[], object]:
    """What makes an epoch of a supervised task, as a job does."""
    nowhere = Path("unused")
    task.prepare(RehearsalProducts(nowhere))
    member = task.create((1,), 0)
    return lambda: member.train(1, Rehearsal(nowhere))


def main() -> None:
    """Take turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="that count (default 15)")
    told = parser.parse_args()
    with as_in_the_search(threads=1):
        acts = rounds()
        spent: dict[str, list[float]] = {name: [] for name in acts}
        for _ in range(told.rounds + 1):
            for name, act in acts.items():
                began_s = time.process_time()
                act()
                spent[name].append((time.process_time() - began_s) / STEPS)
    print(f"load {os.getloadavg()[0]:.1f}; us of processor time a step, median")
    names = list(acts)
    for ours, reference in zip(names[::2], names[1::2], strict=True):
        pairs = list(zip(spent[ours], spent[reference], strict=True))[1:]
        for name in (ours, reference):
            print(f"{name:18} {statistics.median(spent[name][1:]) * 1e6:8.0f}")
        ratios = [a / b for a, b in pairs]
        middle = statistics.median(ratios)
        print(f"{'ratio':18} {middle:8.2f}   {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
