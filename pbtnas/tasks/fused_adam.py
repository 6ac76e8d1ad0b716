"""Steps of a fused Adam for those who have the gradients in hand."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class FusedAdam:
    """Makes the steps of a fused `torch.optim.Adam`, which keeps the moments.

    At the size of the digits networks, gathering its lists anew, hooks and profiling take two
    thirds of `step`.  Make one when the moments are where they stay, for a job.

    Args:
        optimizer: `torch.optim.Adam(parameters, fused=True)` with one group, whose settings do not
            change.
    """

    def __init__(self, optimizer: torch.optim.Adam) -> None:
        (self._group,) = optimizer.param_groups
        assert self._group["fused"] and not self._group["amsgrad"]
        self._optimizer = optimizer
        self._parameters: list[Tensor] = self._group["params"]
        self._moments: tuple[list[Tensor], list[Tensor]] | None = None
        self._steps: list[Tensor] = []

    @torch.no_grad()
    def step(self, gradients: Mapping[Tensor, Tensor]) -> None:
        """Make a step, with a gradient of the same layout for every parameter."""
        if self._moments is None:
            self._first(gradients)
            return
        group = self._group
        beta1, beta2 = group["betas"]
        torch._foreach_add_(self._steps, 1)
        torch._fused_adam_(
            self._parameters,
            [gradients[parameter] for parameter in self._parameters],
            *self._moments,
            [],
            self._steps,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=group["maximize"],
        )

    def _first(self, gradients: Mapping[Tensor, Tensor]) -> None:
        """A step of torch's own, which makes the moments that are missing."""
        for parameter in self._parameters:
            assert gradients[parameter].stride() == parameter.stride(), "the kernel ignores strides"
            parameter.grad = gradients[parameter]
        self._optimizer.step()
        self._optimizer.zero_grad()
        states = [self._optimizer.state[parameter] for parameter in self._parameters]
        self._steps = [state["step"] for state in states]
        self._moments = [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states]
