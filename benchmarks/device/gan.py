"""The task `gan` on a GPU: resizing, training steps, memory over several networks, scores."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.device.rows import Row
from pbtnas.determinism import as_in_the_search, tf32
from pbtnas.metrics.extractors import ExtractorError, Lite0
from pbtnas.models.gan.ops import bilinear_by_products
from pbtnas.models.gan.spaces import build_gan, gan_hard_space
from pbtnas.tasks.gan.options import GanOptions
from pbtnas.tasks.gan.scoring import generate
from pbtnas.tasks.gan.training import Adversaries

STEP = Path(__file__).parents[1] / "gan_step.py"
HARD = GanOptions(space="gan-hard")
TRIED_OUT = replace(HARD, batch_size=2, generator_batch_size=2)


def timed_ms(act: Callable[[], object], device: str, times: int = 30, rounds: int = 3) -> float:
    """Milliseconds of one call, of the cheapest round; the first call is not counted."""
    act()
    if not device.startswith("cuda"):
        times = 1
    found = []
    for _ in range(rounds):
        finish(device)
        began_s = time.perf_counter()
        for _ in range(times):
            act()
        finish(device)
        found.append((time.perf_counter() - began_s) / times * 1000)
    return min(found)


def finish(device: str) -> None:
    """Wait until the device has computed all that it was asked for."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def resizing(device: str) -> Iterator[Row]:
    """Forward and backward of bilinear resizing, in four ways, and whether they agree."""
    yield ["maps", "torch's kernel", "torch's deterministic", "products", "slices", "ms"]
    images = 80 if device.startswith("cuda") else 2
    shapes = ((images, 256, 8, 8), 16), ((images, 256, 16, 16), 32), ((images, 256, 8, 8), 32)
    with as_in_the_search(threads=1):
        for shape, size in shapes:
            maps = torch.randn(shape, device=device, requires_grad=True)
            ways = (
                ("default", _by_torch),
                ("error", _by_torch),
                ("error", bilinear_by_products),
                ("error", by_slices),
            )
            cells = [round(_resizing_ms(*way, maps, size), 3) for way in ways]
            right = _by_torch(maps, size)
            errors = [(way(maps, size) - right).abs().max().item() for _, way in ways]
            wrong = ["WRONG"] if max(errors) > 1e-5 else []
            yield [f"{list(shape)} to {size}", *cells, *wrong]


Resize = Callable[[Tensor, int], Tensor]


def _by_torch(maps: Tensor, size: int) -> Tensor:
    return F.interpolate(maps, size=(size, size), mode="bilinear")


def _resizing_ms(mode: str, resized: Resize, maps: Tensor, size: int) -> float:
    gradient = torch.randn((*maps.shape[:2], size, size), device=maps.device)
    torch.set_deterministic_debug_mode(mode)
    try:
        return timed_ms(
            lambda: torch.autograd.grad(resized(maps, size), maps, gradient), str(maps.device)
        )
    finally:
        torch.set_deterministic_debug_mode("error")


def by_slices(maps: Tensor, size: int) -> Tensor:
    """Bilinear resizing by a whole factor with slices and additions."""
    for dim in (2, 3):
        last, factor = maps.shape[dim] - 1, size // maps.shape[dim]
        before = torch.cat([maps.narrow(dim, 0, 1), maps.narrow(dim, 0, last)], dim)
        after = torch.cat([maps.narrow(dim, 1, last), maps.narrow(dim, last, 1)], dim)
        parts = []
        for i in range(factor):
            at = (i + 0.5) / factor - 0.5
            parts.append(torch.lerp(maps, before if at < 0 else after, abs(at)))
        maps = torch.stack(parts, dim + 1).flatten(dim, dim + 1)
    return maps


def steps_of_40(device: str) -> Iterator[Row]:
    """Training steps at the paper's batch."""
    return _steps(device, 40)


def steps_of_128(device: str) -> Iterator[Row]:
    """Training steps at a batch that fills a GPU better."""
    return _steps(device, 128)


def _steps(device: str, batch: int) -> Iterator[Row]:
    yield from _gan_step(
        device, batch, "plain", "any kernels", "filled memory", "fused", "channels_last", "bf16",
        "bf16, fused, channels_last", "tf32",
    )  # fmt: skip


def compiled(device: str) -> Iterator[Row]:
    """What `compile` saves, and what it costs once."""
    yield from _gan_step(device, 40, "plain", "compile")


def _gan_step(device: str, batch: int, *variants: str) -> Iterator[Row]:
    command = [sys.executable, str(STEP), "--device", device, "--batch", str(batch)]
    done = subprocess.run(
        [*command, "--repeats", "3", "--variants", *variants], capture_output=True, text=True
    )
    for line in done.stdout.splitlines():
        yield [line]
    if done.returncode:
        yield ["gan_step.py failed", done.stderr[-1500:], "WRONG"]


def memory(device: str) -> Iterator[Row]:
    """Six networks of `gan-hard` of the paper's size one after the other, as in a warm process."""
    yield ["network", "allocated", "reserved", "peak", "MiB; the first two after empty_cache"]
    with as_in_the_search(threads=1), tf32(False):
        for number in range(6):
            cells: Row = [f"{number}: {_hard_steps(number, device)}"]
            gc.collect()
            if device.startswith("cuda"):
                cells += _used(device)
                torch.cuda.empty_cache()
                cells += _used(device)[:2]
                torch.cuda.reset_peak_memory_stats(device)
            yield cells


def _hard_steps(number: int, device: str) -> str:
    """Train a random network of the space a little; its size, and what its steps cost."""
    space, options = gan_hard_space(), HARD if device.startswith("cuda") else TRIED_OUT
    rng = random.Random(number)
    architecture = tuple(rng.randrange(len(variable.options)) for variable in space)
    torch.manual_seed(number)
    adversaries = Adversaries(build_gan(space.decode(architecture), HARD.sizes()), options)
    adversaries.move(device)
    size = sum(p.numel() for p in adversaries.networks.parameters())
    real = torch.rand(options.batch_size, 3, 32, 32, device=device) * 2 - 1
    latents = torch.randn(options.generator_batch_size, HARD.latent, device=device)
    first = latents[: len(real)]
    discriminator = timed_ms(lambda: adversaries.discriminator_step(real, first), device, 5)
    generator = timed_ms(lambda: adversaries.generator_step(latents), device, 5)
    return f"{size / 1e6:.1f} M, D {discriminator:.1f} ms, G {generator:.1f} ms"


def _used(device: str) -> list[str]:
    counts = (
        torch.cuda.memory_allocated(device),
        torch.cuda.memory_reserved(device),
        torch.cuda.max_memory_allocated(device),
    )
    return [f"{count / 2**20:.0f}" for count in counts]


def scores(device: str) -> Iterator[Row]:
    """Images a second: generated by the paper's network, and measured by fd-lite0."""
    space = gan_hard_space()
    with as_in_the_search(threads=1), torch.no_grad():
        architecture = tuple(0 for _ in space)
        generator = build_gan(space.decode(architecture), HARD.sizes()).generator.eval().to(device)
        count = 5000 if device.startswith("cuda") else 50

        def generated() -> list[Tensor]:
            return list(generate(generator, HARD.latent, count, seed=1, device=device))

        images = generated()
        drawn_ms = timed_ms(generated, device, 1)
        yield ["generated", f"{count / drawn_ms * 1000:,.0f} images/s"]
        try:
            judge = Lite0(device)
        except ExtractorError as error:
            yield ["fd-lite0", str(error)]
            return
        seen_ms = timed_ms(lambda: [judge.features(chunk) for chunk in images], device, 1)
        yield ["measured by fd-lite0", f"{count / seen_ms * 1000:,.0f} images/s"]
