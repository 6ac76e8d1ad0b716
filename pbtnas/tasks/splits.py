"""The data of a supervised task: its parts, whether they can be right, and their batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor

from pbtnas.tasks.base import TaskError
from pbtnas.tasks.nested import leaves, mapped, tensors

Pair = tuple[Any, Any]
"""Inputs and targets; each a tensor [N, ...], or tensors of the same N in a tuple or mapping."""

_SCORED = 1000  # examples that are scored at once


@dataclass(frozen=True, init=False)
class Split:
    """Examples to train with, to select by, and to report a number on.

    `Split(train, validation, test)` has three parts, each a pair of inputs and targets, or a
    mapping in which the targets are called "labels".  `Split(train_x, train_y, test_x, test_y)`
    has two: its final evaluation uses the examples that the search has selected by.

    Args:
        train: the examples to train with.
        validation: the examples whose score the search maximises.
        test: the examples of the final evaluation alone; None if there are none.
    """

    train: Pair
    validation: Pair
    test: Pair | None

    @overload
    def __init__(self, train: Any, validation: Any, test: Any) -> None: ...

    @overload
    def __init__(self, train_x: Any, train_y: Any, test_x: Any, test_y: Any) -> None: ...

    def __init__(self, *parts: Any, **named: Any) -> None:
        names = _FOUR if len(parts) + len(named) == len(_FOUR) else _THREE
        given = dict(zip(names, parts, strict=False)) | named
        if len(parts) + len(named) != len(names) or given.keys() != set(names):
            raise TaskError(
                "Split: expected (train, validation, test), each a pair of inputs and targets, "
                f"or (train_x, train_y, test_x, test_y); got {len(parts)} arguments"
                + "".join(f", {name}=" for name in named)
            )
        test: Pair | None = None
        if names is _THREE:
            train, validation, test = (_pair(f"Split: {name}", given[name]) for name in names)
        else:
            train = given["train_x"], given["train_y"]
            validation = given["test_x"], given["test_y"]
        for name, part in (("train", train), ("validation", validation), ("test", test)):
            object.__setattr__(self, name, part)

    @property
    def train_x(self) -> Any:
        """Inputs to train with."""
        return self.train[0]

    @property
    def train_y(self) -> Any:
        """Targets to train with."""
        return self.train[1]

    @property
    def test_x(self) -> Any:
        """Inputs of the final evaluation."""
        return (self.test or self.validation)[0]

    @property
    def test_y(self) -> Any:
        """Targets of the final evaluation."""
        return (self.test or self.validation)[1]


_THREE = ("train", "validation", "test")
_FOUR = ("train_x", "train_y", "test_x", "test_y")


def pair_of(batch: Any) -> Pair:
    """Inputs and targets of a batch: a pair, or a mapping in which "labels" are the targets.

    Raises `TaskError` for anything else.
    """
    return _pair("a batch", batch)


def count(nest: Any) -> int:
    """How many examples [N, ...] there are in it."""
    return len(next(tensors(nest)))


def chosen(pair: Pair, which: Tensor | slice) -> Pair:
    """Some of the examples."""
    inputs, targets = pair
    return mapped(lambda tensor: tensor[which], inputs), mapped(lambda t: t[which], targets)


def in_order(pair: Pair) -> Iterator[Pair]:
    """All examples in batches, always in the same order."""
    for start in range(0, count(pair[0]), _SCORED):
        yield chosen(pair, slice(start, start + _SCORED))


@dataclass(frozen=True)
class Shuffled:
    """Whole batches of a pair [N, ...] in the given order [N]; a rest of N is left out."""

    pair: Pair
    order: Tensor
    batch_size: int

    def __len__(self) -> int:
        return len(self.order) // self.batch_size

    def __iter__(self) -> Iterator[Pair]:
        for batch in torch.split(self.order, self.batch_size)[: len(self)]:
            yield chosen(self.pair, batch)


@dataclass(frozen=True)
class Equal:
    """All of a pair [N, ...] in the given order [N], in as few batches as `largest` allows.

    They have one size, up to one example: no epoch ends with a batch of few.
    """

    pair: Pair
    order: Tensor
    largest: int

    def __len__(self) -> int:
        return -(-len(self.order) // self.largest)

    def __iter__(self) -> Iterator[Pair]:
        for batch in torch.tensor_split(self.order, len(self)):
            yield chosen(self.pair, batch)


def check(split: Split) -> None:
    """Refuse data that cannot be right: empty, or of other lengths, types or dimensions.

    Raises `TaskError` with one sentence.
    """
    for name, part in _named(split).items():
        sizes = [_size(f"{name} {what}", nest) for what, nest in _halves(part)]
        if sizes[0] != sizes[1]:
            raise TaskError(
                f"data(): {name} has {sizes[0]} inputs and {sizes[1]} targets; "
                "expected one target for each input"
            )
    for name, part in _named(split).items():
        for (what, nest), (_, usual) in zip(_halves(part), _halves(split.train), strict=True):
            form, expected = _form(nest), _form(usual)
            if form != expected:
                raise TaskError(
                    f"data(): {name} {what} are {', '.join(form)}, "
                    f"but train {what} are {', '.join(expected)}; expected the same"
                )


def describe(split: Split) -> str:
    """The data in words: how many examples of which form, and what each part is for."""
    inputs, targets = (", ".join(_shape(t) for t in tensors(half)) for half in split.train)
    numbers = f"{count(split.train[0])} examples to train with, {count(split.validation[0])}"
    if split.test is None:
        use = f"{numbers} to select by, none for the final evaluation alone"
    else:
        use = f"{numbers} to select by, {count(split.test[0])} for the final evaluation"
    return f"{use}; inputs {inputs}, targets {targets}"


def _pair(name: str, given: Any) -> Pair:
    if isinstance(given, Mapping) and "labels" in given:
        return {key: value for key, value in given.items() if key != "labels"}, given["labels"]
    if isinstance(given, tuple | list) and len(given) == 2:
        return given[0], given[1]
    what = type(given).__name__
    if isinstance(given, tuple | list):
        what += f" of {len(given)}"
    raise TaskError(
        f"{name} is a {what}; expected a pair (inputs, targets), or a mapping with 'labels'"
    )


def _named(split: Split) -> dict[str, Pair]:
    test = {} if split.test is None else {"test": split.test}
    return {"train": split.train, "validation": split.validation, **test}


def _halves(part: Pair) -> list[tuple[str, Any]]:
    return [("inputs", part[0]), ("targets", part[1])]


def _size(name: str, nest: Any) -> int:
    """How many examples there are; raises `TaskError` when that is not one positive number."""
    others = [leaf for leaf in leaves(nest) if not isinstance(leaf, Tensor)]
    if others:
        raise TaskError(f"data(): {name} hold a {type(others[0]).__name__}; expected torch tensors")
    sizes = {len(t) if t.dim() else 0 for t in tensors(nest)}
    if len(sizes) > 1:
        found = ", ".join(map(str, sorted(sizes)))
        raise TaskError(f"data(): tensors of {name} have lengths {found}; expected equal ones")
    if not sizes or sizes == {0}:
        raise TaskError(f"data(): {name} are empty; expected at least one example")
    return sizes.pop()


def _form(nest: Any) -> list[str]:
    """What parts must have in common; sides of images and lengths of texts may differ."""
    return [f"{t.dim()}-dimensional {_dtype(t)}" for t in tensors(nest)]


def _shape(tensor: Tensor) -> str:
    return f"{_dtype(tensor)} {list(tensor.shape[1:])}"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
