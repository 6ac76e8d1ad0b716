"""Whose fault an error of CUDA is decides whether it counts against a member."""

from __future__ import annotations

import pytest
import torch

from pbtnas.cuda import failure_of, give_back_memory, make_current, taken_by_others
from pbtnas.engine.worker import _allocator

_MORE = "\nCUDA kernel errors might be asynchronously reported at some other API call."

GIB = 1 << 30


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


@pytest.mark.parametrize(("free", "kind"), [(2 << 20, "oom"), (1 << 30, "error")])
def test_an_internal_error_of_a_library_on_a_full_gpu_is_lack_of_memory(
    monkeypatch: pytest.MonkeyPatch, free: int, kind: str
) -> None:
    """As cuDNN 9.19 said it on an H100 with 2 MiB left: it has no word for lack of memory."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 80 * GIB))

    words = "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"
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


@pytest.mark.parametrize(
    ("asked", "free", "ours", "others_fault"),
    [
        ("Tried to allocate 20.00 GiB.", 5, 35, True),  # 39 are another process's
        ("Tried to allocate 262144.00 GiB.", 5, 35, False),  # nobody has so much
        ("Tried to allocate 20.00 GiB.", 5, 75, False),  # all of it is ours
        ("Tried to allocate 512.00 MiB.", 0, 79, False),  # the rest are contexts of CUDA
        ("", 0, 40, True),  # a library does not say how much it wanted
    ],
)
def test_memory_that_another_process_holds_is_the_machines_fault(
    monkeypatch: pytest.MonkeyPatch, asked: str, free: int, ours: int, others_fault: bool
) -> None:
    """A member is not held responsible for the neighbour of its worker, but for its own size."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: ours * GIB)

    assert taken_by_others(f"CUDA out of memory. {asked}", "cuda:0") is others_fault


def test_on_the_processor_nobody_else_has_the_memory_of_a_gpu() -> None:
    """A task that uses a GPU by itself is responsible for it."""
    assert not taken_by_others("CUDA out of memory.", "cpu")


def test_a_job_leaves_no_memory_of_the_gpu_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch keeps for itself, the other workers of the GPU could not have."""
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append("cache"))

    give_back_memory("cpu")
    assert not emptied
    give_back_memory("cuda:0")

    assert emptied == ["cache"]


def test_a_gpu_without_number_is_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reference statistics of the task gan, or a user's own model, belong on the worker's GPU."""
    chosen: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)

    for device in ("cpu", "cuda", "cuda:1"):
        make_current(device)

    assert chosen == ["cuda:1"]


def test_the_users_own_setting_of_the_allocator_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments grow on a GPU, unless the user has said how torch is to take memory."""
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    assert _allocator() == {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}

    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "max_split_size_mb:128")

    assert _allocator() == {}
