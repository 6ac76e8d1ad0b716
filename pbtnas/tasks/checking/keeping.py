"""Rehearses what outlives a job: checkpoints, and the network that an export takes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pbtnas.checkpoints.files import read_verified, write
from pbtnas.config.schema import RunConfig
from pbtnas.search.space import Architecture
from pbtnas.state import State
from pbtnas.tasks.base import Task
from pbtnas.tasks.faults import TaskFault, place_of
from pbtnas.tasks.optional import HasNetwork, Recalls


def written(state: State, file: Path) -> State:
    """The state as it is read from the checkpoint that a worker would write.

    Raises `ValueError` naming a tensor that a checkpoint cannot hold.
    """
    algorithm = RunConfig().checkpoint_hash
    digest = write(file, state, algorithm=algorithm)
    return read_verified([file], [digest], algorithm=algorithm)


def check_export(
    trainee: HasNetwork, unprepared: Task, architecture: Architecture, products: Mapping[str, bytes]
) -> None:
    """Load the trained network into one that is made without data, as `pbtnas.load` does.

    Raises `TaskFault` for what an export cannot hold, and what the task raises.
    """
    tensors = _tensors(trainee)
    if isinstance(unprepared, Recalls):
        unprepared.recall(products.get)
    other = unprepared.create(architecture, 0)
    assert isinstance(other, HasNetwork), "trainees of one task are alike"
    network = other.trained_network().eval()
    network.load_state_dict(tensors)


def _tensors(trainee: HasNetwork) -> dict[str, Tensor]:
    tensors = {}
    for name, value in trainee.trained_network().state_dict().items():
        if not isinstance(value, Tensor):
            place = place_of(type(trainee).trained_network)
            raise TaskFault(
                f"{place}: the network's {name!r} is a {type(value).__name__}, not a tensor"
            )
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    return tensors


def poisoned(state: State) -> State:
    """The state with NaN for every trained number, as a member that has diverged unnoticed."""

    def nan(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: torch.full_like(tensor, torch.nan) if tensor.is_floating_point() else tensor
            for name, tensor in tensors.items()
        }

    return replace(state, live=nan(state.live), averaged=nan(state.averaged))
