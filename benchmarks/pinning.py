"""What it costs to pin a run to instructions: `run.cpu_capability`.

    OMP_NUM_THREADS=1 python benchmarks/pinning.py

A training step of the task `digits` (batch 64), and one of the task `gan` (both networks at the
paper's width, batch 4): default, and each pin that this processor can have.  Every variant lives in
a process of its own; they take turns, so that whatever else the machine does meets them all.
Counted is
the processor time of the cheapest round.

The sum is of the weights after these steps: where two processors print the same one, these steps
have equal bits on both.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from pbtnas.processor import UnfitProcessor, check_possible, this_processor, variables_of


def steps_of(task: str) -> tuple[Callable[[], object], Callable[[], Mapping[str, object]]]:
    """What trains for a round, and what tells the weights."""
    import torch

    torch.manual_seed(0)
    if task == "digits":
        from pbtnas.tasks.digits import DigitsTask

        digits = DigitsTask()
        trainee = digits.create((1,) * len(digits.space), 0)
        real, latents = torch.rand(64, 64), torch.randn(64, 18)
        training = trainee.steps()
        return lambda: training.step(real, latents), lambda: trainee.state().live
    from gan_step import PLAIN, networks  # beside this file

    from pbtnas.tasks.gan.training import Adversaries

    gan = Adversaries(networks(), PLAIN)
    real, latents = torch.rand(4, 3, 32, 32) * 2 - 1, torch.randn(8, PLAIN.latent)

    def step() -> None:
        gan.discriminator_step(real, latents[:4])
        gan.generator_step(latents)

    return step, lambda: gan.state().live


def take_turns(task: str, times: int) -> None:
    """In a process of its own: for each line read, print the seconds of a step and the sum."""
    import torch

    from pbtnas.determinism import as_in_the_search

    with as_in_the_search(threads=torch.get_num_threads()):
        step, weights = steps_of(task)
        for _ in sys.stdin:
            began = time.process_time()
            for _ in range(times):
                step()
            took = (time.process_time() - began) / times
            hashed = hashlib.sha256()
            for _, tensor in sorted(weights().items()):
                hashed.update(tensor.detach().numpy().tobytes())  # type: ignore[attr-defined]
            print(took, hashed.hexdigest()[:12], flush=True)


def possible() -> list[str]:
    """The values of `run.cpu_capability` that this processor can have."""
    found = []
    for capability in ("default", "avx2", "avx512"):
        with contextlib.suppress(UnfitProcessor):
            check_possible(capability)
            found.append(capability)
    return found


def compare(task: str, times: int, rounds: int) -> None:
    """Print a row for each variant."""
    told: dict[str, list[list[str]]] = {capability: [] for capability in possible()}
    with contextlib.ExitStack() as processes:
        started = {
            capability: processes.enter_context(
                subprocess.Popen(
                    [sys.executable, __file__, "--take-turns", task, "--times", str(times)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    bufsize=1,
                    env={**os.environ, **variables_of(capability)},
                )
            )
            for capability in told
        }
        for _ in range(1 + rounds):
            for capability, process in started.items():
                assert process.stdin and process.stdout, "both are pipes"
                process.stdin.write("go\n")
                told[capability].append(process.stdout.readline().split())
    least = {
        capability: min(float(seconds) for seconds, _ in found[1:])
        for capability, found in told.items()
    }
    for capability, seconds in least.items():
        ratio, total = seconds / least["default"], told[capability][-1][1]
        print(f"{task:8} {capability:8} {seconds:10.6f} {ratio:6.3f}  {total}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What pinning to instructions costs.")
    parser.add_argument("--rounds", type=int, default=20, help="that count (default 20)")
    parser.add_argument("--take-turns", help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.take_turns:
        return take_turns(options.take_turns, options.times)
    print(f"{this_processor()}, load {os.getloadavg()[0]:.2f}")
    print(f"{'task':8} {'pin':8} {'s a step':>10} {'ratio':>6}  sum")
    compare("digits", times=20, rounds=options.rounds)
    compare("gan", times=1, rounds=max(1, options.rounds // 4))


if __name__ == "__main__":
    main()
