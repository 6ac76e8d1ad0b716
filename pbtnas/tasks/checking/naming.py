"""Checks that the tensors of a task are named as inheritance needs it.

Weights are inherited by name: a typo in a module path, or an option that renames or reshapes
what it does not own, breaks nothing.  It only makes children forget, and nobody notices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pbtnas.config.fields import closest
from pbtnas.search.space import Architecture, SearchSpace, Variable
from pbtnas.state import State
from pbtnas.tasks.checking.effects import exchanged, tried_options

_INHERITED = ("live", "buffers", "averaged")


def ownership(space: SearchSpace, states: Iterable[State]) -> str:
    """One sentence: how many variables own tensors, and which tensors nobody owns."""
    names = {name for state in states for name in _shapes(state)}
    owners = {space.owner(name) for name in names} - {None}
    unowned = sorted(name for name in names if space.owner(name) is None)
    shown = ", ".join(unowned[:6]) + (", ..." if len(unowned) > 6 else "")
    rest = f"; no variable owns {shown}: a child has them from its base" if unowned else ""
    return f"{len(owners)} of {len(space)} variables own tensors{rest}"


def naming_faults(
    space: SearchSpace, usual: Architecture, states: Mapping[Architecture, State]
) -> Iterator[str]:
    """A sentence for each variable whose tensors cannot be inherited as it says.

    But for ladders, which `ladder_faults` is about.

    Args:
        usual: an architecture.
        states: the states of those that have one of a variable's `tried_options` instead, for
            each variable, and of the usual one.
    """
    shapes = {architecture: _shapes(state) for architecture, state in states.items()}
    names = {name for found in shapes.values() for name in found}
    for i, variable in enumerate(space):
        if variable.ordered:
            continue
        yield from _without_tensors(variable, names)
        changed = _changed_elsewhere(space, i, usual, shapes)
        if changed is not None:
            yield _explain(space, variable, changed)


def ladder_faults(
    space: SearchSpace, usual: Architecture, states: Mapping[Architecture, State]
) -> Iterator[str]:
    """A sentence for each ladder that renames or reshapes a tensor; arguments as above.

    Its rungs move in every child, which would forget that tensor each time.
    """
    shapes = {architecture: _shapes(state) for architecture, state in states.items()}
    for i, variable in enumerate(space):
        tensor = _changed_elsewhere(space, i, usual, shapes) if variable.ordered else None
        if tensor is not None:
            yield (
                f"the ladder {variable.name!r} decides whether the tensor {tensor!r} exists or "
                "what shape it has: children move on ladders and keep their weights, so all rungs "
                "must have the same tensors; make it a Variable that owns the module"
            )


def _without_tensors(variable: Variable, names: set[str]) -> Iterator[str]:
    paths = {path for name in names for path in _prefixes(name)}
    for module in variable.modules:
        if module not in paths:
            match = closest(module, paths)
            hint = f"; did you mean {match!r}?" if match else ""
            yield (
                f"variable {variable.name!r} owns the module {module!r}, but with none of its "
                f"options is there a tensor: is this a typo, or should it be a switch{hint}"
            )


def _changed_elsewhere(
    space: SearchSpace,
    index: int,
    usual: Architecture,
    shapes: Mapping[Architecture, Mapping[str, object]],
) -> str | None:
    """A tensor that appears, vanishes or changes shape with a variable that does not own it."""
    before = shapes[usual]
    for option in tried_options(space.variables[index]):
        after = shapes[exchanged(usual, index, option)]
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name) and space.owner(name) != index:
                return name
    return None


def _explain(space: SearchSpace, variable: Variable, tensor: str) -> str:
    what = f"{variable.name!r} decides whether the tensor {tensor!r} exists or what shape it has"
    if not variable.modules:
        return (
            f"the switch {what}: children that get another option lose these weights; keep names "
            "and shapes the same for all options, or make it a variable that owns the module"
        )
    owner = space.owner(tensor)
    whose = "no variable" if owner is None else repr(space.variables[owner].name)
    return (
        f"the variable {what}, but {whose} owns that: its weights are lost when the variable "
        "changes; keep the same inputs and outputs for all options, or own that module too"
    )


def _shapes(state: State) -> dict[str, object]:
    """Shape and dtype of every tensor that is inherited, by parameter name."""
    shapes: dict[str, object] = {}
    for section in _INHERITED:
        for name, tensor in getattr(state, section).items():
            shapes.setdefault(name, (tensor.shape, tensor.dtype))
    return shapes


def _prefixes(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]
