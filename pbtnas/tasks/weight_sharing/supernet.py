"""The task `supernet`: networks that hold every operation of a space, whose architectures share.

The population has one member a part: one that spans the whole space, or one for each group.  Its
search replaces nobody.  What `subnets` and `rater` offer is work after the search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import nn

from pbtnas.models.cell64.networks import INPUT_LAYER
from pbtnas.models.edges import joint
from pbtnas.search.space import Architecture, SearchSpace, Variable
from pbtnas.supernet.costs import PassCosts, pass_costs
from pbtnas.supernet.parts import parts_of, subnets_of
from pbtnas.supernet.sharing import PRIVATE, IsPrivate, below, matching, nothing
from pbtnas.supernet.statistics import Statistics
from pbtnas.tasks.base import TaskError, UnfitOptions
from pbtnas.tasks.weight_sharing.classifying import Classifying
from pbtnas.tasks.weight_sharing.images import Batches, Problem
from pbtnas.tasks.weight_sharing.learning_member import LearningTrainee
from pbtnas.tasks.weight_sharing.learnt_architecture import ARCHITECTURE, LearntArchitecture
from pbtnas.tasks.weight_sharing.options import SupernetOptions
from pbtnas.tasks.weight_sharing.rater import SubnetRater
from pbtnas.tasks.weight_sharing.sharing_member import SupernetTrainee


class SupernetTask(Classifying):
    """Train the parts of a space with shared weights.

    For a space of your own, override `choices`, `build` and, for a prefix, `behind`; for weights
    of edges, `nodes`.  For a method of your own, `Learnt`.
    """

    Options = SupernetOptions
    Learnt: type[LearntArchitecture] = LearntArchitecture
    options: SupernetOptions
    space: SearchSpace
    trains_every = True

    def __init__(self, options: SupernetOptions | None = None) -> None:
        super().__init__(options or SupernetOptions())
        options = self.options
        self._choosing: tuple[str, Problem, Batches] | None = None
        if found := list(self._left_out_misfits()):
            raise UnfitOptions(options, found)
        every = {
            name: architecture
            for name, architecture in subnets_of(self.choices, self.name).items()
            if all(o in left for o, left in zip(architecture, self.candidates, strict=True))
        }
        with torch.random.fork_rng(devices=[]):
            network = self.build(joint(list(every.values())))
        if found := list(self._misfits(every, network)):
            raise UnfitOptions(options, found)
        self.parts = parts_of(every, options.groups, options.grouping)
        modules = [name for name, _ in network.named_children()]
        if options.sharing in ("prefix", "names"):
            named = (*network.named_parameters(), *network.named_buffers())
            private = [name for name, _ in named if self.is_private(name)]
            modules += [PRIVATE] if private else []
        learnt = self.learnt_architecture(0)
        modules += [ARCHITECTURE] if learnt is not None and learnt.parameters else []
        self.space = SearchSpace([Variable("part", tuple(self.parts), tuple(modules))])

    def _misfits(
        self, every: Mapping[str, Architecture], network: nn.Module
    ) -> Iterator[tuple[str, str]]:
        """What does not fit the space and its network."""
        options = self.options
        if len(every) % options.groups:
            yield "groups", f"a number that divides the {len(every)} architectures of the space"
        for name in [name for name in options.scored if name not in every][:1]:
            first, *_, last = every
            yield "scored", f"names of subnets, from {first} to {last}, and {name!r} is none"
        cells = next((n for n in range(options.prefix) if not self.behind(n, True)), None)
        if cells is not None:
            yield "prefix", f"at most the cells of a network, which has {cells}"
        elif options.sharing == "prefix":
            modules = dict(network.named_modules())
            behind = self.behind(options.prefix, options.shared_head)
            for module in [module for module in behind if module not in modules][:1]:
                yield (
                    "prefix",
                    f"cells that the network has, which has no module {module!r} (a network of "
                    "your own needs a method `behind`)",
                )
        names = [name for name, _ in (*network.named_parameters(), *network.named_buffers())]
        for pattern in options.private:
            found = [name for name in names if matching([pattern])(name)]
            if not found:
                yield "private", f"patterns of names of tensors, and {pattern!r} matches none"
            elif any(name.startswith(f"{INPUT_LAYER}.") for name in found):
                yield (
                    "private",
                    f"patterns that leave the input layer {INPUT_LAYER} shared, which {pattern!r} "
                    "does not",
                )

    @cached_property
    def is_private(self) -> IsPrivate:
        """Which tensors each subnet has for itself."""
        options = self.options
        if options.sharing == "prefix":
            return below(self.behind(options.prefix, options.shared_head))
        return matching(options.private) if options.sharing == "names" else nothing

    def behind(self, cells: int, shared_head: bool) -> list[str]:
        """The modules behind so many shared cells."""
        behind = [f"cells.{i}" for i in range(cells, self.options.cells)]
        return behind if shared_head else [*behind, "head"]

    def spanned(self, architecture: Architecture) -> Mapping[str, Architecture]:
        """The subnets of a member, by name."""
        self.space.check(architecture)
        return self.parts[list(self.parts)[architecture[0]]]

    def create(self, architecture: Architecture, seed: int) -> SupernetTrainee:
        """A supernet of a part, with the operations that its subnets use, on the CPU."""
        kind = SupernetTrainee if self.options.method is None else LearningTrainee
        return kind(self, self.spanned(architecture), seed)

    def learnt_architecture(self, seed: int) -> LearntArchitecture | None:
        """A new architecture to learn by the method of the options; None without a method."""
        if self.options.method is None:
            return None
        options = len(self.choices.variables[0].options)
        return self.Learnt(self.options, self.candidates, options, self.nodes, seed)

    @cached_property
    def candidates(self) -> list[list[int]]:
        """For each variable the options that are not left out."""
        exclude = self.options.exclude
        return [[o for o, n in enumerate(v.options) if n not in exclude] for v in self.choices]

    @property
    def nodes(self) -> Sequence[int]:
        """The node of a cell that the edge of each variable enters, for weights of edges."""
        return self.options.sizes().nodes()

    @cached_property
    def passes(self) -> PassCosts:
        """Multiply-adds of a forward pass of an image, with a method."""
        return pass_costs(
            self.network(self.candidates, 0), self.options.side, self.options.partial_channels
        )

    def choosing(self, device: str) -> Batches:
        """Batches that an architecture learns from, on a device."""
        bilevel, problem = self.options.objective == "bilevel", self.problem
        if self._choosing is None or self._choosing[:2] != (device, problem):
            images = (problem.held_out if bilevel else problem.train).to(device)
            batches = Batches(images, self.options.batch_size, self.appearance)
            self._choosing = device, problem, batches
        return self._choosing[2]

    def _left_out_misfits(self) -> Iterator[tuple[str, str]]:
        """What of the options of a method does not fit the space."""
        options, known = self.options, self.choices.variables[0].options
        if options.method is None:
            return
        if any(v.options != known for v in self.choices):
            yield "method", "null for a space whose variables do not all have the same options"
        for name in [name for name in options.exclude if name not in known][:1]:
            yield (
                "exclude",
                f"operations of the space, {', '.join(map(str, known))}, and {name!r} is none",
            )
        if options.edge_weights and len(self.nodes) != len(self.choices):
            yield "edge_weights", "false for a space of your own whose task has no `nodes`"
        if len(self.candidates[0]) < 2:
            yield "exclude", "to leave at least two operations"

    def subnets(self, architecture: Architecture) -> Sequence[str]:
        """The names of the subnets of a member, in order."""
        return list(self.spanned(architecture))

    def subnet_choices(self, architecture: Architecture, name: str) -> Mapping[str, Any]:
        """The operations of a subnet by variable."""
        return self.choices.decode(self.spanned(architecture)[name])

    def rater(
        self,
        architecture: Architecture,
        names: Sequence[str],
        *,
        at: Sequence[int] = (0,),
        statistics: str | None = None,
    ) -> SubnetRater:
        """A trainee of a member's state that rates some of its subnets; see `HasSubnets`."""
        subnets = self.spanned(architecture)
        for name in names:
            if name not in subnets:
                first, *_, last = subnets
                raise TaskError(f"subnet {name!r}: expected one of {first} to {last}")
        if self.options.partial_channels > 1 and any(at):
            raise TaskError(
                f"task.partial_channels {self.options.partial_channels}: a subnet of this supernet "
                "is no network alone, and cannot be tuned"
            )
        return SubnetRater(self, subnets, names, at, _statistics(statistics, self.options))


def _statistics(wanted: str | None, options: SupernetOptions) -> Statistics:
    match wanted:
        case None:
            return options.statistics
        case "running" | "batch" | "recalibrated":
            return wanted
        case _:
            raise TaskError(f"statistics {wanted!r}: expected one of running, batch, recalibrated")
