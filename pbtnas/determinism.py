"""Settings by which equal work gives equal bits: seeds, threads, kernels, full float32."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What libraries read when they are loaded."""

_DETERMINISTIC: Any = torch.utils.deterministic  # has a property, which its type does not know


def seed_everything(seed: int, device: str) -> None:
    """Seed the global generators, for libraries that draw from them; ours are passed in."""
    # What torch.manual_seed does, but for the device at hand: for each kind of GPU that is not
    # there, it formats a stack trace; together as long as reading a small checkpoint.
    torch.default_generator.manual_seed(seed)
    if device.startswith("cuda") and torch.cuda.device_count():
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002


def global_rngs(device: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The states of the global generators: tensors by name of the generator, and JSON."""
    # The legacy numpy generator is what a task's libraries draw from when they draw globally.
    _, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    tensors = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.array(keys))}
    if device.startswith("cuda"):
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    version, internal, gauss_next = random.getstate()
    python = {
        "version": version,
        "internal": list(internal),
        "gauss_next": gauss_next,
        "numpy": [int(position), int(has_gauss), float(gauss)],
    }
    return tensors, python


def restore_global_rngs(
    tensors: Mapping[str, Tensor], python: Mapping[str, Any], device: str
) -> None:
    """Set the global generators to what `global_rngs` gave, perhaps on another device."""
    random.setstate((python["version"], tuple(python["internal"]), python["gauss_next"]))
    np.random.set_state(("MT19937", tensors["numpy"].numpy(), *python["numpy"]))  # noqa: NPY002
    torch.set_rng_state(tensors["torch"].clone())
    if "cuda" in tensors and device.startswith("cuda"):
        torch.cuda.set_rng_state(tensors["cuda"].clone(), device)


def use_threads(threads: int) -> None:
    """Compute with so many threads from now on: torch, numpy and whatever else is loaded."""
    # numpy's BLAS does not listen to torch, and it read the environment when it was imported.
    _libraries(len(sys.modules)).limit(limits=threads)
    torch.set_num_threads(threads)


def refuse_nondeterminism() -> None:
    """Make an operation without a deterministic kernel an error, for the rest of the process."""
    # What use_deterministic_algorithms(True) does, without the seconds of importing a compiler.
    torch.set_deterministic_debug_mode("error")
    # With it, torch fills every new tensor with NaN before anything is written there.
    _DETERMINISTIC.fill_uninitialized_memory = False


def full_float32() -> None:
    """Multiply float32 as such on GPUs: by default, PyTorch convolves with TF32 there."""
    _allow_tf32(convolutions=False, products=False)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow TF32 on GPUs since Ampere, whose factors have 10 bits of mantissa, or forbid it.

    For convolutions and products of matrices alike.  It is deterministic, and faster.
    """
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    _allow_tf32(convolutions=allowed, products=allowed)
    try:
        yield
    finally:
        _allow_tf32(convolutions=before[0], products=before[1])


def _allow_tf32(*, convolutions: bool, products: bool) -> None:
    torch.backends.cudnn.allow_tf32 = convolutions
    # Not `set_float32_matmul_precision`, which changes what some CPUs do, too.
    torch.backends.cuda.matmul.allow_tf32 = products


@contextmanager
def as_in_the_search(threads: int) -> Iterator[None]:
    """Use threads, precision and determinism of a job, whatever this process was started with.

    Everything that can enter a result is computed under it, unless a training process does so.
    """
    # cuBLAS reads it when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    filled = _DETERMINISTIC.fill_uninitialized_memory
    try:
        limited = _libraries(len(sys.modules)).limit(limits=threads)
        with limited, _thread_variables(threads), tf32(False):
            torch.set_num_threads(threads)
            refuse_nondeterminism()
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        _DETERMINISTIC.fill_uninitialized_memory = filled


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """What computes with threads; looked for again when there are more `modules` than before."""
    return ThreadpoolController()


@contextmanager
def _thread_variables(threads: int) -> Iterator[None]:
    """Tell those libraries that are loaded meanwhile, which read it when they are."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
