"""Runs jobs without an engine, so that a check or a test can train a member in one process.

With the engine's own functions it seeds the global generators with the job's seed, and takes
snapshots that hold the state, the generators and the number of steps done; like the engine it
can leave `train` at a tick.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pbtnas.determinism import global_rngs, restore_global_rngs, seed_everything
from pbtnas.state import State
from pbtnas.tasks.base import Evaluation, Json, Trainee


class Interrupted(BaseException):
    """Raised out of `train` at a tick, as the engine does to hand a job back.

    Not an `Exception`, as the engine's is not: a task that catches those lets it through.
    """


@dataclass
class Rehearsal:
    """A `Context` that remembers what it was told.

    Args:
        scratch: an existing directory.
        seed: seed of the job.
        device: a torch device.
        done: steps done when `train` is called.
        final: whether an evaluation is for the number to report.
        stop_at: `train` is left as soon as so many steps are done; None for never.
        logged: what `log` was given.
        reached: the number of steps done.
    """

    scratch: Path
    seed: int = 0
    device: str = "cpu"
    done: int = 0
    final: bool = False
    stop_at: int | None = None
    logged: list[Mapping[str, Json]] = field(default_factory=list)
    reached: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.reached = self.done

    def tick(self, done: int | None = None) -> None:
        """Note the progress; raise `Interrupted` at `stop_at`."""
        if done is not None:
            self.reached = done
            if self.stop_at is not None and done >= self.stop_at:
                raise Interrupted

    def log(self, **values: float | int | str) -> None:
        """Keep the line in `logged`."""
        self.logged.append(values)


@dataclass
class RehearsalProducts:
    """A `Preparation` whose products stay in memory.

    Args:
        directory: an existing directory.
        products: what was published, by name.
    """

    directory: Path
    products: dict[str, bytes] = field(default_factory=dict)
    _words: dict[str, str] = field(default_factory=dict, init=False)

    def publish(self, name: str, data: bytes) -> bytes:
        """The first product of that name wins."""
        return self.products.setdefault(name, data)

    def lookup(self, name: str) -> bytes | None:
        """The product of that name, if any."""
        return self.products.get(name)

    def unique(self, name: str) -> str:
        """A random word, as a run has it."""
        return self._words.setdefault(name, secrets.token_hex(8))


@dataclass(frozen=True)
class RehearsalSnapshot:
    """A job interrupted at a tick, or at its end.

    Args:
        state: a copy of the state.
        done: steps that it includes.
        rngs: the global generators at that moment, as `global_rngs` gives them.
    """

    state: State
    done: int
    rngs: tuple[Mapping[str, Tensor], Mapping[str, Any]]


def train(
    trainee: Trainee, epochs: int, context: Rehearsal, resume: RehearsalSnapshot | None = None
) -> RehearsalSnapshot:
    """Train until the end or `context.stop_at`, from the start or from a snapshot.

    The trainee must hold the state of the snapshot already.
    """
    seed_everything(context.seed, context.device)
    if resume is not None:
        restore_global_rngs(*resume.rngs, context.device)
        context = replace(context, done=resume.done)
    try:
        trainee.train(epochs, context)
    except Interrupted:
        pass
    return RehearsalSnapshot(copy_of(trainee.state()), context.reached, global_rngs(context.device))


def evaluate(trainee: Trainee, context: Rehearsal) -> Evaluation:
    """Evaluate as a job of its own."""
    seed_everything(context.seed, context.device)
    return trainee.evaluate(context)


def copy_of(state: State) -> State:
    """The state with tensors of its own, on the CPU, as a checkpoint has them."""
    copied = {
        s: {n: t.to("cpu", copy=True) for n, t in getattr(state, s).items()} for s in State.SECTIONS
    }
    return State(**copied, info=dict(state.info))


def difference(a: State, b: State) -> str | None:
    """The first thing in which two states differ, or None if they are equal bit by bit."""
    for section in State.SECTIONS:
        ours, theirs = _on_cpu(getattr(a, section)), _on_cpu(getattr(b, section))
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in ours or name not in theirs:
                return f"{section} tensor {name!r} is in one of them only"
            if ours[name].shape != theirs[name].shape or ours[name].dtype != theirs[name].dtype:
                return f"{section} tensor {name!r} has another shape or type"
            if not torch.allclose(ours[name], theirs[name], rtol=0, atol=0, equal_nan=True):
                return f"{section} tensor {name!r} has other values"
    return None if a.info == b.info else f"info is {a.info} in one and {b.info} in the other"


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu() for name, tensor in tensors.items()}
