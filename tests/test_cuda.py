"""Whose fault an error of CUDA is decides whether it counts against a member."""

from __future__ import annotations

import pytest
import torch

from pbtnas.cuda import failure_of

_MORE = "\nCUDA kernel errors might be asynchronously reported at some other API call."


def of_cuda(words: str, number: int | None) -> RuntimeError:
    """As torch raises it: since 2.8 with a number, before without."""
    error = RuntimeError(words + _MORE)
    if number is not None:
        error.error_code = number  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize(
    ("number", "words", "kind"),
    [
        (1, "invalid argument", "error"),
        (700, "an illegal memory access was encountered", "error"),
        (719, "unspecified launch failure", "error"),
        (2, "out of memory", "oom"),
        (100, "no CUDA-capable device is detected", "infra"),
        (214, "uncorrectable ECC error encountered", "infra"),
        (999, "unknown error", "infra"),
    ],
)
def test_what_kernels_cause_is_the_jobs_fault_and_all_else_the_machines(
    numbered: bool, number: int, words: str, kind: str
) -> None:
    """By CUDA's number where torch tells it, else by CUDA's words."""
    error = of_cuda(f"CUDA error: {words}", number if numbered else None)

    assert failure_of(error) == (kind, f"CUDA error: {words}")


def test_the_number_is_believed_rather_than_the_words() -> None:
    """Words change between versions of CUDA."""
    assert failure_of(of_cuda("CUDA error: another wording", 700)) == (
        "error",
        "CUDA error: another wording",
    )


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("CUDA driver error: invalid argument", "error"),
        ("CUDA driver error: unknown error", "infra"),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm()`", "error"),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "oom"),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", "oom"),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", "error"),
    ],
)
def test_the_driver_and_libraries_report_too(words: str, kind: str) -> None:
    """What a library reports counts: uncounted, it might be tried for ever."""
    assert failure_of(of_cuda(words, None)) == (kind, words)


def test_the_reason_for_an_error_is_found() -> None:
    """A task may catch an error of CUDA and raise its own."""
    outer = ValueError("the batch is broken")
    outer.__cause__ = of_cuda("CUDA error: device-side assert triggered", 710)

    assert failure_of(outer) == ("error", "CUDA error: device-side assert triggered")


def test_lack_of_memory_is_a_class_of_its_own() -> None:
    """As torch's allocator reports it."""
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nand more")

    assert failure_of(error) == ("oom", "CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_other_errors_are_not_cudas() -> None:
    """A RuntimeError that only speaks of CUDA is the task's own."""
    assert failure_of(RuntimeError("no CUDA error: all is well")) is None
    assert failure_of(ValueError("CUDA error: not one of torch's")) is None
