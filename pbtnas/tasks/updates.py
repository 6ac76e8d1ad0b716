"""One step of an optimiser as people write it: precision, clipping, closures and schedules."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pbtnas.tasks.base import Json, TaskError

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""What networks may compute with in training; their weights are float32 in any case."""

_NOTED = "initial_lr"  # the key of a group that every schedule of torch adds


class Update:
    """Minimises losses with an optimiser, one step a call.

    Args:
        optimizer: the optimiser; asked with a closure if its step needs one.
        device: the torch device of its parameters.
        precision: one of `PRECISIONS`.
        clip_norm: gradients are scaled down to this norm of all together; None for never.
        closure: whether the optimiser wants a closure, though its step can do without.
        scaling: the state of the loss's scaling, as `scaling` gave it; None for a fresh one.

    Raises `TaskError` for a precision that cannot be had with a closure.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        device: str,
        precision: str = "float32",
        clip_norm: float | None = None,
        closure: bool = False,
        scaling: Json = None,
    ) -> None:
        self._optimizer = optimizer
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._kind = torch.device(device).type
        self._dtype = PRECISIONS[precision]
        self._clip_norm = clip_norm
        self._own_zero_grad = type(optimizer).zero_grad is not Optimizer.zero_grad
        self._closure = closure or _needs_closure(optimizer)
        self._scaler: torch.amp.GradScaler | None = None
        if self._dtype is torch.float16:
            if self._closure:
                raise TaskError(
                    "precision 'float16' scales the loss, which an optimiser with a closure does "
                    "not allow; use 'bfloat16'"
                )
            self._scaler = torch.amp.GradScaler(self._kind)
            if isinstance(scaling, Mapping):
                whole = self._scaler.state_dict()
                self._scaler.load_state_dict({**whole, **scaling})

    @property
    def scaling(self) -> dict[str, Json] | None:
        """How the loss is scaled, and since how many steps; None where it is not."""
        if self._scaler is None:
            return None
        state = self._scaler.state_dict()
        return {"scale": float(state["scale"]), "_growth_tracker": int(state["_growth_tracker"])}

    def __call__(self, loss: Callable[[], Tensor]) -> float:
        """Make a step; the loss before it.

        Raises `TaskError` if the optimiser was to call its closure and did not.
        """
        return self._with_closure(loss) if self._closure else self._without(loss)

    def _without(self, loss: Callable[[], Tensor]) -> float:
        value = self._computed(loss)
        self._forget_gradients()
        if self._scaler is None:
            torch.autograd.backward(value)
            self._clip()
            self._optimizer.step()
        else:
            torch.autograd.backward(self._scaler.scale(value))
            self._scaler.unscale_(self._optimizer)
            self._clip()
            self._scaler.step(self._optimizer)
            self._scaler.update()
        return value.item()

    def _with_closure(self, loss: Callable[[], Tensor]) -> float:
        values: list[float] = []

        def closure() -> Tensor:
            self._forget_gradients()
            value = self._computed(loss)
            torch.autograd.backward(value)
            self._clip()
            values.append(value.item())
            return value

        self._optimizer.step(closure)  # type: ignore[arg-type]  # torch says float, and uses tensors
        if isinstance(self._optimizer, LBFGS):
            # Its history is of all parameters together: no child of two parents could go on with
            # it, and in stochastic training it is of another batch.
            self._optimizer.state.clear()
        if not values:
            raise TaskError(f"{type(self._optimizer).__name__} never called its closure")
        return values[0]

    def _computed(self, loss: Callable[[], Tensor]) -> Tensor:
        if self._dtype is None:
            return loss()
        with torch.autocast(self._kind, dtype=self._dtype):
            return loss()

    def _forget_gradients(self) -> None:
        if self._own_zero_grad:
            self._optimizer.zero_grad()
            return
        # What torch's own does, without its profiling: for small networks a tenth of a step.
        for parameter in self._parameters:
            parameter.grad = None

    def _clip(self) -> None:
        if self._clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)


def settings(optimizer: Optimizer) -> list[dict[str, Any]]:
    """What the groups of an optimiser have beside their parameters: learning rates and the like."""
    return [
        copy.deepcopy({key: value for key, value in group.items() if key != "params"})
        for group in optimizer.param_groups
    ]


def replayed(
    optimizer: Optimizer,
    fresh: Sequence[Mapping[str, Any]],
    make: Callable[[Optimizer], LRScheduler | None],
    steps: int,
) -> LRScheduler | None:
    """A schedule that has made so many steps, beginning with an optimiser's `fresh` settings.

    Repeating the steps needs one number in a checkpoint, whatever the schedule keeps, and fits an
    optimiser with other groups, which a child of another architecture may have.

    Raises `TaskError` for a schedule that follows the loss.
    """
    for group, values in zip(optimizer.param_groups, fresh, strict=True):
        if _NOTED in group:  # by an earlier schedule, which has changed others too
            for key in group.keys() - values.keys() - {"params"}:
                del group[key]
            group.update(copy.deepcopy(dict(values)))
    with warnings.catch_warnings():
        # It finds that no optimiser's step came before those that are repeated.
        warnings.filterwarnings("ignore", "Detected call of", UserWarning)
        schedule = make(optimizer)
        if isinstance(schedule, ReduceLROnPlateau):
            raise TaskError(
                "schedule(): ReduceLROnPlateau follows a loss, which children do not inherit; "
                "use a schedule that is a function of the step"
            )
        if schedule is not None:
            for _ in range(steps):
                schedule.step()
    return schedule


def _needs_closure(optimizer: Optimizer) -> bool:
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty
