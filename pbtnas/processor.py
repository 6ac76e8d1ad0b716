"""The processor that computes: its name, its instruction set, and how a run is pinned to one.

torch, oneDNN, MKL, OpenBLAS and numpy choose their kernels by what the processor can, each by
itself, when it is loaded or first used.  Kernels of other instructions add in another order, so
the last bits of what they compute depend on the processor.  Where a run is pinned, all of them are
told to use one instruction set, which every processor that has it then uses.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pbtnas.errors import ExitCode, PbtnasError

DEFAULT = "default"
"""What the processor can, by the choice of each library."""

_TOLD: Mapping[str, Mapping[str, str]] = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "OPENBLAS_CORETYPE": "SkylakeX",
    },
}
_MKL = {"MKL_CBWR": "COMPATIBLE"}
"""The only mode that MKL has on the processors of all makers."""

_NUMPY_RENAMED = (2, 4)
_BEYOND = {
    "avx2": (
        "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
        "X86_V4 AVX512_ICL AVX512_SPR",
    ),
    "avx512": ("AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR", "AVX512_ICL AVX512_SPR"),
}
"""What numpy is not to use, by its names before and after it renamed them.  It warns of others."""

_NEEDED = {
    DEFAULT: (),
    "avx2": ("avx2", "fma"),
    "avx512": ("avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"),
}
"""The flags of processors that have the instructions."""

_CHOOSE_WHEN_LOADED = ("numpy", "torch")


class UnfitProcessor(PbtnasError):
    """A run is pinned to instructions that this process does not, or cannot, compute with."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Processor:
    """What computes.

    Args:
        processor: Name of the processor.
        cpu_capability: Instructions of torch's kernels, as torch calls them: AVX2, AVX512, ...
    """

    processor: str
    cpu_capability: str

    @property
    def maker(self) -> str:
        """Intel or AMD, to each of which MKL gives kernels of its own; else what it is called."""
        return next((m for m in ("Intel", "AMD") if m in self.processor), self.processor)

    def __str__(self) -> str:
        return f"{self.processor}, {self.cpu_capability}"

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def processor_of(meta: Mapping[str, Any]) -> Processor | None:
    """The processor that a record names; None where it was made before they did."""
    if "processor" not in meta or "cpu_capability" not in meta:
        return None
    return Processor(str(meta["processor"]), str(meta["cpu_capability"]))


def this_processor() -> Processor:
    """The processor of this machine, as this process uses it; imports torch."""
    import platform

    import torch

    name = _cpuinfo().get("model name", "") or platform.processor() or platform.machine()
    return Processor(name, torch.backends.cpu.get_cpu_capability())


def variables_of(capability: str) -> dict[str, str]:
    """What the libraries read from the environment for a value of `run.cpu_capability`."""
    if capability == DEFAULT:
        return {}
    from importlib.metadata import version  # which a screen that shows a run can do without

    numpy = tuple(int(part) for part in version("numpy").split(".")[:2])
    beyond = _BEYOND[capability][numpy >= _NUMPY_RENAMED]
    return {**_MKL, **_TOLD[capability], "NPY_DISABLE_CPU_FEATURES": beyond}


def pin(capability: str) -> None:
    """Have this process and those that it starts compute with these instructions only.

    To be called before numpy and torch are imported.  Raises `UnfitProcessor` if that is too late,
    or the processor cannot.
    """
    check_possible(capability)
    told = variables_of(capability)
    if all(os.environ.get(name) == value for name, value in told.items()):
        return
    loaded = [name for name in _CHOOSE_WHEN_LOADED if name in sys.modules]
    if loaded:
        raise UnfitProcessor(
            f"run.cpu_capability is {capability}, and {loaded[0]} is loaded already: start this "
            f"process with {_shell(told)}"
        )
    os.environ.update(told)


def check_possible(capability: str) -> None:
    """Raise `UnfitProcessor` unless this processor has these instructions; without torch."""
    cpu = _cpuinfo()
    lacking = sorted(set(_NEEDED[capability]).difference(cpu.get("flags", "").split()))
    if lacking:
        import platform

        name = cpu.get("model name", platform.machine())
        raise UnfitProcessor(
            f"run.cpu_capability is {capability}: the processor of this machine ({name}) lacks "
            f"{', '.join(lacking)}"
        )


def check_pinned(capability: str) -> None:
    """Raise `UnfitProcessor` unless this process computes as a run is pinned; imports torch."""
    if capability == DEFAULT:
        return
    check_possible(capability)
    import torch
    from threadpoolctl import threadpool_info

    told = variables_of(capability)
    found = [("torch", torch.backends.cpu.get_cpu_capability(), capability.upper())]
    for library in threadpool_info():
        if "architecture" in library:
            found.append((library["prefix"], library["architecture"], told["OPENBLAS_CORETYPE"]))
    found += [(name, os.environ.get(name, "nothing"), value) for name, value in told.items()]
    for what, is_now, expected in found:
        if is_now != expected:
            raise UnfitProcessor(
                f"run.cpu_capability is {capability}, and {what} has {is_now} instead of "
                f"{expected}: start this process with {_shell(told)}"
            )


def remark(started: Processor | None, pinned: str) -> str:
    """The sentence that bits may differ here from where a run was started; "" if they should not.

    Args:
        started: The processor that the run was started with; None if that is not recorded.
        pinned: `run.cpu_capability` of the run.
    """
    if started is None or pinned != DEFAULT:
        return ""
    here = this_processor()
    if (here.cpu_capability, here.maker) == (started.cpu_capability, started.maker):
        return ""
    return (
        f"the run was started with {started.cpu_capability} instructions ({started.processor}), "
        f"here are {here.cpu_capability} ({here.processor}): the last bits may differ; "
        "run.cpu_capability of a new run pins them"
    )


def _shell(told: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in told.items())


def _cpuinfo() -> dict[str, str]:
    """What the kernel says of the first core; nothing where it keeps that to itself."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    lines = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}
