"""Whether a device computes, found out before jobs are entrusted to it.

A torch without CUDA, a driver that is too old, a GPU that fell off the bus or that somebody else
has filled: each would else fail one job after the other, and count against the members.
"""

from __future__ import annotations

import os

import torch

ROOM = 256 << 20  # bytes; hardly a job can do with less
_SIDE = 256  # of the matrices


class UnfitDevice(Exception):
    """A device that does not compute; one sentence with what torch said."""


def check_computes(device: str) -> None:
    """Raise `UnfitDevice` unless the device has some memory left and multiplies as the CPU does."""
    if device == "cpu":
        return
    a, b = torch.randn(2, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    try:
        room = torch.empty(ROOM, dtype=torch.uint8, device=device)
        found = (a.to(device) @ b.to(device)).cpu()
        torch.cuda.synchronize(device)
        del room
        torch.cuda.empty_cache()
    except (RuntimeError, AssertionError) as error:  # the latter where torch is without CUDA
        said = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise UnfitDevice(f"{device}{_renumbered()} cannot be used: torch says: {said}") from error
    # Sums of 256 products of about 1: even with TF32 they are right to some hundredths.
    error_found = (found - a @ b).abs().max().item()
    if not error_found < 0.5:
        raise UnfitDevice(
            f"{device}{_renumbered()} cannot be used: a product of matrices is off by {error_found}"
        )


def _renumbered() -> str:
    """What makes the number of a GPU another than `nvidia-smi` shows."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if visible is None else f" (with CUDA_VISIBLE_DEVICES={visible})"
