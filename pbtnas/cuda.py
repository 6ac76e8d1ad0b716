"""Whose fault an error of CUDA is: the job's, or the machine's.

After most of these the CUDA context is unusable, so a training process ends with them; the next
one tries the device out before it takes a job.
"""

from __future__ import annotations

import gc
import os
import re
from typing import Literal

import torch

from pbtnas.errors import ExitCode, PbtnasError

_OF_THE_JOB = {
    1: "invalid argument",
    9: "invalid configuration argument",
    700: "an illegal memory access was encountered",
    701: "too many resources requested for launch",
    710: "device-side assert triggered",
    715: "an illegal instruction was encountered",
    716: "misaligned address",
    717: "operation not supported on global/shared address space",
    718: "invalid program counter",
    719: "unspecified launch failure",
}
"""What kernels can cause by themselves: the number in `cudaError`, and how CUDA puts it."""

_MEMORY = {2: "out of memory"}

_ASKED = re.compile(r"Tried to allocate ([\d.]+) (bytes|[KMG]iB)")
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_CONTEXTS = 1 << 30  # bytes; what CUDA takes for processes that hold no tensors, this one included

_BEGINNINGS = ("CUDA error: ", "CUDA driver error: ", "cuDNN error: ", "cusolver error: ")
_LIBRARIES = ("CUBLAS_", "CUDNN_", "CUSOLVER_", "CUSPARSE_")
_LEAST = 64 << 20  # bytes; the least that cuBLAS and cuDNN take for themselves
_ALLOCATION = "ALLOC"  # ..._ALLOC_FAILED, CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED


def failure_of(error: BaseException) -> tuple[Literal["error", "infra", "oom"], str] | None:
    """The class of an attempt that an error of CUDA ended, and CUDA's own words for it.

    The error may be the reason for the one given.  None if CUDA has nothing to do with it.

    What a library on top of CUDA reports may be anybody's fault.  It counts as the job's: a
    broken device is found by the probe before the next job, but an uncounted error would be
    tried for ever.
    """
    reason: BaseException | None = error
    while reason is not None and not _of_cuda(reason):
        reason = reason.__cause__ or reason.__context__
    if reason is None:
        return None
    words = (str(reason).strip().splitlines() or ["CUDA out of memory"])[0]
    what = words.partition(": ")[2]
    number = getattr(reason, "error_code", None)  # torch before 2.8 has only the words
    if isinstance(reason, torch.cuda.OutOfMemoryError) or _is(number, what, _MEMORY):
        return "oom", words
    if what.startswith(_LIBRARIES):
        return ("oom" if _ALLOCATION in what.split()[0] or _is_full() else "error"), words
    if _is(number, what, _OF_THE_JOB):
        return "error", words
    return "infra", words


def _is_full() -> bool:
    """Whether a library cannot have got memory: cuDNN then says only "internal error"."""
    initialized: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return initialized and torch.cuda.mem_get_info()[0] < _LEAST


def make_current(device: str) -> None:
    """Let "cuda" without a number be this GPU from now on, for whatever a task computes there."""
    if torch.device(device).type == "cuda" and torch.device(device).index is not None:
        torch.cuda.set_device(device)


def taken_by_others(words: str, device: str) -> bool:
    """Whether memory ran out because other processes on the GPU hold what would have sufficed.

    Args:
        words: CUDA's words for it, as `failure_of` gives them.
        device: the device of the job, of which this process still holds what it had then.
    """
    if not device.startswith("cuda"):
        return False
    free, total = torch.cuda.mem_get_info(device)
    theirs = total - free - torch.cuda.memory_reserved(device) - _CONTEXTS
    asked = _ASKED.search(words)
    wanted = float(asked[1]) * _UNITS[asked[2]] if asked else 0
    return theirs > 0 and wanted <= free + theirs


def give_back_memory(device: str) -> None:
    """Let other processes have what torch keeps of a GPU after a job."""
    if device.startswith("cuda"):
        gc.collect()  # networks hold themselves in circles
        torch.cuda.empty_cache()


def _of_cuda(error: BaseException) -> bool:
    return isinstance(error, torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and str(error).startswith(_BEGINNINGS)
    )


def _is(number: int | None, words: str, among: dict[int, str]) -> bool:
    return number in among if number is not None else words in among.values()


ROOM = 256 << 20  # bytes; hardly a job can do with less
_SIDE = 256  # of the matrices


class UnfitDevice(PbtnasError):
    """A device that does not compute; one sentence with what torch said."""

    exit_code = ExitCode.USAGE


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
