"""Looks at the real images before a run starts, and keeps all machines to the same ones."""

from __future__ import annotations

from typing import Any

from pbtnas.data.images import DataError, ImageSet
from pbtnas.data.looking import content_fault
from pbtnas.tasks.base import Preparation
from pbtnas.tasks.gan.options import GanOptions

PIXELS = "images.sha256"
"""The product that says of which pixels a run is."""


def image_fault(images: Any, options: GanOptions) -> str | None:
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
    least = max(options.batch_size, 2)  # one image has no covariance
    if len(images) < least:
        return (
            f"{images.name} has {len(images)} images, expected at least {least}, for "
            f"task.batch_size is {options.batch_size}"
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
