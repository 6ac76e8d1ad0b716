"""The arithmetic of a job does not depend on what was switched on before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from pbtnas.determinism import as_in_the_search, full_float32, tf32, use_threads


def allowed() -> tuple[bool, bool]:
    """Whether convolutions and products of matrices may use TF32."""
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.fixture(autouse=True)
def as_torch_has_it(arithmetic_as_it_was: None) -> None:
    """TF32 for convolutions only, and new tensors filled, whatever ran before."""
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = False
    filled: Any = torch.utils.deterministic
    filled.fill_uninitialized_memory = True


def test_float32_is_full_unless_somebody_says_otherwise() -> None:
    """Also after what another run's task has left behind."""
    torch.backends.cuda.matmul.allow_tf32 = True

    full_float32()

    assert allowed() == (False, False)


def test_what_is_allowed_for_a_while_is_over_after_it() -> None:
    """However it ends, and one within the other."""
    with pytest.raises(ZeroDivisionError), tf32(True):
        assert allowed() == (True, True)
        with tf32(False):
            assert allowed() == (False, False)
        raise ZeroDivisionError

    assert allowed() == (True, False)


def test_work_outside_of_a_search_is_done_as_in_it() -> None:
    """Full float32, threads, and no operation that may give other bits; all undone."""
    filled: Any = torch.utils.deterministic
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()

    with as_in_the_search(threads=3):
        assert allowed() == (False, False)
        assert torch.get_num_threads() == 3
        assert not filled.fill_uninitialized_memory
        with pytest.raises(RuntimeError, match="put_ does not have a deterministic"):
            torch.zeros(4).put_(torch.tensor([1]), torch.tensor([1.0]))

    assert allowed() == (True, False)
    assert before == (torch.get_num_threads(), torch.get_deterministic_debug_mode())
    assert filled.fill_uninitialized_memory


def test_numpy_has_as_many_threads_as_torch() -> None:
    """Its BLAS does not listen to torch; a product may be made with it."""
    np.linalg.inv(np.eye(3))  # so that it is loaded
    before = [library["num_threads"] for library in threadpool_info()]

    with as_in_the_search(threads=3):
        assert {library["num_threads"] for library in threadpool_info()} == {3}

    assert [library["num_threads"] for library in threadpool_info()] == before


def test_a_training_process_computes_with_as_many_threads_as_its_job_says() -> None:
    """From one job to the next, and numpy as torch: it is not started anew for that."""
    np.linalg.inv(np.eye(3))  # so that it is loaded

    with as_in_the_search(threads=1):  # which puts back what was there
        for threads in (3, 2):
            use_threads(threads)
            assert torch.get_num_threads() == threads
            assert {library["num_threads"] for library in threadpool_info()} == {threads}
