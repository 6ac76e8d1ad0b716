"""Checks what the methods of a `SupervisedTask` return, and the numbers that it is set up with.

A `return` that was forgotten is else an error somewhere in torch, far from the method.  All of it
raises `TaskFault` with the place of the method.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from pbtnas.tasks.faults import TaskFault, is_ours, place_of
from pbtnas.tasks.findings import in_words
from pbtnas.tasks.updates import PRECISIONS

if TYPE_CHECKING:
    from pbtnas.tasks.supervised import SupervisedTask


def check_settings(task: SupervisedTask) -> None:
    """Refuse settings of a step that cannot work."""
    size, norm = task.batch_size, task.clip_norm
    expected = {}
    if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
        expected["batch_size"] = "an integer of at least 1"
    if norm is not None and not (isinstance(norm, Real) and norm > 0):
        expected["clip_norm"] = "a number above 0, or None"
    if task.precision not in PRECISIONS:
        expected["precision"] = f"one of {', '.join(map(repr, PRECISIONS))}"
    for name, words in expected.items():
        found = in_words(getattr(task, name))
        raise TaskFault(f"{place_of(type(task))}: {name} is {found}; expected {words}")


def network(task: SupervisedTask, built: Any) -> nn.Module:
    """What `build` returned, if it is a network that can be trained."""
    if not isinstance(built, nn.Module):
        raise _unfit(task, "build", built, "an nn.Module")
    if any(is_lazy(tensor) for tensor in (*built.parameters(), *built.buffers())):
        raise _fault(
            task,
            "build",
            "a network with lazy modules, whose shapes are not known yet; give it a batch before "
            "it is returned",
        )
    if not any(parameter.requires_grad for parameter in built.parameters()):
        raise _fault(task, "build", "a network without a parameter to train")
    return built


def optimizer(task: SupervisedTask, made: Any) -> Optimizer:
    """What `optimizer` returned, if it is one."""
    if not isinstance(made, Optimizer):
        raise _unfit(task, "optimizer", made, "an optimiser of torch.optim")
    return made


def schedule(task: SupervisedTask, made: Any) -> Any:
    """What `schedule` returned, if it can make steps."""
    if made is not None and not hasattr(made, "step"):
        raise _unfit(task, "schedule", made, "a schedule of torch.optim.lr_scheduler, or None")
    return made


def loss(task: SupervisedTask, value: Any) -> Tensor:
    """What `loss` returned in training, if it has gradients."""
    if not isinstance(value, Tensor):
        raise _unfit(task, "loss", value, "a tensor of one number")
    if value.numel() != 1 or value.is_complex():
        what = f"a tensor {list(value.shape)} of {value.dtype}"
        raise _fault(task, "loss", f"{what}, expected one real number: a mean or a sum")
    if not value.requires_grad:
        raise _fault(
            task,
            "loss",
            "a number that depends on no parameter; compute it from the outputs, without item(), "
            "detach() or numpy",
        )
    return value


def batches(task: SupervisedTask, method: str, given: Any, *, counted: bool = False) -> Any:
    """What a method returned as batches, if one can walk through them and, if asked, count them."""
    if not hasattr(given, "__iter__"):
        raise _unfit(task, method, given, "a list of batches, or a DataLoader")
    if counted and not hasattr(given, "__len__"):
        raise _unfit(task, method, given, "something with a length: a list, or a DataLoader")
    return given


def check_length(task: SupervisedTask, found: int, steps: int) -> None:
    """Refuse an epoch of another length than the first has: interrupted jobs go by its count."""
    if found != steps:
        raise TaskFault(
            f"{place(task, 'train_batches')}: train_batches() gives {found} batches where its "
            f"length was {steps}; that must be true, and the same for all seeds"
        )


def pair(task: SupervisedTask, given: Any) -> tuple[Any, Any]:
    """What `augment` returned, if it is inputs and targets."""
    if not (isinstance(given, tuple | list) and len(given) == 2):
        raise _unfit(task, "augment", given, "a pair (inputs, targets)")
    return given[0], given[1]


def _unfit(task: SupervisedTask, method: str, value: Any, expected: str) -> TaskFault:
    return _fault(task, method, f"{in_words(value)}, expected {expected}")


def _fault(task: SupervisedTask, method: str, what: str) -> TaskFault:
    return TaskFault(f"{place(task, method)}: {method}() returned {what}")


def place(task: SupervisedTask, method: str) -> str:
    """Where the user's method is, or the class if it is a default of ours that failed."""
    function = getattr(type(task), method)
    return place_of(type(task) if is_ours(function) else function)
