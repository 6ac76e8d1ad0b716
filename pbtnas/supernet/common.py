"""Subnets that are run on the same images: what they have in common is computed once.

A module that gets a tensor which it got before gives the output that it gave.  So the stem runs
once for all subnets, and each operation of the first cell once for each of its inputs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from pbtnas.models.edges import Edge
from pbtnas.supernet.sharing import Supernet

_KEPT = 32
"""Outputs that are kept: stem, entry and first cell of the space of 64 need 26."""


@contextmanager
def computed_once(supernet: Supernet, images: Tensor) -> Iterator[None]:
    """Let modules give their output again while a network is run as several subnets.

    The network is in evaluation mode, without gradients, and gets these very images each time.  The
    bits are those of every subnet run by itself.  Run each time are modules that are called with
    more than a tensor, that hold an edge, that have tensors which each subnet has for itself, or
    that change their input in place.  All others have to compute their output from their input.
    """
    network = supernet.network
    own = {id(network.get_submodule(name.rpartition(".")[0])) for name in supernet.private_names()}
    outputs = _Outputs(images)
    modules = [
        module
        for path, module in network.named_modules()
        if path and "forward" not in vars(module)
        if not any(isinstance(part, Edge) or id(part) in own for part in module.modules())
    ]
    for module in modules:
        vars(module)["forward"] = partial(outputs.of, module, module.forward)
    try:
        yield
    finally:
        for module in modules:
            del vars(module)["forward"]


@dataclass(frozen=True, eq=False)
class _Output:
    """What a module made of its input; versions change where one of both is changed in place."""

    x: Tensor
    y: Tensor
    versions: tuple[int, int]

    def holds(self) -> bool:
        return (self.x._version, self.y._version) == self.versions


class _Outputs:
    """The last outputs of modules for inputs that subnets may have in common."""

    def __init__(self, images: Tensor) -> None:
        self._images = images
        self._kept: OrderedDict[tuple[int, int], _Output] = OrderedDict()
        self._inside = False  # of a module whose output is to be kept

    def of(self, module: nn.Module, forward: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
        """The output of a module for its inputs, new or again."""
        if self._inside or named or len(inputs) != 1 or not self._common(inputs[0]):
            return forward(*inputs, **named)
        x = inputs[0]
        key = id(module), id(x)  # the entry keeps `x` alive
        kept = self._kept.get(key)
        if kept is not None and kept.holds():
            self._kept.move_to_end(key)
            return kept.y
        self._inside, version = True, x._version
        try:
            y = forward(x)
        finally:
            self._inside = False
        if isinstance(y, Tensor) and x._version == version:
            self._kept[key] = _Output(x, y, (version, y._version))
            self._kept.move_to_end(key)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return y

    def _common(self, x: Any) -> bool:
        """Whether other subnets may come with the same tensor."""
        return x is self._images or any(x is output.y for output in self._kept.values())
