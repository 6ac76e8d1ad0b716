"""Random search spaces and populations for property tests."""

from __future__ import annotations

import math
import random

from hypothesis import strategies as st

from pbtnas.search import Member, SearchSpace, Variable

_OPTIONS: tuple[tuple[str | int | bool, ...], ...] = (
    (False, True),
    (1, 2, 3),
    ("none", "linear", "conv3", "conv5"),
    (True, 1, "1", 0, False),
)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """One to five variables: ladders, and others of two to five options and up to two modules."""
    variables = []
    for i in range(draw(st.integers(1, 5))):
        if draw(st.integers(0, 3)) == 0:
            variables.append(Variable(f"v{i}", (0, 0.5, 2, 4)[: draw(st.integers(1, 4))], (), True))
            continue
        modules = tuple(f"net.part{i}.m{k}" for k in range(draw(st.integers(0, 2))))
        variables.append(Variable(f"v{i}", draw(st.sampled_from(_OPTIONS)), modules))
    return SearchSpace(variables)


scores = st.one_of(
    st.integers(0, 3).map(float),  # few values: ties
    st.floats(-10, 10),
    st.sampled_from([None, math.nan, math.inf, -math.inf]),
)


@st.composite
def populations(draw: st.DrawFn, space: SearchSpace, smallest: int = 2) -> list[Member]:
    """Two to a dozen members of a space, in any order, some of them without a finite score."""
    rng = random.Random(draw(st.integers(0, 99)))
    found = draw(st.lists(scores, min_size=smallest, max_size=12))
    members = [Member(i, space.sample(rng), score) for i, score in enumerate(found)]
    rng.shuffle(members)
    return members
