"""A base class for trainees: networks, averaged copies of them, and optimisers.

`Learner` turns them into a `State` and back and moves them between devices, so that a trainee
which inherits from it has only `train` and `evaluate` to write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pbtnas.state import State
from pbtnas.tasks.moments import load_moments, moments


class Learner:
    """Networks in training, their averaged copies and their optimisers, on one device.

    Args:
        networks: all that is trained, in one module and on the CPU.  Its parameter paths are
            the names in a state; modules and parameters must not be replaced later.
        optimizers: optimisers of its parameters; no parameter belongs to two of them.
        averaged: averaged copies by the dotted path of the module they copy; "" is all of
            `networks`.  Make one by `copy.deepcopy(module).requires_grad_(False)`.
    """

    def __init__(
        self,
        networks: nn.Module,
        optimizers: Sequence[Optimizer],
        averaged: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self.networks = networks
        self._optimizers = tuple(optimizers)
        self._copies = dict(averaged or {})
        # Listed once: walking the modules costs as much as a small step.
        self._parameters = dict(networks.named_parameters())
        pairs = [
            pair
            for path, copy in self._copies.items()
            for pair in zip(
                copy.parameters(), networks.get_submodule(path).parameters(), strict=True
            )
        ]
        self._pairs: tuple[list[Tensor], list[Tensor]] = (
            [a for a, _ in pairs],
            [p for _, p in pairs],
        )

    @property
    def device(self) -> torch.device:
        """The device of all tensors."""
        return next(iter(self._parameters.values())).device

    def move(self, device: str) -> None:
        """Move networks, averaged copies and moments to a device."""
        if self.device == torch.device(device):
            return
        kept = self._moments()
        for module in (self.networks, *self._copies.values()):
            module.to(device)
        self._load_moments(kept)

    @torch.no_grad()
    def average(self, weight: float) -> None:
        """Update the averaged parameters: `(1 - weight) * average + weight * parameter`."""
        averages, parameters = self._pairs
        if averages and not averages[0].is_cuda:
            # The same kernels by one call; on a GPU it would be another kernel.
            torch._foreach_lerp_(averages, parameters, weight)
            return
        for average, parameter in zip(averages, parameters, strict=True):
            average.lerp_(parameter, weight)

    def averages(self) -> dict[str, Tensor]:
        """The tensors of the averaged copies, under the names of what they average.

        Override it to leave out buffers that are not the copies' own.
        """
        return {
            name: tensor.detach()
            for path, copy in self._copies.items()
            for name, tensor in (
                *copy.named_parameters(prefix=path),
                *copy.named_buffers(prefix=path),
            )
        }

    def state(self) -> State:
        """Everything that is trained; the tensors alias the networks."""
        return State(
            live={name: parameter.detach() for name, parameter in self._parameters.items()},
            buffers=dict(self.networks.named_buffers()),
            averaged=self.averages(),
            optimizer=self._moments(),
        )

    def load(self, state: State) -> None:
        """Become that state; raises `ValueError` naming the tensor that does not fit."""
        fill("live", self._parameters, state.live)
        fill("buffers", dict(self.networks.named_buffers()), state.buffers)
        fill("averaged", self.averages(), state.averaged)
        self._load_moments(state.optimizer)

    def _moments(self) -> dict[str, Tensor]:
        every = (moments(optimizer, self._parameters) for optimizer in self._optimizers)
        return {name: moment for found in every for name, moment in found.items()}

    def _load_moments(self, tensors: Mapping[str, Tensor]) -> None:
        for optimizer in self._optimizers:
            load_moments(optimizer, self._parameters, tensors)


@torch.no_grad()
def fill(section: str, targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy `values` into `targets` in place, name by name.

    Raises `ValueError` naming the section and the tensor when one is missing, left over or of
    another shape; nothing was written then.
    """
    for name, target in targets.items():
        if name not in values:
            raise ValueError(f"the state lacks the {section} tensor {name!r}")
        if values[name].shape != target.shape:
            raise ValueError(
                f"the {section} tensor {name!r} has shape {list(values[name].shape)} in the "
                f"state, but {list(target.shape)} in this architecture"
            )
    left_over = sorted(set(values) - set(targets))
    if left_over:
        raise ValueError(f"this architecture has no {section} tensor {left_over[0]!r}")
    for name, target in targets.items():
        target.copy_(values[name])
