"""What a training step of the task `gan` costs, with each switch, and what else a job costs.

    OMP_NUM_THREADS=1 python benchmarks/gan_step.py --batch 2

The generator is the architecture that AdversarialNAS found for CIFAR-10, the discriminator
AutoGAN's, both at the paper's width, on images at 32x32.  Each variant runs in a process of its
own, one step of both networks uncounted, then the shortest of the given number of each:

    D step     discriminator on B real and B generated images
    G step     generator on 2 B, with the average
    steps/s    of training: a G step for every five D steps
    memory     peak of resident memory above what the process had before it made the networks

Outside of training steps a job pays for: a process and its imports (once per worker, here counted
for every job), opening the data and ordering an epoch, writing and reading the checkpoint.  The
share is that of a job of one epoch, 50,000 / B steps; the paper's jobs are ten.
"""

from __future__ import annotations

import argparse
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

from pbtnas.data.images import Batches, ImageSet
from pbtnas.models.gan_spaces import GanNetworks, build_gan, gan_space
from pbtnas.state import State
from pbtnas.store import checkpoints
from pbtnas.tasks.gan_options import GanOptions
from pbtnas.tasks.gan_training import Adversaries

ADVERSARIAL_NAS = (1, 1, 1, 0, 3, 3, 1, 1, 1, 0, 1, 3, 3, 3, 0, 1, 0, 3, 3, 0, 3)
PLAIN = GanOptions()
VARIANTS = {
    "plain": PLAIN,
    "fused": replace(PLAIN, fused=True),
    "channels_last": replace(PLAIN, channels_last=True),
    "bf16": replace(PLAIN, bf16=True),
    "compile": replace(PLAIN, compile=True),
}
IMAGES = 50_000


def networks() -> GanNetworks:
    """The fixed architecture, freshly initialised."""
    torch.manual_seed(0)
    return build_gan(gan_space().decode(ADVERSARIAL_NAS), PLAIN.sizes())


def seconds(act: Callable[[], object], repeats: int) -> float:
    """Wall time of an action, the shortest of some."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_mb() -> float:
    """Peak of this process's resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(variant: str, batch: int, repeats: int) -> None:
    """Print seconds of a D step, of a G step, and memory, of one variant in this process."""
    before = peak_mb()
    adversaries = Adversaries(networks(), VARIANTS[variant])
    real = torch.rand(batch, 3, 32, 32) * 2 - 1
    latents = torch.randn(2 * batch, PLAIN.latent)

    def discriminator_step() -> None:
        adversaries.discriminator_step(real, latents[:batch])

    def generator_step() -> None:
        adversaries.generator_step(latents)

    discriminator_step()
    generator_step()
    costs = seconds(discriminator_step, repeats), seconds(generator_step, repeats)
    print(*costs, peak_mb() - before)


def compare(variants: list[str], batch: int, repeats: int) -> float:
    """Print a row for each variant; returns the seconds of a plain training step."""
    print(f"{'':14} {'D step s':>9} {'G step s':>9} {'steps/s':>8} {'memory MB':>10}")
    plain = 0.0
    for variant in variants:
        command = [sys.executable, __file__, "--measure", variant]
        command += ["--batch", str(batch), "--repeats", str(repeats)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        discriminator, generator, memory = map(float, done.stdout.split())
        step = discriminator + generator / PLAIN.discriminator_steps
        plain = plain or step
        print(
            f"{variant:14} {discriminator:9.3f} {generator:9.3f} {1 / step:8.3f} {memory:10.0f}",
            flush=True,
        )
    return plain


def member_state() -> State:
    """A member's state with Adam's moments, as after a step of the paper."""
    adversaries = Adversaries(networks(), PLAIN)
    adversaries.discriminator_step(torch.rand(1, 3, 32, 32), torch.randn(1, PLAIN.latent))
    adversaries.generator_step(torch.randn(1, PLAIN.latent))
    return adversaries.state()


def outside(batch: int) -> Mapping[str, float]:
    """Seconds of everything in a job that is not a training step."""
    start = [sys.executable, "-c", "import pbtnas.tasks.gan, pbtnas.store.checkpoints"]
    state = member_state()
    pixels = np.zeros((IMAGES, 3, 32, 32), np.uint8)
    images = ImageSet("zeros", pixels, None, "")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checkpoint"
        digests: list[str] = []
        return {
            "process and imports": seconds(lambda: subprocess.run(start, check=True), 1),
            "data and an epoch's order": seconds(lambda: Batches(images, batch, "cpu").at(0, 0), 3),
            "checkpoint written": seconds(
                lambda: digests.append(checkpoints.write(file, state, algorithm="xxh3-128")), 3
            ),
            "checkpoint read": seconds(
                lambda: checkpoints.read_verified([file], digests[:1], algorithm="xxh3-128"), 3
            ),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="What a training step of the task gan costs.")
    parser.add_argument("--batch", type=int, default=PLAIN.batch_size, help="B (the paper's: 40)")
    parser.add_argument("--repeats", type=int, default=2, help="steps that count (default 2)")
    usual = [name for name in VARIANTS if name != "compile"]
    parser.add_argument("--variants", nargs="+", default=usual, choices=VARIANTS)
    parser.add_argument("--measure", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        return measure(options.measure, options.batch, options.repeats)
    print(f"batch {options.batch}, {torch.get_num_threads()} threads")
    step = compare(options.variants, options.batch, options.repeats)
    steps = -(-IMAGES // options.batch)
    costs = outside(options.batch)
    print(f"\noutside of the {steps:,} steps of an epoch ({steps * step:,.0f} s)")
    for what, cost in costs.items():
        print(f"{what:28} {cost:7.3f} s")
    total = sum(costs.values())
    print(f"{'share of a job of one epoch':28} {total / (total + steps * step):9.4%}")


if __name__ == "__main__":
    main()
