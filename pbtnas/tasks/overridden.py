"""Checks what the methods of a `SupervisedTask` that users override gave.

A `return` that was forgotten, or a loss of another kind, would be told by torch far away from it.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.optim import Optimizer

from pbtnas.tasks.base import TaskError
from pbtnas.tasks.faults import TaskFault, is_ours, place_of
from pbtnas.tasks.findings import in_words, number


def network(made: Any, task: Any) -> nn.Module:
    """What `build` gave.  Raises `TaskFault` if it is no network that can be trained."""
    if not isinstance(made, nn.Module):
        raise _fault(task, "build", f"gave {in_words(made)}, expected an nn.Module")
    for name, parameter in made.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            raise _fault(
                task,
                "build",
                f"gave a network whose parameter {name!r} has no shape yet; call a lazy module "
                "once with an example, before it is returned",
            )
    if not any(parameter.requires_grad for parameter in made.parameters()):
        raise _fault(task, "build", "gave a network without a parameter that can be trained")
    return made


def optimizer(made: Any, task: Any) -> Optimizer:
    """What `optimizer` gave.  Raises `TaskFault` if it is none."""
    if not isinstance(made, Optimizer):
        raise _fault(task, "optimizer", f"gave {in_words(made)}, expected a torch.optim.Optimizer")
    return made


def augmented(batch: Any, task: Any) -> tuple[Any, Any]:
    """What `augment` gave.  Raises `TaskFault` if it is no pair."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        given = f"a {type(batch).__name__}" if isinstance(batch, Tensor) else in_words(batch)
        raise _fault(task, "augment", f"gave {given}, expected a pair (inputs, targets)")
    inputs, targets = batch
    return inputs, targets


def loss(found: Any, task: Any, *, trained: bool) -> Tensor:
    """What `loss` gave.  Raises `TaskFault` if it cannot be minimised.

    Args:
        found: what it gave.
        task: the task.
        trained: whether gradients come from it.
    """
    if not isinstance(found, Tensor):
        raise _fault(task, "loss", f"gave {in_words(found)}, expected a tensor of one number")
    if found.numel() != 1:
        shape = list(found.shape)
        raise _fault(task, "loss", f"gave the shape {shape}, expected one number, such as its mean")
    if trained and not found.requires_grad:
        raise _fault(
            task, "loss", "gave a number without a gradient: is it detached, or made of a float?"
        )
    return found


def score(found: Any, task: Any) -> float:
    """What `score` gave, as a number of Python.  Raises `TaskFault` if it is none."""
    return number(found, f"{_place(task, 'score')}: score()")


def check_settings(task: Any) -> None:
    """Raise `TaskError` for a batch size or a norm that cannot be."""
    size, norm = task.batch_size, task.clip_norm
    if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
        raise TaskError(f"batch_size is {size!r}; expected an integer of at least 1")
    if norm is not None and not (isinstance(norm, Real) and float(norm) > 0):
        raise TaskError(f"clip_norm is {norm!r}; expected a number above 0, or None")


def _fault(task: Any, method: str, what: str) -> TaskFault:
    return TaskFault(f"{_place(task, method)}: {method}() {what}")


def _place(task: Any, method: str) -> str:
    """Where the user's method is, or the class if it is a default of ours that failed."""
    function = getattr(type(task), method)
    return place_of(type(task) if is_ours(function) else function)
