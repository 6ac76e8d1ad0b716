"""The real images of the task `gan`: where they come from, and whether they can be trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pbtnas.data import cifar10, folder, stl10
from pbtnas.data.decoding import Rules
from pbtnas.data.images import DataError, ImageSet, data_directory
from pbtnas.data.looking import content_fault
from pbtnas.errors import MachineTrouble
from pbtnas.tasks.base import Preparation, TaskError
from pbtnas.tasks.gan.options import SEARCHABLE, GanOptions
from pbtnas.tasks.searched_options import most

PIXELS = "images.sha256"
"""The product that says of which pixels a run is."""


def load_images(options: GanOptions) -> ImageSet:
    """The images that the options name.  Raises `DataError`."""
    if options.data == "own":
        raise DataError(
            "task.data: own is for a class with a load_images of its own; for a folder of images "
            "set it to folder, and task.path"
        )
    if options.data == "folder":
        assert options.path is not None, "the options were checked"
        rules = Rules(options.side, options.greyscale, options.alpha)
        return folder.load(data_directory(), Path(options.path).expanduser(), rules)
    load = {"cifar10": cifar10.load, "stl10": stl10.load}[options.data]
    return load(data_directory(), side=options.side)


def looked_at(load: Callable[[], Any], options: GanOptions, place: str | None) -> ImageSet:
    """What `load` gives, if a search with these options can train on it.

    Args:
        load: a `load_images`.
        options: options of the task.
        place: file and line of the user's `load_images`; None for that of the task.

    Raises `TaskError` with one sentence, and `MachineTrouble` when a disk fails.
    """
    try:
        images = load()
    except MachineTrouble:
        raise
    except DataError as error:
        raise TaskError(f"{_source(options, place, whole=False)}{error}") from error
    fault = _fault(images, options)
    if fault:
        raise TaskError(f"{source(options, place)}{fault}")
    found: ImageSet = images
    return found


def source(options: GanOptions, place: str | None) -> str:
    """Where the images come from, as a sentence about them begins."""
    return _source(options, place, whole=True)


def _source(options: GanOptions, place: str | None, *, whole: bool) -> str:
    if place is not None:
        return f"{place}: "
    if options.data != "folder":
        return ""
    return f"task.path: {options.path}: " if whole else "task.path: "


def _fault(images: Any, options: GanOptions) -> str | None:
    """Why a search with these options cannot train on what `load_images` gives; None if it can."""
    if not isinstance(images, ImageSet):
        given = "nothing" if images is None else f"a {type(images).__name__}"
        return f"load_images() gives {given}, expected a pbtnas.data.images.ImageSet"
    side = images.images.shape[-1]
    if side != options.side:
        return (
            f"the images of {images.name} are {side}x{side} pixels, expected "
            f"{options.side}x{options.side}, which task.side says"
        )
    batch = most(options, "batch_size", SEARCHABLE)
    least = max(batch, 2)  # one image has no covariance
    if len(images) < least:
        return (
            f"{images.name} has {len(images)} images, expected at least {least}, for "
            f"task.batch_size {'is' if batch == options.batch_size else 'may rise to'} {batch}"
        )
    fault = content_fault(images.images)
    return f"the images of {images.name}: {fault}" if fault else None


def describe(images: ImageSet) -> str:
    """The images in words, with the digest of their pixels."""
    side = images.images.shape[-1]
    return f"{len(images):,} images of {side}x{side} pixels, SHA-256 {images.digest}"


def same_images(run: Preparation, images: ImageSet, *, publish: bool) -> None:
    """Raise `DataError` if the run is of other pixels; publish of which, if nobody has."""
    ours = describe(images)
    published = run.lookup(PIXELS)
    if published is None:
        if not publish:
            return
        published = run.publish(PIXELS, f"{ours}\n".encode())
    theirs = published.decode().strip()
    if theirs != ours:
        raise DataError(
            f"the run was started with other images: {theirs}; here are {ours}; give this machine "
            "the same files, or start a new run"
        )
