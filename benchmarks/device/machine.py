"""Versions, the tests marked `gpu`, and what torch raises when memory runs out."""

from __future__ import annotations

import ctypes.util
import os
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.device.rows import Row
from pbtnas.cuda import failure_of
from pbtnas.determinism import as_in_the_search


def versions(device: str) -> Iterator[Row]:
    """What computes here."""
    yield ["python", platform.python_version()]
    for package in ("torch", "torchvision", "numpy", "mujoco", "dm_control", "pytorch-fid"):
        try:
            yield [package, version(package)]
        except PackageNotFoundError:
            yield [package, "not installed"]
    yield ["EGL", ctypes.util.find_library("EGL") or "no library"]
    yield [
        "processor",
        _processor(),
        f"{os.cpu_count()} cores",
        torch.backends.cpu.get_cpu_capability(),
    ]
    if device.startswith("cuda"):
        seen = torch.cuda.get_device_properties(device)
        yield ["GPU", seen.name, f"{seen.total_memory >> 20} MiB", f"sm_{seen.major}{seen.minor}"]
        yield ["CUDA", torch.version.cuda, "cuDNN", torch.backends.cudnn.version()]
        asked = ["nvidia-smi", "--query-gpu=driver_version,compute_mode", "--format=csv,noheader"]
        yield ["driver, mode", subprocess.run(asked, capture_output=True, text=True).stdout.strip()]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.processor()


def gpu_tests(device: str) -> Iterator[Row]:
    """The tests that need a GPU: how many passed, and each that did not, with its last line."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/system/test_gpu.py"]
        command += [
            "-p",
            "no:cacheprovider",
            "-p",
            "no:benchmark",
            "-o",
            "filterwarnings=default",
            "-n",
            "8",
            "--dist",
            "load",
            f"--junitxml={report}",
        ]
        environment = {**os.environ, "PBTNAS_TEST_DEVICE": device, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if not report.exists():
            yield [
                "pytest ended with",
                done.returncode,
                done.stdout[-1500:] + done.stderr[-500:],
                "WRONG",
            ]
            return
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    passed = 0
    for case in cases:
        name = f"{(case.get('classname') or '').rpartition('.')[2]}.{case.get('name')}"
        kinds = {child.tag: child for child in case}
        if "failure" in kinds or "error" in kinds:
            broken = kinds.get("failure", kinds.get("error"))
            assert broken is not None, "one of them is there"
            yield [
                "failed",
                name,
                (broken.get("message") or "")[:400],
                (broken.text or "")[-600:],
                "WRONG",
            ]
        elif "skipped" in kinds:
            yield ["skipped", name, (kinds["skipped"].get("message") or "")[:200]]
        else:
            passed += 1
            if float(case.get("time") or 0) > 15:
                yield ["slow", name, f"{float(case.get('time') or 0):.0f} s"]
    yield ["passed", passed, "of", len(cases)]


def failures(device: str) -> Iterator[Row]:
    """What torch raises for want of memory in each library, and what pbtnas calls it."""
    if not device.startswith("cuda"):
        yield ["only CUDA's errors are asked for"]
        return
    with as_in_the_search(threads=1):
        hold: list[torch.Tensor] = []
        a = torch.randn(4096, 4096, device=device)
        images = torch.zeros(8, 3, 64, 64, device=device)
        kernel = a[:1, :75].reshape(1, 3, 5, 5)
        size = 1 << 30
        while size >= 1 << 12:  # to the last bytes: a library's own allocations must fail
            try:
                hold.append(torch.empty(size, dtype=torch.uint8, device=device))
            except torch.OutOfMemoryError:
                size //= 2
        yield ["memory taken", f"{sum(len(t) for t in hold) >> 20} MiB"]
        yield ["plain allocation", *_outcome(lambda: torch.empty(1 << 30, device=device), "oom")]
        yield ["stream", *_outcome(lambda: torch.cuda.Stream(device), "oom")]
        # Tensors have room again, but what torch keeps for them is no room for a library.
        del hold
        yield ["free for libraries", f"{torch.cuda.mem_get_info(device)[0] >> 20} MiB"]
        yield ["first convolution", *_outcome(lambda: torch.conv2d(images, kernel), "oom")]
        yield ["first product", *_outcome(lambda: a[:8, :8] @ a[:8, :8], "oom")]
        torch.cuda.empty_cache()
        yield ["with room", *_outcome(lambda: (a[:8, :8] @ a[:8, :8]).sum().item())]


def _outcome(act: Callable[[], object], expected: str | None = None) -> list[object]:
    """What was raised, if anything, and its class, which has to be the one expected."""
    try:
        act()
        torch.cuda.synchronize()
    except RuntimeError as error:  # what torch raises for CUDA, cuBLAS and cuDNN
        kind = (failure_of(error) or (None,))[0]
        wrong = [] if kind == expected else ["WRONG"]
        return [type(error).__name__, str(error).splitlines()[0][:160], kind, *wrong]
    return ["nothing raised"]
