"""Finds options that make no difference: not in the weights, nor in the score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pbtnas.search.space import Architecture, SearchSpace

Alike = Callable[[Architecture, Architecture], bool]
"""Whether two architectures cannot be told apart by their members."""


def without_effect(
    space: SearchSpace, usual: Sequence[Architecture], alike: Alike
) -> Iterator[str]:
    """A sentence for each option that could be left out.

    Args:
        space: the search space.
        usual: architectures in which one option after the other is exchanged; more than one,
            since a part that is switched off in the first may be on in the next.
        alike: compares two architectures.
    """
    for i, variable in enumerate(space):
        for option in range(1, len(variable.options)):
            if all(alike(_with(a, i, 0), _with(a, i, option)) for a in usual):
                yield (
                    f"variable {variable.name!r}: {variable.options[0]!r} and "
                    f"{variable.options[option]!r} make the same network: no tensor differs after "
                    f"training, nor does the score (in {len(usual)} random architectures); is the "
                    "choice used where the network is built?"
                )


def _with(architecture: Architecture, index: int, option: int) -> Architecture:
    return (*architecture[:index], option, *architecture[index + 1 :])
