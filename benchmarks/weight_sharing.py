"""What steps of `cell64` and `supernet` cost, dense scoring, and the engine around them.

    OMP_NUM_THREADS=1 python benchmarks/weight_sharing.py
    OMP_NUM_THREADS=1 python benchmarks/weight_sharing.py configs/weight_sharing/cell64_alone.yaml

Without a file, in this process, on made images at the size of `configs/weight_sharing/` (16x16,
8 channels, 2 cells, batches of 64), turn by turn, so that whatever else the machine does meets all:

    bare       a loop of torch alone: the same network, batches and SGD
    cell64     an epoch of the task with its trainee
    supernet   the same, of subnet 111 to 444 in turn
    dense      scoring all subnets after a step, beside the step

With a file, the run that it describes is carried out with one worker and with two, each in a new
directory: `jobs` is the time of its jobs by their records, the overhead is what the run took
besides, the start of its processes included, and the speed-up is of the whole run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from pbtnas.analysis.history.run import History
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, train
from pbtnas.tasks.weight_sharing import Cell64Task, SupernetTask
from pbtnas.tasks.weight_sharing.options import Cell64Options, SupernetOptions


def options(steps: int) -> dict[str, Any]:
    """The size of the studies on a laptop, on images that need no download."""
    return {
        **{"width": 8, "cells": 2, "stem_factor": 2, "data": "gratings", "side": 16},
        **{"held_out": 200, "crop_padding": 0, "batch_size": 64},
        **{"steps_per_epoch": steps, "schedule_epochs": 1000},
    }


def bare_loop(task: Cell64Task, architecture: tuple[int, ...], steps: int) -> Callable[[], None]:
    """Steps of a network alone, without anything of pbtnas but its layers and batches."""
    network: torch.nn.Module = task.create(architecture, 0).trained_network()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=1e-3)
    batches = task.batches("cpu")

    def run() -> None:
        for step in range(steps):
            images, labels = batches.at(0, step)
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images), labels)
            torch.autograd.backward(loss)
            optimizer.step()
            loss.item()

    return run


def steps_table(steps: int, repeats: int) -> None:
    """Print the cheapest milliseconds a step of each, in processor time."""
    with tempfile.TemporaryDirectory() as scratch:
        context = Rehearsal(Path(scratch))
        alone = Cell64Task(Cell64Options(**options(steps)))
        shared = SupernetTask(SupernetOptions(**options(steps)))
        for task in (alone, shared):
            task.prepare(RehearsalProducts(Path(scratch)))
        architecture = (1, 2, 3)
        network, supernet = alone.create(architecture, 0), shared.create((0,), 0)
        turns: Mapping[str, Callable[[], object]] = {
            "bare": bare_loop(alone, architecture, steps),
            "cell64": lambda: train(network, 1, Rehearsal(Path(scratch))),
            "supernet": lambda: train(supernet, 1, Rehearsal(Path(scratch))),
            "dense": lambda: supernet.accuracies("validation", context),
        }
        found: dict[str, list[float]] = {name: [] for name in turns}
        for _ in range(repeats):
            for name, turn in turns.items():
                began_s = time.process_time()
                turn()
                found[name].append(time.process_time() - began_s)
    for name in ("bare", "cell64", "supernet"):
        each_s = min(found[name]) / steps
        print(f"{name:9} {1000 * each_s:8.2f} ms a step, {each_s * steps / min(found['bare']):.2f}")
    scoring_s, step_s = min(found["dense"]), min(found["supernet"]) / steps
    print(f"dense     {1000 * scoring_s:8.2f} ms for all subnets, {scoring_s / step_s:.1f} steps")


def run_table(config: Path) -> None:
    """Carry a run out with one worker and with two, and print what it took."""
    taken = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch) / "run"
            command = ["run", str(config), str(root), "--workers", str(workers)]
            began_s = time.monotonic()
            subprocess.run(
                [sys.executable, "-m", "pbtnas", *command], check=True, capture_output=True
            )
            taken[workers] = time.monotonic() - began_s
            results = [r for g in History.read(root).generations for r in g.results.values()]
            jobs_s = sum(float(result.meta["wall_s"]) for result in results)
        overhead = 1 - jobs_s / (workers * taken[workers])
        print(
            f"{workers} worker{'s' if workers > 1 else ' '} {taken[workers]:8.1f} s, "
            f"{len(results)} jobs of {jobs_s / len(results):.1f} s, overhead {overhead:.1%}"
        )
    print(f"speed-up  {taken[1] / taken[2]:.2f} on {os.cpu_count()} cores")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("config", nargs="?", type=Path, help="a run to carry out instead")
    parser.add_argument("--steps", type=int, default=64, help="of a turn (default 64)")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each (default 5)")
    given = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.2f}", flush=True)
    if given.config is None:
        steps_table(given.steps, given.repeats)
    else:
        run_table(given.config)
    print(f"load {os.getloadavg()[0]:.2f} at the end")


if __name__ == "__main__":
    main()
