"""Finds the devices of this machine, and holds the slots of workers on a GPU."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
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
    """The first GPU if there is one to use, else the CPU; found without importing torch."""
    return "cuda:0" if visible_gpus() else "cpu"


LOCAL_RANKS = ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID")
"""Variables in which launchers number the processes that they start on one machine."""


def assigned_device() -> tuple[str, bool]:
    """The device that this process was started for, and whether its launcher has named the GPUs.

    Of the GPUs that the launcher lets it see, the one of its number among the processes of this
    machine; where there are more processes than GPUs, they are dealt out in turn.  Raises
    `NoSuchDevice` for a number that is none.
    """
    gpus = visible_gpus()
    rank = next((name for name in LOCAL_RANKS if os.environ.get(name)), None)
    if rank is not None and not os.environ[rank].isdigit():
        raise NoSuchDevice(f"--device auto: {rank}={os.environ[rank]}: expected a whole number")
    named = "CUDA_VISIBLE_DEVICES" in os.environ
    if not gpus:
        return "cpu", named
    return f"cuda:{int(os.environ[rank]) % len(gpus) if rank else 0}", named


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, by what the driver calls them: numbers, or UUIDs.

    `cuda:0` is the first of them.  Without importing torch: by the driver's files in `/dev`, and by
    CUDA_VISIBLE_DEVICES, of which CUDA takes what comes before the first thing that is no GPU.
    """
    there = _shown_by_the_driver()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None or not there:
        return there
    visible = []
    for name in map(str.strip, named.split(",")):
        if name.isdigit() and int(name) < len(there):
            visible.append(there[int(name)])
        elif name.startswith(("GPU-", "MIG-")):  # only the driver knows which GPU has which
            visible.append(name)
        else:
            break
    return visible


def _shown_by_the_driver() -> list[str]:
    numbers = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return sorted(numbers, key=int)


def usable_cores() -> int:
    """The processor cores that this process may use: by its affinity and its cgroup."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return cores  # no cgroup of version 2, or not its root
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def default_workers(devices: Sequence[str], threads: int, most: int) -> tuple[int, str]:
    """How many workers make use of this machine, and why so many.

    Args:
        devices: The devices that they are to use; none means all GPUs, or the processor.
        threads: Threads of a job.
        most: How many jobs there can be at once.
    """
    found = len(devices) or len(visible_gpus())
    if found:
        return min(found, most), f"one for each of {found} devices" if found > 1 else "one device"
    cores = usable_cores()
    each = (
        f"{cores} processor cores, jobs of {threads} threads" if threads > 1 else f"{cores} cores"
    )
    return max(1, min(cores // threads, most)), each


def check_device(device: str) -> None:
    """Raise `NoSuchDevice` with one sentence unless torch could use the device here."""
    if device == "cpu":
        return
    kind, _, index = device.partition(":")
    if kind != "cuda" or (index and not index.isdigit()):
        raise NoSuchDevice(f"--device {device}: expected cpu, cuda or cuda:N")
    gpus = len(visible_gpus())
    if int(index or 0) >= gpus:
        named = os.environ.get("CUDA_VISIBLE_DEVICES")
        limit = "" if named is None else f" to use (CUDA_VISIBLE_DEVICES={named})"
        raise NoSuchDevice(f"--device {device}: this machine has {gpus} GPUs{limit}")


def default_scratch() -> Path:
    """Where this machine keeps what need not be shared."""
    return Path(tempfile.gettempdir()) / f"pbtnas-{os.getuid()}"


def hold_device(device: str, slots: int) -> FileLock | None:
    """Take one of the slots of a GPU of this machine; None for the CPU, which has no slots.

    The kernel frees it with the process.  Raises `DeviceBusy` when all are taken.
    """
    if not device.startswith("cuda"):
        return None
    directory = default_scratch() / "devices"
    directory.mkdir(parents=True, exist_ok=True)
    # What the driver calls it: processes that see other GPUs count them in another way.
    gpu = visible_gpus()[int(device.partition(":")[2] or 0)]
    for slot in range(slots):
        lock = FileLock(directory / f"gpu-{gpu}-{slot}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        return lock
    raise DeviceBusy(
        f"{device}: all {slots} slots are taken by other workers of this machine; "
        "--slots raises their number"
    )
