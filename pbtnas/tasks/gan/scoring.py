"""Statistics of real and of generated images, with which the task `gan` scores a generator.

Shapes: B images of a batch, S pixels a side, L length of a latent.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pbtnas.data.grids import grid_png
from pbtnas.data.images import ImageSet, normalise, pixel_digest, pixels
from pbtnas.metrics.extractors import Extractor
from pbtnas.metrics.statistics import Statistics, StatisticsError, measure, parse_statistics
from pbtnas.tasks.base import Preparation

log = logging.getLogger("pbtnas")

GRID_IMAGES = 100

CHUNK = 100  # images at once: GRID_IMAGES at least
_COLUMNS = 10  # of the grid


def first_images(images: ImageSet, count: int | None) -> ImageSet:
    """The first `count` images as a set of their own, with its own digest; None means all."""
    if count is None or count >= len(images):
        return images
    chosen = images.images[:count]
    name = f"{images.name}-first-{count}"
    return replace(images, name=name, images=chosen, labels=None, digest=pixel_digest(chosen))


def reference(
    run: Preparation,
    images: ImageSet,
    extractor: Callable[[str], Extractor],
    *,
    file: Path | None,
    cache: Path,
) -> Statistics:
    """The statistics of the real images, the same for all of a run: the first to publish wins.

    Args:
        run: publishes them.
        images: the real images.
        extractor: function that makes the extractor for a device.
        file: file to read instead of measuring, if given.
        cache: directory of this machine in which what was measured is kept for other runs.

    Raises `StatisticsError` when a file is damaged, or of another extractor or other images.
    """
    judge = extractor("cpu")
    name = file.name if file else f"{images.name}.{judge.name}.npz"

    def usable(data: bytes, shown: str) -> Statistics:
        statistics = parse_statistics(data, name)
        _check(statistics, judge, images, shown)
        return statistics

    data = run.lookup(name)
    if data is None:
        data = _read(file) if file else _measured(images, extractor, cache)
        usable(data, str(file or name))  # what is published once stays
        data = run.publish(name, data)
    return usable(data, f"{name}, as published in this run,")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise StatisticsError(f"task.statistics: {file} cannot be read: {error}") from error


def _measured(images: ImageSet, extractor: Callable[[str], Extractor], cache: Path) -> bytes:
    """Measure the images in one pass, or read the cache if this machine did so before.

    On a GPU, where there is one, because a CPU takes an hour.  The bits depend on that: the cache
    keeps what was measured differently apart, and a run records which product it was started with.
    """
    judge = extractor("cpu")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        computed = torch.cuda.get_device_name()
    else:
        computed = f"cpu, {torch.get_num_threads()} threads"
    measured = f"{images.name}-{images.digest[:8]}.{judge.name}-{judge.digest[:8]}"
    kept = cache / f"{measured}.{re.sub(r'[^A-Za-z0-9]+', '-', computed)}.npz"
    try:
        data = kept.read_bytes()
        _check(parse_statistics(data, kept.name), judge, images, str(kept))
        return data
    except (OSError, StatisticsError) as error:
        log.debug("measuring %s: %s", images.name, error)  # nothing is kept, or it is damaged
    log.info("measuring %s on %s", images.name, computed)
    chunks = (
        torch.from_numpy(images.images[start : start + CHUNK]).to(device)
        for start in range(0, len(images), CHUNK)
    )
    found = measure(extractor(device), chunks, len(images), data_digest=images.digest)
    data = replace(found.statistics, measured_on=computed).to_bytes()
    partial = cache / f".{kept.name}.{uuid.uuid4().hex}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(kept)
    except OSError as error:
        log.warning("%s could not be written, so the next run measures again: %s", kept, error)
    finally:
        partial.unlink(missing_ok=True)
    return data


def _check(statistics: Statistics, judge: Extractor, images: ImageSet, shown: str) -> None:
    """Raise `StatisticsError` unless distances to these statistics mean something."""
    mismatch = statistics.mismatch(judge.name, judge.digest, judge.resize)
    if mismatch:
        raise StatisticsError(f"{shown} does not fit task.extractor: it was {mismatch}")
    if statistics.n not in (None, len(images)):
        raise StatisticsError(
            f"{shown} is of {statistics.n:,} images, but {images.name} has {len(images):,}"
        )
    says_which = statistics.extractor_digest is not None
    if says_which and statistics.data_digest != images.digest:
        raise StatisticsError(f"{shown} is of other images than {images.name}")


def generate(
    generator: nn.Module, latent: int, count: int, *, seed: int, device: str
) -> Iterator[Tensor]:
    """`count` images as batches, float32 [B, 3, S, S] in [0, 255] on the device.

    Args:
        generator: network in evaluation mode, without gradients; turns [B, L] into images in
            [-1, 1].
        latent: L.
        count: how many images.
        seed: seed of the latents, which are the same on every device.
        device: device of the generator.
    """
    chance = torch.Generator().manual_seed(seed)
    for start in range(0, count, CHUNK):
        latents = torch.randn(min(CHUNK, count - start), latent, generator=chance)
        yield pixels(generator(latents.to(device)))


def picture(images: Tensor) -> bytes:
    """A PNG of 10 rows of 10 images, from [B >= 100, 3, S, S] in [0, 255]."""
    return grid_png(normalise(images[:GRID_IMAGES]), columns=_COLUMNS)
