"""Methods that learn an architecture of NAS-Bench-201, at the published size, on noise."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.device.gan import timed_ms
from benchmarks.device.rows import Row
from benchmarks.device.sharing import Noise, Shared
from pbtnas.determinism import as_in_the_search, full_float32, tf32
from pbtnas.supernet.methods import METHODS
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, evaluate, train
from pbtnas.tasks.making import parsed
from pbtnas.tasks.weight_sharing import Nb201Task
from pbtnas.tasks.weight_sharing.learning_member import LearningTrainee
from pbtnas.tasks.weight_sharing.nb201 import Nb201Options
from pbtnas.tasks.weight_sharing.options import SupernetOptions

STEPS = 10
ALL_3X3, BEST = (3, 3, 3, 3, 3, 3), (3, 3, 3, 1, 3, 2)
NEVER = 10**9

_SIZE: dict[str, Any] = {
    **{"width": 16, "cells": 5, "bn_momentum": 0.1, "validation_images": 5000},
    **{"steps_per_epoch": STEPS, "schedule_epochs": 100_000},
}
_TRIED_OUT: dict[str, Any] = {
    **{"width": 4, "cells": 1, "side": 8, "validation_images": 100, "choice_images": 50},
}


class Alone(Noise, Nb201Task):
    """A network alone."""


def steps(device: str) -> Iterator[Row]:
    """A step of each method: 16 channels, 5 cells a stage, 32x32; and of two networks alone."""
    cuda = device.startswith("cuda")
    with tempfile.TemporaryDirectory() as scratch, as_in_the_search(threads=1):
        full_float32()
        context = Rehearsal(Path(scratch), device=device)
        yield ["method, mini-batch", "ms a step", "with TF32", "peak", "scored", "architecture"]
        for method in METHODS:
            yield _of_method(method, 64 if cuda else 8, context)
        yield _of_controller(*((128, 3) if cuda else (12, 1)), context)
        for method in ("enas", "pc-darts", "gaea-pc-darts"):
            yield _of_method(method, None if cuda else 12, context)
        for architecture in (ALL_3X3, BEST):
            for batch in (64, 256) if cuda else (8,):
                yield _alone(architecture, batch, context)


def learner(context: Rehearsal, method: str, batch: int | None, **given: Any) -> LearningTrainee:
    """A supernet whose architecture is learnt from the first step; None means its own batch."""
    options = _SIZE | ({} if context.device.startswith("cuda") else _TRIED_OUT)
    options |= {"space": "nb201", "method": method, "frozen_share": 0.0, **given}
    options |= {} if batch is None else {"batch_size": batch}
    task = Shared(parsed(SupernetOptions, options, {}))
    task.prepare(RehearsalProducts(context.scratch))
    member = task.create((0,), 0)
    assert isinstance(member, LearningTrainee)
    return member


def _of_method(method: str, batch: int | None, context: Rehearsal) -> Row:
    device = context.device
    _forget(device)
    member = learner(context, method, batch, controller_every=NEVER)
    cells: Row = [f"{method}, {member.task.options.batch_size}"]
    for allowed in (False, True):
        with tf32(allowed):
            step_ms = timed_ms(lambda: train(member, 1, context), device, 1, 2) / STEPS
        cells.append(f"{step_ms:.1f} ms")
    cells.append(_peak(device))
    found = evaluate(member, context)
    cells.append(f"{timed_ms(lambda: evaluate(member, context), device, 1, 1):.0f} ms")
    mixture = member.learning.mixture().detach().double().cpu()
    off = float((mixture.sum(dim=1) - 1).abs().max())
    sound = bool(mixture.isfinite().all()) and off < 1e-6 and float(mixture.min()) >= 0
    cells.append(f"entropy {member.learning.entropy():.4f}, score {found.score:.3f}")
    return [*cells, f"rows sum to 1 within {off:.0e}" if sound else "WRONG"]


def _of_controller(batch: int, turns: int, context: Rehearsal) -> Row:
    """What a step of the controller of ENAS takes, for which 20 subnets are drawn and rated."""
    _forget(context.device)
    times = []
    for every in (NEVER, STEPS):
        member = learner(context, "enas", batch, controller_every=every, controller_steps=turns)
        times.append(timed_ms(partial(train, member, 1, context), context.device, 1, 1))
    return [f"a step of the controller of enas, {batch}", f"{(times[1] - times[0]) / turns:.0f} ms"]


def _alone(architecture: tuple[int, ...], batch: int, context: Rehearsal) -> Row:
    _forget(context.device)
    options = _SIZE | ({} if context.device.startswith("cuda") else _TRIED_OUT)
    task = Alone(Nb201Options(**options | {"batch_size": batch}))
    task.prepare(RehearsalProducts(context.scratch))
    network = task.create(architecture, 0)
    cells: Row = [f"network alone {task.name(architecture)}, {batch}"]
    for allowed in (False, True):
        with tf32(allowed):
            step_ms = timed_ms(lambda: train(network, 1, context), context.device, 2, 2) / STEPS
        cells.append(f"{step_ms:.1f} ms")
    cells.append(_peak(context.device))
    return [*cells, f"{timed_ms(lambda: evaluate(network, context), context.device, 1, 1):.0f} ms"]


def _forget(device: str) -> None:
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.init()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: str) -> str:
    if not device.startswith("cuda"):
        return "-"
    return f"{torch.cuda.max_memory_allocated(device) / 2**20:.0f} MiB"
