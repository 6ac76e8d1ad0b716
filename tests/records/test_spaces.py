"""A search space in a record: it comes back as it was given."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.records.spaces import space_from_json, space_to_json
from pbtnas.search.ladders import ladder
from pbtnas.search.space import SearchSpace, Variable

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
options = st.recursive(plain | st.text(), lambda items: st.lists(items, max_size=3).map(tuple))
variables = st.builds(
    Variable,
    st.just("one"),
    st.lists(options, min_size=2, max_size=5, unique_by=repr).map(tuple),
    st.sampled_from([(), ("a",), ("a", "b.c")]),
)


@given(variables)
@settings(deadline=None, max_examples=30)
def test_a_space_comes_back_as_it_was_given(variable: Variable) -> None:
    """Names, modules, and every kind of option: 1 is not 1.0 or True, a tuple is a tuple."""
    space = SearchSpace([variable, Variable("two", (False, 0, 0.0, "", None, (), (1, ("x",))))])
    stored = json.loads(json.dumps(space_to_json(space)))

    assert list(map(repr, space_from_json(stored))) == list(map(repr, space))


def test_only_ladders_are_written_as_ordered() -> None:
    """A space without ladders is written as it always was; one with them comes back ordered."""
    space = SearchSpace([Variable("one", (1, 2)), ladder("rate", 0.1, 1, 3)])
    stored = json.loads(json.dumps(space_to_json(space)))

    assert stored == [
        {"name": "one", "options": [1, 2], "modules": []},
        {"name": "rate", "options": [0.1, 0.316227766, 1.0], "modules": [], "ordered": True},
    ]
    assert list(space_from_json(stored)) == list(space)
