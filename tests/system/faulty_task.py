"""A tiny task that breaks when it is told to, for tests with real processes.

Loaded through `--task tests/system/faulty_task.py:FaultyTask`.  What goes wrong is told outside of
the configuration, so that a run with faults must end like one without:

    PBTNAS_TEST_FAULTS   a directory; the file named by the seed of a job holds one fault a
                         line, and every attempt at that job consumes the first
    PBTNAS_TEST_STEP_S   seconds that every step of training takes
    PBTNAS_TEST_HOLD     a file; as long as it exists, evaluations do not end

A job has 10 steps (2 epochs of 5), and faults happen at step 3.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pbtnas.search import Architecture, SearchSpace, layer, switch
from pbtnas.search.seeding import derive
from pbtnas.state import State
from pbtnas.tasks.base import Context, Diverged, Evaluation, Preparation
from pbtnas.tasks.members import fill

log = logging.getLogger(__name__)

FAULTY_STEP = 3


class Net(nn.Module):
    """Two layers that may be missing, batch norm (buffers) and dropout (global RNG)."""

    def __init__(self, choices: Mapping[str, Any]) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4) if choices["first"] == "linear" else nn.Identity()
        self.second = nn.Linear(4, 4) if choices["second"] == "linear" else nn.Identity()
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.2)
        self.activation = {"relu": torch.relu, "tanh": torch.tanh}[choices["activation"]]
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 4] to [B, 2]."""
        hidden = self.activation(self.second(self.activation(self.first(x))))
        outputs: Tensor = self.head(self.dropout(self.norm(hidden)))
        return outputs


class FaultyTask:
    """Which side of a plane is a point on?"""

    space = SearchSpace(
        [
            layer("first", ("linear", "nothing")),
            layer("second", ("linear", "nothing")),
            switch("activation", ("relu", "tanh")),
        ]
    )

    def prepare(self, run: Preparation) -> None:
        """Publish the data as a product of the run, as tasks with expensive ones do."""
        found = run.lookup("points")
        if found is None:
            points = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
            found = run.publish("points", points.numpy().tobytes())
        log.info("faulty: %d bytes of points", len(found))
        self.points = torch.frombuffer(bytearray(found), dtype=torch.float32).reshape(60, 4)

    def create(self, architecture: Architecture, seed: int) -> FaultyTrainee:
        return FaultyTrainee(self, architecture, seed)


class FaultyTrainee:
    """Trains like any other, until its step 3.

    Its optimiser is written out because importing those of torch takes seconds.
    """

    def __init__(self, task: FaultyTask, architecture: Architecture, seed: int) -> None:
        self._points = task.points
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Net(task.space.decode(architecture))
        self._momentum = {n: torch.zeros_like(p) for n, p in self.network.named_parameters()}

    def train(self, epochs: int, context: Context) -> None:
        """5 steps an epoch; raises `Diverged` at a loss that is not finite."""
        tripwire = _Tripwire(context, _next_fault(context.seed), self.network)
        self.network.train()
        for step in range(context.done, 5 * epochs):
            rng = torch.Generator().manual_seed(derive(context.seed, "batch", step))
            loss = self._loss(self._points[torch.randperm(40, generator=rng)[:8]])
            if not loss.isfinite():
                raise Diverged(f"the loss is {loss.item()} at step {step}")
            self.network.zero_grad()
            torch.autograd.backward(loss)
            self._descend()
            context.log(loss=loss.item())
            tripwire.tick(step + 1)

    @torch.no_grad()
    def _descend(self) -> None:
        for name, parameter in self.network.named_parameters():
            assert parameter.grad is not None, "every parameter takes part"
            self._momentum[name].mul_(0.9).add_(parameter.grad)
            parameter.sub_(self._momentum[name], alpha=0.1)

    def _loss(self, x: Tensor) -> Tensor:
        """Of points [B, 4]."""
        outputs = self.network(x)
        return F.cross_entropy(outputs.double(), (x.sum(dim=1) > 0).long())

    @torch.no_grad()
    def evaluate(self, context: Context) -> Evaluation:
        """Minus the loss on other points: a score without ties."""
        hold = os.environ.get("PBTNAS_TEST_HOLD")
        while hold is not None and Path(hold).exists():
            time.sleep(0.05)
            context.tick()
        self.network.eval()
        loss = self._loss(self._points[40:]).item()
        return Evaluation(-loss, {"loss": loss})

    def state(self) -> State:
        return State(
            live={name: p.detach() for name, p in self.network.named_parameters()},
            buffers=dict(self.network.named_buffers()),
            optimizer={f"{name}/momentum": m for name, m in self._momentum.items()},
        )

    def load(self, state: State) -> None:
        fill("live", dict(self.network.named_parameters()), state.live)
        fill("buffers", dict(self.network.named_buffers()), state.buffers)
        for name, momentum in self._momentum.items():
            kept = state.optimizer.get(f"{name}/momentum")
            momentum.zero_() if kept is None else momentum.copy_(kept)


class _Tripwire:
    """A context whose third tick breaks something, and whose every tick may take time."""

    def __init__(self, context: Context, fault: str | None, network: nn.Module) -> None:
        self._context = context
        self._fault = fault
        self._network = network
        self._step_s = float(os.environ.get("PBTNAS_TEST_STEP_S", "0"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def tick(self, done: int | None = None) -> None:
        time.sleep(self._step_s)
        if done == FAULTY_STEP and self._fault is not None:
            _break(self._fault, self._network)
        self._context.tick(done)


def _next_fault(seed: int) -> str | None:
    directory = os.environ.get("PBTNAS_TEST_FAULTS")
    if directory is None:
        return None
    path = Path(directory) / str(seed)
    if not path.exists():
        return None
    faults = path.read_text().splitlines()
    path.write_text("\n".join(faults[1:]))
    return faults[0] if faults else None


def _of_cuda(words: str, number: int) -> RuntimeError:
    """As torch raises it."""
    error: RuntimeError = getattr(torch, "AcceleratorError", RuntimeError)(
        f"CUDA error: {words}\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"
    )
    error.error_code = number  # type: ignore[attr-defined]
    return error


def _break(fault: str, network: nn.Module) -> None:
    match fault:
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "hang":
            time.sleep(3600)
        case "raise":
            raise RuntimeError("asked to fail")
        case "exit":
            sys.exit(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "memory":
            raise MemoryError("asked to lack memory")
        case "assert on the GPU":
            raise _of_cuda("device-side assert triggered", 710)
        case "ECC of the GPU":
            raise _of_cuda("uncorrectable ECC error encountered", 214)
        case "disk":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        case "diverge":
            with torch.no_grad():
                next(iter(network.parameters())).fill_(math.nan)
        case "chatter":
            print("a line of chatter\n" * 20_000, flush=True)  # noqa: T201
        case "descendants":
            mine = os.environ["PBTNAS_TEST_FAULTS"]  # found by the directory in its command line
            for alone in (False, True):
                command = [sys.executable, "-c", "import time; time.sleep(3600)", mine + "/"]
                subprocess.Popen(command, start_new_session=alone)
            time.sleep(3600)
        case _:
            raise AssertionError(f"unknown fault {fault!r}")
