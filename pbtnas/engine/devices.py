"""Finds the devices of this machine, and holds the slots of workers on a GPU."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from pbtnas.errors import ExitCode, PbtnasError


class DeviceBusy(PbtnasError):
    """All slots of a device are taken by other workers of this machine."""

    exit_code = ExitCode.USAGE


class NoSuchDevice(PbtnasError):
    """This machine has no such device."""

    exit_code = ExitCode.USAGE


def default_device() -> str:
    """The first GPU if the driver shows one, else the CPU; found without importing torch."""
    return "cuda:0" if gpu_count() else "cpu"


def gpu_count() -> int:
    """How many GPUs the driver shows; without importing torch."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def check_device(device: str) -> None:
    """Raise `NoSuchDevice` with one sentence unless torch could use the device here."""
    if device == "cpu":
        return
    kind, _, index = device.partition(":")
    if kind != "cuda" or (index and not index.isdigit()):
        raise NoSuchDevice(f"--device {device}: expected cpu, cuda or cuda:N")
    gpus = gpu_count()
    if int(index or 0) >= gpus:
        raise NoSuchDevice(f"--device {device}: this machine has {gpus} GPUs")


def default_scratch() -> Path:
    """Where this machine keeps what need not be shared."""
    return Path(tempfile.gettempdir()) / f"pbtnas-{os.getuid()}"


def hold_device(device: str, slots: int) -> FileLock | None:
    """Take one of the slots of a GPU of this machine; None for the CPU, which has no slots.

    The kernel frees it with the process.  Raises `DeviceBusy` when all are taken.
    """
    if not device.startswith("cuda"):
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").replace(",", "-")
    directory = default_scratch() / "devices"
    directory.mkdir(parents=True, exist_ok=True)
    kind, _, index = device.partition(":")
    for slot in range(slots):
        lock = FileLock(directory / f"{kind}-{int(index or 0)}-of-{visible}-{slot}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        return lock
    raise DeviceBusy(
        f"{device}: all {slots} slots are taken by other workers of this machine; "
        "--slots raises their number"
    )
