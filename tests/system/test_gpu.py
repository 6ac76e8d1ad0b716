"""What only a GPU can show: the tasks on it, resumed to the same bits, and a small run.

make test-gpu                           # on cuda:0
PBTNAS_TEST_DEVICE=cuda:1 make test-gpu
PBTNAS_TEST_DEVICE=cpu make test-gpu    # tries the tests themselves out
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pbtnas.cuda import UnfitDevice, check_computes
from pbtnas.determinism import as_in_the_search, seed_everything
from pbtnas.records import paths
from pbtnas.supernet.methods import METHODS
from pbtnas.tasks.base import Task
from pbtnas.tasks.checking.rehearsal import (
    Interrupted,
    Rehearsal,
    RehearsalProducts,
    copy_of,
    difference,
    evaluate,
    train,
)
from pbtnas.tasks.digits import DigitsOptions, DigitsTask
from pbtnas.tasks.drqv2.task import DrQV2Task
from pbtnas.tasks.weight_sharing import Cell64Task, SupernetTask
from pbtnas.tasks.weight_sharing.options import Cell64Options, SupernetOptions
from pbtnas.training import snapshots
from tests.models import test_digits_gradients as gradients
from tests.tasks import broken, test_drqv2, test_gan, test_methods, test_weight_sharing
from tests.tasks.contract import TaskContract, architectures

DEVICE = os.environ.get("PBTNAS_TEST_DEVICE", "cuda:0")
CUDA = DEVICE.startswith("cuda")
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("default"),  # drivers warn of what is not ours
]


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    """Computes as in a job; skips where there is no such device."""
    with as_in_the_search(threads=1):
        try:
            check_computes(DEVICE)
        except UnfitDevice as error:
            pytest.skip(f"{error}; PBTNAS_TEST_DEVICE names another")
        yield


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty data directory: no test sees or changes the user's."""
    monkeypatch.setenv("PBTNAS_DATA", str(tmp_path / "data"))


# -- the tasks -------------------------------------------------------------------------------------


class TestTinyOnDevice(TaskContract):
    """Dropout, which draws from the device's own random numbers."""

    device = DEVICE
    epochs = 2

    def make_task(self) -> Task:
        return broken.TinyTask()


def test_written_gradients_of_the_digits_have_the_bits_of_autograd() -> None:
    """Runs on GPUs, too, go on to the fingerprint of the time when autograd trained."""
    for architecture in gradients.architectures():
        gradients.check(architecture, DEVICE)


class TestDigitsOnDevice(TaskContract):
    """The built-in task."""

    device = DEVICE
    artifacts = frozenset({"grid.png"})

    def make_task(self) -> Task:
        return DigitsTask(DigitsOptions(images=300, final_images=300))


class TestGanOnDevice(TaskContract):
    """Everything searched, on ten tiny images."""

    device = DEVICE
    artifacts = test_gan.GanContract.artifacts

    def make_task(self) -> Task:
        return test_gan.TinyGan(test_gan.HARD)


class TestDrQV2OnDevice(TaskContract):
    """Real frames, of 16 pixels."""

    device = DEVICE
    epochs = 2
    artifacts = test_drqv2.VIDEOS

    def make_task(self) -> Task:
        pytest.importorskip("dm_control")
        return DrQV2Task(test_drqv2.PIXELS)


class TestCell64OnDevice(TaskContract):
    """A network of the space of 64 alone."""

    device = DEVICE

    def make_task(self) -> Task:
        return Cell64Task(Cell64Options(**test_weight_sharing.TINY))


class TestSupernetOnDevice(TaskContract):
    """All 64 with shared weights, scored together in every epoch and after the last steps."""

    device = DEVICE
    costs = frozenset()

    def make_task(self) -> Task:
        return SupernetTask(SupernetOptions(**test_weight_sharing.TINY, dense_rows=2))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_interrupted_goes_on_to_the_same_bits(method: str, tmp_path: Path) -> None:
    """Weights, what is learnt of the architecture and what is found, after leaving at a step."""
    task = test_methods.supernet(method, space="nb201", steps_per_epoch=3)
    seen = Rehearsal(tmp_path, seed=1, device=DEVICE)
    whole, left, again = (test_methods.trainee(task, seed) for seed in (5, 5, 6))
    train(whole, 2, seen)
    half = train(left, 2, replace(seen, stop_at=4))
    again.load(half.state)
    train(again, 2, seen, half)

    assert difference(copy_of(whole.state()), copy_of(again.state())) is None
    ours, theirs = (evaluate(each, seen) for each in (whole, again))
    assert (ours.score, ours.metrics) == (theirs.score, theirs.metrics)
    mixture = whole.learning.mixture().detach()
    assert float((mixture.sum(dim=1) - 1).abs().max()) <= 1e-6 and float(mixture.min()) >= 0


# -- the engine ------------------------------------------------------------------------------------


def test_a_snapshot_continues_to_the_same_bits(tmp_path: Path) -> None:
    """Through a file, into another member, whatever the device's random numbers did meanwhile."""
    task = broken.TinyTask()
    task.prepare(RehearsalProducts(tmp_path))
    architecture = architectures(task.space, 1)[0]
    seed_everything(1, DEVICE)
    whole = task.create(architecture, 1)
    whole.train(2, Rehearsal(tmp_path, device=DEVICE))

    seed_everything(1, DEVICE)
    half = task.create(architecture, 1)
    with pytest.raises(Interrupted):
        half.train(2, Rehearsal(tmp_path, device=DEVICE, stop_at=4))
    snapshots.save(tmp_path, half.state(), done=4, trained=False, device=DEVICE, algorithm="sha256")
    seed_everything(2, DEVICE)
    found = snapshots.newest([tmp_path], algorithm="sha256")
    assert found is not None
    path, digest, done = found
    other = task.create(architecture, 3)
    other.load(snapshots.load(path, digest, device=DEVICE, algorithm="sha256").state)
    other.train(2, Rehearsal(tmp_path, device=DEVICE, done=done))

    assert difference(copy_of(other.state()), copy_of(whole.state())) is None


def test_a_run_twice_has_the_same_fingerprint(tmp_path: Path) -> None:
    """Through the command line: with one worker and with two on the same device."""
    config = tmp_path / "digits.yaml"
    config.write_text(
        "task: {name: digits, images: 300, final_images: 300}\n"
        "search: {population: 4, generations: 2, epochs: 1}\n"
    )
    fingerprints = []
    for workers in (1, 2):
        run_dir = tmp_path / f"run-{workers}"
        scratch = ["--scratch", str(tmp_path / "scratch")]
        pbtnas("run", config, run_dir, "--workers", workers, "--device", DEVICE, *scratch)
        fingerprints.append(json.loads((run_dir / paths.FINAL).read_text())["core"]["fingerprint"])
        result = json.loads((run_dir / paths.result(1, 0)).read_text())
        assert result["meta"]["device"] == DEVICE

    assert fingerprints[0] == fingerprints[1]


def test_a_task_file_is_checked_on_the_device(tmp_path: Path) -> None:
    """The example of the documents has nothing that a search would refuse there."""
    task = f"{ROOT / 'examples' / 'own_task.py'}:OwnTask"

    said = pbtnas("task", "check", "--task", task, "--device", DEVICE, "--rounds", "2")

    assert "error" not in said and "a child mixed from two random members loads" in said


def test_float32_is_full() -> None:
    """A convolution and a product are right to the last bits, not to those of TF32."""
    rng = torch.Generator().manual_seed(0)
    images, kernels = (torch.randn(8, 64, n, n, generator=rng) for n in (16, 3))
    a, b = torch.randn(2, 512, 512, generator=rng)

    convolved = torch.nn.functional.conv2d(images.to(DEVICE), kernels.to(DEVICE)).cpu()
    product = (a.to(DEVICE) @ b.to(DEVICE)).cpu()

    right = torch.nn.functional.conv2d(images.double(), kernels.double())
    assert (convolved - right).abs().max() < 1e-5 * right.abs().max()
    right = a.double() @ b.double()
    assert (product - right).abs().max() < 1e-5 * right.abs().max()


# -- what differs from the CPU ---------------------------------------------------------------------

_FAIL = """
import torch
from pbtnas.cuda import failure_of
def tell(act):
    try:
        act()
        torch.cuda.synchronize()
    except Exception as error:
        print(failure_of(error)[0])
tell(lambda: torch.empty(1 << 46, device="cuda"))
tell(lambda: torch.zeros(3, device="cuda")[torch.tensor([7], device="cuda")])
"""


@pytest.mark.skipif(not CUDA, reason="errors of CUDA need CUDA")
def test_errors_are_told_apart_as_torch_raises_them() -> None:
    """Lack of memory, and an assertion of a kernel, which spoils the process."""
    assert python(_FAIL).split() == ["oom", "error"]


_DRAW = """
import sys
from pbtnas.rl.rendering import choose_renderer
chosen = choose_renderer(sys.argv[1])
import mujoco
context = mujoco.GLContext(16, 16)
context.make_current()
from OpenGL import GL
print(chosen, GL.glGetString(GL.GL_RENDERER).decode(), sep="\\n")
"""


def test_frames_are_drawn_on_the_device() -> None:
    """EGL beside a GPU, and by the GPU, not by Mesa's software; anything beside a CPU."""
    pytest.importorskip("mujoco")

    chosen, renderer = python(_DRAW, DEVICE).splitlines()

    assert chosen in ("egl", "osmesa")
    if CUDA:
        assert chosen == "egl"
        assert "llvmpipe" not in renderer, f"drawn by {renderer}"


def pbtnas(*arguments: object) -> str:
    """What a command prints; it must succeed."""
    return _output([sys.executable, "-m", "pbtnas", *map(str, arguments)])


def python(code: str, *arguments: str) -> str:
    """What a program prints; it must succeed."""
    return _output([sys.executable, "-c", code, *arguments])


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
