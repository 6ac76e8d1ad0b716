"""Defines a search space: variables, their options, and the modules each variable owns.

Pure: no torch, no files, no clock; randomness is passed in.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pbtnas.search.options import Option, plain_options

Architecture = tuple[int, ...]
"""One option index per variable, in the order of the space."""


@dataclass(frozen=True)
class Variable:
    """One categorical choice, and the modules whose weights go with it.

    Args:
        name: Name, unique in the space; usually the dotted path of the module it decides.
        options: Plain values to choose from, all different: numbers, text, bools, None or tuples
            of these.  Scalars of numpy become Python's.  A single one is what every network has.
        modules: Dotted paths of the modules whose tensors are inherited together with the
            choice.  Several for a width shared by two networks, none for a switch.
        ordered: Whether this is a ladder: its options are numbers, ascending, of which children
            may get a neighbour of the one that they inherit.  A ladder has no modules.
    """

    name: str
    options: tuple[Option, ...]
    modules: tuple[str, ...] = ()
    ordered: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ValueError(f"the name of a variable is text, not {self.name!r}")
        if not self.name:
            raise ValueError("a variable needs a name")
        object.__setattr__(self, "options", plain_options(self.name, self.options))
        if not self.options:
            raise ValueError(f"variable {self.name!r} needs at least one option")
        if len({repr(option) for option in self.options}) < len(self.options):
            raise ValueError(f"variable {self.name!r} lists an option twice: {self.options}")
        if isinstance(self.modules, str) or not all(isinstance(m, str) for m in self.modules):
            raise ValueError(
                f"variable {self.name!r}: modules is a tuple of dotted paths, not {self.modules!r}"
            )
        object.__setattr__(self, "modules", tuple(self.modules))
        if any(not all(module.split(".")) for module in self.modules):
            raise ValueError(f"variable {self.name!r} has a malformed module path: {self.modules}")
        if not isinstance(self.ordered, bool):
            raise ValueError(
                f"variable {self.name!r}: ordered is True or False, not {self.ordered!r}"
            )
        if self.ordered:
            _check_ladder(self)


def layer(name: str, options: Iterable[Option]) -> Variable:
    """A choice of operation; its weights live in the module of the same name."""
    return Variable(name, plain_options(name, options), modules=(name,))


def switch(name: str, options: Iterable[Option]) -> Variable:
    """A choice that carries no weights: it is inherited by value only."""
    return Variable(name, plain_options(name, options))


class SearchSpace:
    """An ordered set of variables, and everything an architecture of it can be asked.

    Raises `ValueError` when two variables share a name, or when one variable's module is or
    contains another's: every tensor must have at most one owner.
    """

    def __init__(self, variables: Iterable[Variable]) -> None:
        if not isinstance(variables, Iterable) or isinstance(variables, str):
            raise ValueError(f"expected a list of variables, not {variables!r}")
        self.variables = tuple(variables)
        for variable in self.variables:
            if not isinstance(variable, Variable):
                raise ValueError(f"expected variables, made by layer() or switch(): {variable!r}")
        if not self.variables:
            raise ValueError("a search space needs at least one variable")
        self._index = {v.name: i for i, v in enumerate(self.variables)}
        if len(self._index) < len(self.variables):
            names = [v.name for v in self.variables]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"two variables of the same name: {', '.join(twice)}")
        self._owner: dict[str, int] = {}
        for i, variable in enumerate(self.variables):
            for module in variable.modules:
                self._claim(module, i)

    def _claim(self, module: str, index: int) -> None:
        for taken, other in self._owner.items():
            if _contains(taken, module) or _contains(module, taken):
                raise ValueError(
                    f"variables {self.variables[other].name!r} and {self.variables[index].name!r} "
                    f"both claim module {module!r} (as {taken!r} and {module!r})"
                )
        self._owner[module] = index

    def __len__(self) -> int:
        return len(self.variables)

    def __iter__(self) -> Iterator[Variable]:
        return iter(self.variables)

    @property
    def size(self) -> int:
        """Number of architectures, counting those that mean the same network."""
        return math.prod(len(v.options) for v in self.variables)

    @property
    def ladders(self) -> tuple[int, ...]:
        """Indices of the ordered variables, ascending."""
        return tuple(i for i, variable in enumerate(self.variables) if variable.ordered)

    def owner(self, parameter_name: str) -> int | None:
        """Index of the variable that owns a tensor, or None if it always comes from the base.

        Matches whole dotted parts: a variable owning `conv1` never claims `conv10.weight`.
        """
        path = parameter_name
        while path:
            if path in self._owner:
                return self._owner[path]
            path = path.rpartition(".")[0]
        return None

    def sample(self, rng: random.Random) -> Architecture:
        """A uniformly random architecture; consumes one draw of `rng` per variable."""
        return tuple(rng.randrange(len(v.options)) for v in self.variables)

    def decode(self, architecture: Sequence[int]) -> dict[str, Option]:
        """The chosen option by variable name.

        Raises `ValueError` when the architecture is not one of this space.
        """
        self.check(architecture)
        return {v.name: v.options[i] for v, i in zip(self.variables, architecture, strict=True)}

    def encode(self, choices: Mapping[str, Option]) -> Architecture:
        """The architecture that makes exactly these choices, one for every variable.

        Raises `ValueError` naming the variable that is unknown, missing or has no such option.
        """
        unknown = sorted(set(choices) - set(self._index))
        missing = [v.name for v in self.variables if v.name not in choices]
        if unknown or missing:
            raise ValueError(f"unknown variables: {unknown}; missing variables: {missing}")
        return tuple(_option_index(v, choices[v.name]) for v in self.variables)

    def check(self, architecture: Sequence[int]) -> None:
        """Raise `ValueError` unless this is an architecture of the space."""
        if len(architecture) != len(self.variables):
            raise ValueError(
                f"an architecture of this space has {len(self.variables)} choices, "
                f"this one has {len(architecture)}"
            )
        for variable, index in zip(self.variables, architecture, strict=True):
            if not 0 <= index < len(variable.options):
                raise ValueError(
                    f"variable {variable.name!r} has options 0 to {len(variable.options) - 1}, "
                    f"not {index}"
                )

    def describe(self) -> list[tuple[int, str, str, str]]:
        """One row a variable: index, name, options, modules (for tables and digests)."""
        return [
            (i, v.name, _described(v), ", ".join(v.modules) or "-")
            for i, v in enumerate(self.variables)
        ]


def _check_ladder(variable: Variable) -> None:
    """Raise `ValueError` unless an ordered variable is one that can move."""
    if variable.modules:
        raise ValueError(
            f"ladder {variable.name!r} owns modules, {', '.join(variable.modules)}: expected none, "
            "since weights cannot move from rung to rung"
        )
    rungs = [o for o in variable.options if isinstance(o, int | float) and not isinstance(o, bool)]
    if len(rungs) < len(variable.options) or any(a >= b for a, b in pairwise(rungs)):
        raise ValueError(
            f"ladder {variable.name!r}: expected ascending numbers as rungs, not {variable.options}"
        )


def _contains(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith(outer + ".")


def _described(variable: Variable) -> str:
    if variable.ordered:
        rungs = variable.options
        return f"{rungs[0]} to {rungs[-1]}, a ladder of {len(rungs)}"
    return ", ".join(map(str, variable.options))


def _option_index(variable: Variable, value: Option) -> int:
    # True == 1 in Python; a switch over (False, True) must not accept 1 for True.
    for i, option in enumerate(variable.options):
        if option == value and isinstance(option, bool) == isinstance(value, bool):
            return i
    raise ValueError(f"variable {variable.name!r} has options {variable.options}, not {value!r}")
