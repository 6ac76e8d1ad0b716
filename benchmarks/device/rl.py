"""Updates of DrQ-v2 on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from benchmarks.device.gan import timed_ms
from benchmarks.device.rows import Row
from pbtnas.determinism import as_in_the_search, tf32
from pbtnas.models.drqv2.networks import DrQV2
from pbtnas.models.drqv2.spaces import drqv2_space
from pbtnas.rl.replay import Batch
from pbtnas.tasks.drqv2.agent import Agent
from pbtnas.tasks.drqv2.environments import Facts
from pbtnas.tasks.drqv2.options import DrQV2Options

ACTIONS = 12


def updates(device: str) -> Iterator[Row]:
    """An update and an action of the first agent of the space, at the paper's sizes."""
    options = DrQV2Options(environment="quadruped_run")
    shape = (3 * options.frame_stack, options.size, options.size)
    rng = np.random.default_rng(0)

    def frames() -> np.ndarray:
        return rng.integers(0, 256, (options.batch_size, *shape), dtype=np.uint8)

    batch = Batch(
        observations=frames(),
        actions=rng.uniform(-1, 1, (options.batch_size, ACTIONS)).astype(np.float32),
        rewards=rng.random(options.batch_size, dtype=np.float32),
        discounts=np.full(options.batch_size, 0.97, np.float32),
        next_observations=frames(),
    )
    for name, chosen in (("full float32", options), ("TF32", replace(options, tf32=True))):
        yield [name, *_milliseconds(chosen, batch, device)]


def _milliseconds(options: DrQV2Options, batch: Batch, device: str) -> Row:
    space = drqv2_space()
    architecture = tuple(0 for _ in space)
    with as_in_the_search(threads=1), tf32(options.tf32):
        torch.manual_seed(0)
        networks = DrQV2(space.decode(architecture), Facts(ACTIONS, 0).sizes(options))
        agent = Agent(networks, options)
        agent.move(device)
        chance = torch.Generator(device).manual_seed(0)
        update = timed_ms(lambda: agent.update(batch, 0.5, chance), device)
        act = timed_ms(lambda: agent.explore(batch.observations[0], 0.5, chance), device)
        copied = timed_ms(lambda: torch.from_numpy(batch.observations).to(device), device)
    return [f"update {update:.2f} ms", f"action {act:.2f} ms", f"copy of a batch {copied:.2f} ms"]
