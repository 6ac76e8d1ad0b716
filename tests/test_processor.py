"""Instruction sets: what is recorded of them, said of them, and refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbtnas import processor
from pbtnas.child_python import python_command, python_environment
from pbtnas.config import Config, RunConfig, SearchConfig, TaskConfig, to_json
from pbtnas.engine.coordinator import coordinate
from pbtnas.engine.evaluation import evaluate
from pbtnas.engine.signals import StopRequest
from pbtnas.engine.worker import training_process
from pbtnas.errors import ExitCode
from pbtnas.processor import (
    Processor,
    UnfitProcessor,
    check_pinned,
    check_possible,
    pin,
    remark,
    this_processor,
)
from pbtnas.store.run_directory import create, space_digest
from pbtnas.tasks.loading import load_task

OLD = {"model name": "Old CPU", "flags": "fpu sse sse2 avx2 fma"}
ELSEWHERE = Processor("Other CPU", "AVX1024")
PINNED = Config(
    TaskConfig("digits"),
    SearchConfig(population=2, generations=1, epochs=1),
    RunConfig(cpu_capability="avx2"),
)
has_avx2 = pytest.mark.skipif(
    "avx2" not in Path("/proc/cpuinfo").read_text().split(), reason="a processor without AVX2"
)


def test_a_processor_that_cannot_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch believes ATEN_CPU_CAPABILITY and would die of an illegal instruction."""
    monkeypatch.setattr(processor, "_cpuinfo", lambda: OLD)
    check_possible("avx2")

    with pytest.raises(UnfitProcessor, match=r"is avx512: .*\(Old CPU\) lacks avx512bw") as raised:
        check_possible("avx512")
    assert raised.value.exit_code == ExitCode.USAGE


PIN = """
from pbtnas.processor import check_pinned, pin, this_processor
pin("avx2")
check_pinned("avx2")
print(this_processor().cpu_capability)
"""


@has_avx2
def test_a_pin_wins_over_the_environment() -> None:
    """It takes effect in torch, whatever was set before; numpy's BLAS and the rest are told too."""
    made = subprocess.run(
        python_command("-c", PIN),
        env=python_environment({"ATEN_CPU_CAPABILITY": "default"}),
        check=True,
        capture_output=True,
        text=True,
    )

    assert made.stdout == "AVX2\n"


def test_a_pin_that_comes_too_late_is_refused() -> None:
    """Libraries that are loaded have chosen; the sentence says how to start the process."""
    assert "torch" in sys.modules
    pin("default")

    with pytest.raises(UnfitProcessor, match=r"loaded already: .* ATEN_CPU_CAPABILITY=avx2 "):
        pin("avx2")


def _coordinate(root: Path) -> object:
    task = load_task("digits", {})
    return coordinate(root, PINNED, task, scratch=root, stop=StopRequest(()))


def _evaluate(root: Path) -> object:
    task = load_task("digits", {})
    about = {"hash": "sha256", "space": space_digest(task.space)}
    create(root, to_json(PINNED), about=about)
    return evaluate(root, task, device="cpu", scratch=root)


@has_avx2
@pytest.mark.parametrize("compute", [_coordinate, _evaluate])
def test_who_is_not_pinned_as_the_run_computes_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compute: Callable[[Path], object]
) -> None:
    """Also where Python code, and not the command line, starts it."""
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")

    with pytest.raises(UnfitProcessor, match="run.cpu_capability is avx2, and "):
        compute(tmp_path / "run")


def test_a_worker_that_cannot_be_pinned_claims_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts no training process, and ends with a sentence."""
    monkeypatch.setattr(processor, "_cpuinfo", lambda: {"model name": "Arm", "flags": ""})

    with pytest.raises(UnfitProcessor, match=r"\(Arm\) lacks avx2, fma"):
        training_process(tmp_path, "w", tmp_path / "log", [PINNED], "cpu", tmp_path, None)


def test_a_training_process_is_told_the_pin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its libraries read the environment; one of a run that is not pinned is left as it is."""
    monkeypatch.setattr(processor, "_cpuinfo", lambda: OLD)

    def environment(config: Config) -> dict[str, str]:
        made: Any = training_process(
            tmp_path, "w", tmp_path / "log", [config], "cpu", tmp_path, None
        )
        return dict(made._environment)

    pinned, free = environment(PINNED), environment(replace(PINNED, run=RunConfig()))
    assert {n: pinned[n] for n in pinned.keys() - free.keys()} == processor.variables_of("avx2")


def test_other_instructions_than_the_runs_are_one_sentence() -> None:
    """Or another maker's processor.  Not where the run is pinned, nor where it does not say what it
    was started with."""
    here = this_processor()
    said = remark(ELSEWHERE, "default")
    other = "Intel Xeon" if here.maker == "AMD" else "AMD EPYC"

    assert "the last bits may differ" in said and "\n" not in said
    assert "(Other CPU)" in said and f"here are {here.cpu_capability}" in said
    assert remark(replace(here, processor=other), "default"), "the same instructions, other kernels"
    assert remark(here, "default") == remark(None, "default") == remark(ELSEWHERE, "avx512") == ""
    check_pinned("default")
