"""What a training step of the task `gan` costs, with each switch, and what else a job costs.

    OMP_NUM_THREADS=1 python benchmarks/gan_step.py --batch 8

The generator is the architecture that AdversarialNAS found for CIFAR-10, the discriminator
AutoGAN's, both at the paper's width, on images at 32x32.  Every variant lives in a process of its
own; they take turns, one step of each network a round, so that whatever else the machine does
meets them all.  Counted is the cheapest round:

    first      both networks' first step, not counted below: what `compile` costs once
    D step     discriminator on B real and B generated images
    G step     generator on 2 B, with the average
    steps/s    of training: a G step for every five D steps
    memory     peak above what the process had before it made the networks

On a CPU the seconds are processor time, which other processes hardly change; with one thread on an
idle machine it is the time that passes.  `--device cuda` counts time that passes.

Outside of training steps a job pays for: a process and its imports (once per worker, here counted
for every job), opening the data and ordering an epoch, writing and reading the checkpoint.  The
share is that of a job of one epoch, 50,000 / B steps; the paper's jobs are ten.  Scores are not in
it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pbtnas.checkpoints import files as checkpoints
from pbtnas.data.batches import ImageBatches
from pbtnas.data.images import ImageSet
from pbtnas.determinism import as_in_the_search, tf32
from pbtnas.models.gan.spaces import GanNetworks, build_gan, gan_space
from pbtnas.state import State
from pbtnas.tasks.gan.options import GanOptions
from pbtnas.tasks.gan.training import Adversaries

ADVERSARIAL_NAS = (1, 1, 1, 0, 3, 3, 1, 1, 1, 0, 1, 3, 3, 3, 0, 1, 0, 3, 3, 0, 3)
PLAIN = GanOptions()
VARIANTS = {
    "plain": PLAIN,
    "fused": replace(PLAIN, fused=True),
    "channels_last": replace(PLAIN, channels_last=True),
    "bf16": replace(PLAIN, bf16=True),
    "bf16, fused, channels_last": replace(PLAIN, bf16=True, fused=True, channels_last=True),
    "tf32": replace(PLAIN, tf32=True),
    "compile": replace(PLAIN, compile=True),
    "any kernels": PLAIN,
    "filled memory": PLAIN,
}
"""The last two are not options: as in no job, to see what the mode of jobs costs and saves."""

IMAGES = 50_000


def networks() -> GanNetworks:
    """The fixed architecture, freshly initialised."""
    torch.manual_seed(0)
    return build_gan(gan_space().decode(ADVERSARIAL_NAS), PLAIN.sizes())


def seconds(act: Callable[[], object], device: str = "cpu") -> float:
    """What an action takes: processor time on a CPU, time that passes on a GPU."""
    if device == "cpu":
        start = time.process_time()
        act()
        return time.process_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    act()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


def peak_mb(device: str) -> float:
    """Peak of this process's resident memory, or of its memory on the GPU."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return torch.cuda.max_memory_allocated(device) / 2**20


def take_turns(variant: str, batch: int, device: str) -> None:
    """In a process of its own: for each line read, print seconds of both steps, and memory."""
    with as_in_the_search(threads=torch.get_num_threads()), tf32(VARIANTS[variant].tf32):
        if variant == "any kernels":
            torch.set_deterministic_debug_mode("default")
        torch.utils.deterministic.fill_uninitialized_memory = variant == "filled memory"
        before = peak_mb(device)
        adversaries = Adversaries(networks(), VARIANTS[variant])
        adversaries.move(device)
        real = torch.rand(batch, 3, 32, 32, device=device) * 2 - 1
        latents = torch.randn(2 * batch, PLAIN.latent, device=device)

        def steps(train: Callable[[], object]) -> float:
            # A GPU's step takes milliseconds, of which starting and stopping the clock is a part.
            times = 1 if device == "cpu" else 5
            return seconds(lambda: [train() for _ in range(times)], device) / times

        for _ in sys.stdin:
            discriminator = steps(lambda: adversaries.discriminator_step(real, latents[:batch]))
            generator = steps(lambda: adversaries.generator_step(latents))
            print(discriminator, generator, peak_mb(device) - before, flush=True)


def rounds(
    variants: list[str], batch: int, repeats: int, device: str
) -> dict[str, list[list[float]]]:
    """For each variant what its process printed, the uncounted first round included."""
    found: dict[str, list[list[float]]] = {variant: [] for variant in variants}
    with contextlib.ExitStack() as processes:
        started = {}
        for variant in variants:
            command = [sys.executable, __file__, "--take-turns", variant]
            command += ["--batch", str(batch), "--device", device]
            started[variant] = processes.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
                )
            )
        for _ in range(1 + repeats):
            for variant, process in started.items():
                assert process.stdin and process.stdout, "both are pipes"
                process.stdin.write("go\n")
                found[variant].append([float(n) for n in process.stdout.readline().split()])
    return found


def compare(variants: list[str], batch: int, repeats: int, device: str) -> float:
    """Print a row for each variant; returns the seconds of a step of the first one."""
    header = f"{'':27} {'first s':>8} {'D step s':>9} {'G step s':>9} {'steps/s':>8} {'ratio':>6}"
    print(f"{header} {'memory MB':>10}")
    first = 0.0
    for variant, found in rounds(variants, batch, repeats, device).items():
        discriminator, generator, _ = (min(column) for column in zip(*found[1:], strict=True))
        memory = max(peak for *_, peak in found)
        step = discriminator + generator / PLAIN.discriminator_steps
        first = first or step
        print(
            f"{variant:27} {sum(found[0][:2]):8.1f} {discriminator:9.4f} {generator:9.4f} "
            f"{1 / step:8.3f} {first / step:6.2f} {memory:10.0f}"
        )
    return first


def member_state() -> State:
    """A member's state with Adam's moments, as after a step of the paper."""
    adversaries = Adversaries(networks(), PLAIN)
    adversaries.discriminator_step(torch.rand(1, 3, 32, 32), torch.randn(1, PLAIN.latent))
    adversaries.generator_step(torch.randn(1, PLAIN.latent))
    return adversaries.state()


def passing(act: Callable[[], object]) -> float:
    """Seconds that pass during an action: what waits for a disk counts."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def outside(batch: int) -> Mapping[str, float]:
    """Seconds of everything in a job that is not a training step."""
    start = [sys.executable, "-c", "import pbtnas.tasks.gan, pbtnas.checkpoints.files"]
    state = member_state()
    pixels = np.zeros((IMAGES, 3, 32, 32), np.uint8)
    images = ImageSet("zeros", pixels, None, "")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checkpoint"
        digests: list[str] = []

        def write() -> None:
            digests.append(checkpoints.write(file, state, algorithm="xxh3-128"))

        def read() -> None:
            checkpoints.read_verified([file], digests[:1], algorithm="xxh3-128")

        return {
            "process and imports": passing(lambda: subprocess.run(start, check=True)),
            "data and an epoch's order": passing(
                lambda: ImageBatches(images, batch, "cpu").at(0, 0)
            ),
            "checkpoint written": passing(write),
            "checkpoint read": passing(read),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="What a training step of the task gan costs.")
    parser.add_argument("--batch", type=int, default=PLAIN.batch_size, help="B (the paper's: 40)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds that count (default 3)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--take-turns", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.take_turns:
        return take_turns(options.take_turns, options.batch, options.device)
    threads, load = torch.get_num_threads(), os.getloadavg()[0]
    print(f"batch {options.batch}, {options.device}, {threads} threads, load {load:.2f}")
    step = compare(options.variants, options.batch, options.repeats, options.device)
    steps = -(-IMAGES // options.batch)
    costs = outside(options.batch)
    print(f"\noutside of the {steps:,} steps of an epoch ({steps * step:,.0f} s)")
    for what, cost in costs.items():
        print(f"{what:28} {cost:7.3f} s")
    total = sum(costs.values())
    print(f"{'share of a job of one epoch':28} {total / (total + steps * step):9.4%}")


if __name__ == "__main__":
    main()
