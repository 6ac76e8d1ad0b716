"""Statistics of real and of generated images, with which the task `gan` scores a generator.

Shapes: B images of a batch, S pixels a side, L length of a latent.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pbtnas.data.batches import normalise, pixels, tensor_of
from pbtnas.data.grids import grid_png
from pbtnas.data.images import ImageSet
from pbtnas.metrics.extractors import Extractor
from pbtnas.metrics.statistics import Statistics, StatisticsError, measure
from pbtnas.metrics.statistics_files import (
    MADE_BY,
    Made,
    UnsaidError,
    check_covariance,
    parse_statistics,
)
from pbtnas.tasks.base import Preparation
from pbtnas.tasks.gan.images import same_images

log = logging.getLogger("pbtnas")

GRID_IMAGES = 100
PREVIEW_IMAGES, PREVIEW_SIDE = 16, 64  # larger images would make no small picture

CHUNK = 100  # images at once: GRID_IMAGES at least
_COLUMNS = 10  # of the grid
_TOLD_BY_NAME = ("fid_stats_cifar10_train.npz", "stl10_train_unlabeled_fid_stats_48.npz")


def first_images(images: ImageSet, count: int | None) -> ImageSet:
    """The first `count` images as a set of their own, with its own digest; None means all."""
    if count is None or count >= len(images):
        return images
    chosen = images.images[:count]
    name = f"{images.name}-first-{count}"
    return replace(images, name=name, images=chosen, labels=None)


@dataclass(frozen=True)
class Given:
    """A file with statistics of the real images, given by the user.

    Args:
        file: its path.
        by: the program that made it, a key of `MADE_BY`; None where the file says how.
    """

    file: Path
    by: str | None

    @property
    def told(self) -> Made | None:
        """How it was made, as far as that is told."""
        return None if self.by is None else MADE_BY[self.by]


def reference(
    run: Preparation,
    images: ImageSet,
    extractor: Callable[[str], Extractor],
    *,
    given: Given | None,
    cache: Path,
    trained: ImageSet | None = None,
) -> Statistics:
    """The statistics of the real images, the same for all of a run: the first to publish wins.

    Args:
        run: publishes them.
        images: the real images that are measured.
        extractor: function that makes the extractor for a device.
        given: file to read instead of measuring, if there is one.
        cache: directory of this machine in which what was measured is kept for other runs.
        trained: the images that all machines train with, if they may have different ones: of
            which pixels they are is published too.  Runs begun before that was done lack it.

    Raises `StatisticsError` when a file is damaged, or of another extractor or other images, and
    `DataError` when the run trains with other images.
    """
    judge = extractor("cpu")
    name = given.file.name if given else f"{images.name}.{judge.name}.npz"
    data = run.lookup(name)
    if trained:
        same_images(run, trained, publish=False)
    if data is None:
        # What is published once stays, so it is checked before.
        if given:
            data = read_given(given, images, judge)
        else:
            data = _measured(images, extractor, cache)
            _check(parse_statistics(data, name), judge, images, name)
        if trained:
            same_images(run, trained, publish=True)
        data = run.publish(name, data)
    shown = f"{name}, as published in this run,"
    try:
        statistics = parse_statistics(data, shown, given.told if given else None)
    except UnsaidError:  # in a run begun before `task.statistics_by`, when names told it
        by = "tensorflow" if name in _TOLD_BY_NAME else "pytorch-fid"
        statistics = parse_statistics(data, shown, MADE_BY[by])
    _check(statistics, judge, images, shown)
    return statistics


def read_given(given: Given, images: ImageSet, judge: Extractor) -> bytes:
    """The content of a file of statistics, if it is of these images and this extractor.

    Raises `StatisticsError`.
    """
    shown = f"task.statistics: {given.file}"
    try:
        data = given.file.read_bytes()
    except OSError as error:
        raise StatisticsError(f"{shown} cannot be read: {error}") from error
    try:
        statistics = parse_statistics(data, shown, given.told)
    except UnsaidError as error:
        raise StatisticsError(
            f"{error}: set task.statistics_by to {' or '.join(MADE_BY)}"
        ) from error
    check_covariance(statistics.sigma, shown)
    _check(statistics, judge, images, shown)
    return data


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
        tensor_of(images.images[start : start + CHUNK]).to(device)
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


def small_picture(images: Tensor) -> bytes:
    """A PNG of 2 rows of 8 images, from [B >= 16, 3, S, S] in [0, 255]."""
    return grid_png(normalise(images[:PREVIEW_IMAGES]), columns=8)
