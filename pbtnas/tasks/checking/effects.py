"""Finds options that make no difference: not in the weights, nor in the score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pbtnas.search.space import Architecture, SearchSpace, Variable

Alike = Callable[[Architecture, Architecture], bool]
"""Whether two architectures cannot be told apart by their members."""


def without_effect(
    space: SearchSpace, usual: Sequence[Architecture], alike: Alike, *, ladders: bool = True
) -> Iterator[str]:
    """A sentence for each option that could be left out, and each ladder with alike ends.

    Args:
        space: the search space.
        usual: architectures in which one option after the other is exchanged; more than one,
            since a part that is switched off in the first may be on in the next.
        alike: compares two architectures.
        ladders: whether ladders are tried, too.
    """
    for i, variable in enumerate(space):
        if variable.ordered and not ladders:
            continue
        for option in tried_options(variable)[1:]:
            if all(alike(exchanged(a, i, 0), exchanged(a, i, option)) for a in usual):
                yield (
                    f"variable {variable.name!r}: {variable.options[0]!r} and "
                    f"{variable.options[option]!r} make the same network: no tensor differs after "
                    f"training, nor does the score (in {len(usual)} random architectures); is the "
                    f"choice used {_where(variable)}?"
                )


def tried_options(variable: Variable) -> list[int]:
    """The options that networks are built with: all, but of a ladder only the ends."""
    last = len(variable.options) - 1
    return sorted({0, last}) if variable.ordered else list(range(last + 1))


def _where(variable: Variable) -> str:
    return "in training" if variable.ordered else "where the network is built"


def exchanged(architecture: Architecture, index: int, option: int) -> Architecture:
    """The architecture with another option of one variable."""
    return (*architecture[:index], option, *architecture[index + 1 :])
