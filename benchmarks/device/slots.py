"""How fast one, two and three workers are that share a GPU: python -m benchmarks.device slots

Each worker is a process that trains a member by its task, as a job does, without the engine.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch

from benchmarks.device.gan import finish
from benchmarks.device.methods import learner
from benchmarks.device.rows import Row
from benchmarks.device.sharing import noise
from benchmarks.gan_step import ADVERSARIAL_NAS
from pbtnas.determinism import as_in_the_search
from pbtnas.metrics.statistics import Statistics
from pbtnas.tasks.base import Trainee
from pbtnas.tasks.checking.rehearsal import Interrupted, Rehearsal
from pbtnas.tasks.gan.options import GanOptions
from pbtnas.tasks.gan.task import GanProblem, GanTask

ROOT = Path(__file__).parents[2]
MOST = 3
WORKLOADS = ("gan, TF32", "gan", "gaea-bilevel")


class MadeGan(GanTask):
    """The task on noise, which is not scored."""

    @cached_property
    def problem(self) -> GanProblem:  # type: ignore[override]
        """Noise of the size of CIFAR-10, without statistics."""
        return GanProblem(noise("train", 32), cast(Statistics, None))


def sharing(device: str) -> Iterator[Row]:
    """Steps a second of one, two and three workers, at the paper's sizes."""
    window_s = 5.0 if device.startswith("cuda") else 1.0
    yield ["steps/s, all together", *(f"{count} on the device" for count in range(1, MOST + 1))]
    with ExitStack() as stack:
        command = [sys.executable, "-m", "benchmarks.device.slots", device]
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    bufsize=1,
                )
            )
            for _ in range(MOST)
        ]
        for worker in workers:
            _heard(worker)
        for workload in range(len(WORKLOADS)):
            _rates(workers, workload, window_s / 5)  # the first steps are not counted
            found = [
                sum(_rates(workers[:count], workload, window_s)) for count in range(1, MOST + 1)
            ]
            cells = [f"{rate:.1f} ({rate / found[0]:.2f})" for rate in found]
            yield [WORKLOADS[workload], *cells, _used(device)]


def _rates(workers: list[subprocess.Popen[str]], workload: int, window_s: float) -> list[float]:
    """Steps a second of each of these workers while they all train."""
    for worker in workers:
        assert worker.stdin, "it is a pipe"
        worker.stdin.write(f"{workload} {window_s}\n")
    return [float(_heard(worker)) for worker in workers]


def _heard(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout, "it is a pipe"
    if not (line := worker.stdout.readline()):
        raise SystemExit(f"a worker ended with {worker.wait()}")
    return line


def _used(device: str) -> str:
    if not device.startswith("cuda"):
        return "-"
    free, total = torch.cuda.mem_get_info(device)
    return f"{(total - free) >> 20} MiB of the device in use"


@dataclass
class Window(Rehearsal):
    """A job that is left after some time."""

    until_s: float = 0.0

    def tick(self, done: int | None = None) -> None:
        """Leave when the time is over."""
        super().tick(done)
        if done is not None and time.perf_counter() >= self.until_s:
            raise Interrupted


def work(device: str) -> None:
    """In a process of its own: for each line read, train a member so long; print steps/s."""
    with tempfile.TemporaryDirectory() as scratch, as_in_the_search(threads=1):
        context = Rehearsal(Path(scratch), device=device)
        members = _members(context)
        print("ready", flush=True)
        for line in sys.stdin:
            workload, window_s = line.split()
            print(_rate(members[int(workload)], context, float(window_s)), flush=True)


def _members(context: Rehearsal) -> list[Trainee]:
    """One of each workload."""
    cuda = context.device.startswith("cuda")
    sizes: dict[str, Any] = {} if cuda else {"batch_size": 2, "generator_batch_size": 2}
    gans: list[Trainee] = [
        MadeGan(GanOptions(tf32=tf32, **sizes)).create(ADVERSARIAL_NAS, 0) for tf32 in (True, False)
    ]
    return [*gans, learner(context, "gaea-bilevel", 64 if cuda else 8)]


def _rate(trainee: Trainee, context: Rehearsal, window_s: float) -> float:
    finish(context.device)
    began_s = time.perf_counter()
    window = Window(context.scratch, device=context.device, until_s=began_s + window_s)
    try:
        trainee.train(10**6, window)
    except Interrupted:
        pass
    finish(context.device)
    return window.reached / (time.perf_counter() - began_s)


if __name__ == "__main__":
    work(sys.argv[1])
