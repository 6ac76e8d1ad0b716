"""What a task may rely on in `prepare`, whichever process it is called in."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from pbtnas.tasks.checking.rehearsal import RehearsalProducts
from pbtnas.tasks.preparing import prepare
from tests.tasks.broken import GlobalNoiseTask, RandomProductTask, TinyTask


def seen(tmp_path: Path, threads: int) -> bytes:
    """What a task draws from the global generators."""
    run = RehearsalProducts(tmp_path)
    prepare(GlobalNoiseTask(), run, threads=threads)
    return run.products["noise"]


@pytest.mark.parametrize("threads", [1, 3])
def test_global_generators_begin_alike(tmp_path: Path, threads: int) -> None:
    """Whatever the process has drawn before, and for every run."""
    first = seen(tmp_path, threads)
    torch.rand(5), np.random.random(), random.random()  # noqa: NPY002

    assert seen(tmp_path, threads) == first


def test_threads_and_determinism_are_those_of_a_job(tmp_path: Path) -> None:
    """And what was there before is there again afterwards."""
    found = []

    class Looks(TinyTask):
        def prepare(self, run: object) -> None:
            found.append((torch.get_num_threads(), torch.get_deterministic_debug_mode()))

    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    prepare(Looks(), RehearsalProducts(tmp_path), threads=3)

    assert found == [(3, 2)]
    assert before == (torch.get_num_threads(), torch.get_deterministic_debug_mode())


def test_the_products_that_were_used_are_told(tmp_path: Path) -> None:
    """Published or found, by their SHA-256; not what nobody asked for."""
    run = RehearsalProducts(tmp_path, {"other": b"x"})
    made = prepare(RandomProductTask(), run, threads=1).products
    found = prepare(RandomProductTask(), run, threads=1).products

    assert made == found == {"token": hashlib.sha256(run.products["token"]).hexdigest()}


def test_a_unique_word_is_no_product(tmp_path: Path) -> None:
    """It differs from run to run, and so must not enter the fingerprint."""
    words = []

    class Named(TinyTask):
        def prepare(self, run: RehearsalProducts) -> None:
            words.append(run.unique("name"))

    run = RehearsalProducts(tmp_path)
    for _ in range(2):
        assert prepare(Named(), run, threads=1).products == {}
    prepare(Named(), RehearsalProducts(tmp_path), threads=1)

    assert words[0] == words[1] != words[2]
