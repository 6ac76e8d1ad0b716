"""Which GPUs a process may use, and how many workers make use of a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.engine import devices
from pbtnas.engine.devices import (
    LOCAL_RANKS,
    DeviceBusy,
    NoSuchDevice,
    assigned_device,
    check_device,
    default_device,
    default_workers,
    hold_device,
    usable_cores,
    visible_gpus,
)


@pytest.fixture(autouse=True)
def four_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A driver that shows four GPUs, of which the first has been taken out."""
    monkeypatch.setattr(devices, "_shown_by_the_driver", lambda: ["1", "2", "3", "4"])
    monkeypatch.setattr(devices, "default_scratch", lambda: tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("named", "visible"),
    [
        (None, ["1", "2", "3", "4"]),
        ("2,0", ["3", "1"]),
        ("", []),
        ("-1", []),
        ("1,7,0", ["2"]),
        ("GPU-8932f937-d72c, MIG-1/2/3", ["GPU-8932f937-d72c", "MIG-1/2/3"]),
    ],
)
def test_the_gpus_to_use_are_those_that_cuda_would_take(
    named: str | None, visible: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its order, and up to the first name that is none."""
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)

    assert visible_gpus() == visible
    assert default_device() == ("cuda:0" if visible else "cpu")


def test_a_device_beyond_those_to_use_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the machine has more."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")

    check_device("cuda:0")
    with pytest.raises(NoSuchDevice, match=r"has 1 GPUs to use \(CUDA_VISIBLE_DEVICES=3\)"):
        check_device("cuda:1")


def test_a_gpu_is_the_same_however_a_process_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers do not share it unless they are allowed to."""
    held = hold_device("cuda:2", slots=1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")

    with pytest.raises(DeviceBusy):
        hold_device("cuda:0", slots=1)
    second = hold_device("cuda:0", slots=2)
    assert held and second and held.lock_file != second.lock_file


def test_a_machine_is_used_whole_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker for each GPU, or for each core; never more than there are jobs."""
    assert default_workers((), 1, 24)[0] == 4
    assert default_workers((), 1, 3)[0] == 3
    assert default_workers(("cpu",), 1, 24)[0] == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(devices, "usable_cores", lambda: 16)
    assert default_workers((), 1, 24)[0] == 16
    assert default_workers((), 5, 24)[0] == 3
    assert default_workers((), 32, 24)[0] == 1


def test_cores_are_those_that_this_process_may_use() -> None:
    """At least one, and no more than it is bound to."""
    assert 1 <= usable_cores()


@pytest.mark.parametrize(
    ("variables", "device", "named"),
    [
        ({}, "cuda:0", False),
        ({"CUDA_VISIBLE_DEVICES": "2"}, "cuda:0", True),
        ({"CUDA_VISIBLE_DEVICES": ""}, "cpu", True),
        ({"SLURM_LOCALID": "0"}, "cuda:0", False),
        ({"SLURM_LOCALID": "3", "LOCAL_RANK": "1"}, "cuda:1", False),
        ({"LOCAL_RANK": "3", "CUDA_VISIBLE_DEVICES": "0,2"}, "cuda:1", True),
    ],
)
def test_the_device_is_the_one_that_the_launcher_has_assigned(
    variables: dict[str, str], device: str, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--device auto`: of the GPUs that it may see, the one of its number on this machine."""
    for name in LOCAL_RANKS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert assigned_device() == (device, named)


def test_a_number_among_the_processes_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sentence has the variable and its value."""
    monkeypatch.setenv("LOCAL_RANK", "first")

    with pytest.raises(NoSuchDevice, match="LOCAL_RANK=first: expected a whole number"):
        assigned_device()
