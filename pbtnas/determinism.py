"""What makes equal work give equal bits: seeds, threads, deterministic kernels."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_everything(seed: int, device: str) -> None:
    """The global generators, for libraries that draw from them; ours are passed in."""
    # What torch.manual_seed does, but for the device at hand: for each kind of GPU that is not
    # there, it formats a stack trace; together as long as reading a small checkpoint.
    torch.default_generator.manual_seed(seed)
    if device.startswith("cuda"):
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002


def refuse_nondeterminism() -> None:
    """Make an operation without a deterministic kernel an error, for the rest of the process."""
    # What use_deterministic_algorithms(True) does, without the seconds of importing a compiler.
    torch.set_deterministic_debug_mode("error")


@contextmanager
def as_in_the_search(threads: int) -> Iterator[None]:
    """Threads and determinism of the training processes, for work outside of them."""
    # cuBLAS reads it when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(threads)
    refuse_nondeterminism()
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
