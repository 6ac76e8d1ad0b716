"""Which tensors the subnets of a supernet have in common, and which each has for itself.

What is private to a subnet, parameters and estimates of normalisation alike, is kept as
`private.SUBNET.NAME` beside the shared tensors, and takes its place in the network while the subnet
is run.  An optimiser keeps moments by parameter, so that a private one has moments of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from pbtnas.models.edges import Traversal
from pbtnas.search.space import Architecture
from pbtnas.supernet.network import Path, UsedTensors

PRIVATE = "private"
"""The module below which private tensors are kept."""

IsPrivate = Callable[[str], bool]
"""Whether each subnet has a tensor of that name for itself."""


def nothing(name: str) -> bool:
    """Every tensor is shared."""
    return False


def below(modules: Sequence[str]) -> IsPrivate:
    """What is in one of these modules is private, e.g. ("cells.1", "head")."""
    prefixes = tuple(f"{module}." for module in modules)
    return lambda name: name.startswith(prefixes)


def matching(patterns: Sequence[str]) -> IsPrivate:
    """What one of these patterns matches is private, e.g. ("cells.*.e12.*", "*.running_mean")."""
    return lambda name: any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True)
class _Place:
    """A tensor of the network that is private: where it is used, and where it is kept.

    Both are the `_parameters` or `_buffers` of a module, which `.to()` may fill anew.
    """

    used: dict[str, Any]
    leaf: str
    kept: dict[str, Any]
    name: str

    def enter(self) -> None:
        self.used[self.leaf] = self.kept[self.name]

    def leave(self) -> None:
        self.used[self.leaf] = None


class Supernet:
    """A network with the operations of several subnets, each of which can be run.

    Args:
        network: initialised network; private tensors of each subnet begin with its values.
        subnets: subnets that it spans, by name.
        is_private: tensors that each subnet has for itself.
        run_as: makes how a subnet is run from its architecture, each time.
    """

    def __init__(
        self,
        network: nn.Module,
        subnets: Mapping[str, Architecture],
        is_private: IsPrivate,
        run_as: Callable[[Architecture], Traversal] = Path,
    ) -> None:
        self.network = network
        self.subnets = dict(subnets)
        self._uses = UsedTensors(network)
        self._run_as = run_as
        self._is_private = is_private
        self._private: dict[str, list[_Place]] = {}
        self._private_names = {name for name in self._uses.names if is_private(name)}
        if self._private_names:
            self._part()

    def _part(self) -> None:
        """Give each subnet tensors of its own, and take those of the same names away."""
        homes = {
            f"{path}.{leaf}": (tensors, leaf)
            for path, module in self.network.named_modules()
            for tensors in (module._parameters, module._buffers)
            for leaf in tensors
        }
        kept = nn.ModuleDict()
        for subnet in self.subnets:
            kept[subnet] = holder = nn.Module()
            self._private[subnet] = [
                _kept(holder, name, *homes[name])
                for name in self._names(subnet)
                if self._is_private(name)
            ]
        for places in self._private.values():
            for place in places:
                place.leave()
        self.network.add_module(PRIVATE, kept)

    @contextmanager
    def entered(self, subnet: str) -> Iterator[Traversal]:
        """While it lasts, the network has the private tensors of a subnet; yields how to run it."""
        places = self._private.get(subnet, ())
        for place in places:
            place.enter()
        try:
            yield self._run_as(self.subnets[subnet])
        finally:
            for place in places:
                place.leave()

    def names(self, subnet: str) -> dict[str, str]:
        """Names of the tensors of a subnet as a network of it alone has them, and as they are here.

        The names here are those below `network`.
        """
        kept = f"{PRIVATE}.{subnet}."
        return {
            name: f"{kept}{name}" if self._is_private(name) else name
            for name in self._names(subnet)
        }

    def private_names(self) -> set[str]:
        """Names of the tensors that each subnet has for itself, as a network alone has them."""
        return set(self._private_names)

    def extract(self, subnet: str) -> dict[str, Tensor]:
        """The tensors of a subnet by their names in a network of it alone; they alias these."""
        every = self._tensors()
        return {name: every[here] for name, here in self.names(subnet).items()}

    @torch.no_grad()
    def insert(self, subnet: str, tensors: Mapping[str, Tensor]) -> None:
        """Copy the tensors of a network of a subnet alone into place."""
        for name, tensor in self.extract(subnet).items():
            tensor.copy_(tensors[name])

    def _names(self, subnet: str) -> tuple[str, ...]:
        """Names of the tensors that a subnet uses, as a network of it alone has them."""
        return self._uses.by(self.subnets[subnet])

    def _tensors(self) -> dict[str, Tensor]:
        network = self.network
        every = (*network.named_parameters(), *network.named_buffers())
        return {name: tensor.detach() for name, tensor in every}


def _kept(holder: nn.Module, name: str, used: dict[str, Any], leaf: str) -> _Place:
    """A private copy of a tensor in the module that holds those of a subnet."""
    copy = used[leaf].detach().clone()  # strides included
    # Not by `register_parameter`, which wants a module for each dot of the name: thousands of
    # modules, through which every change of mode would walk.
    kept: dict[str, Any] = holder._buffers
    if isinstance(used[leaf], nn.Parameter):
        copy, kept = nn.Parameter(copy), holder._parameters
    kept[name] = copy
    return _Place(used, leaf, kept, name)
