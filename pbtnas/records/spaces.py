"""A search space as JSON, so that a run can speak about its architectures without its task.

JSON has lists where options are tuples; a list is no option, so each comes back as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pbtnas.search.space import SearchSpace, Variable


def space_to_json(space: SearchSpace) -> list[dict[str, Any]]:
    """Names, options and modules of all variables, in their order, and which are ordered."""
    return [
        {"name": v.name, "options": list(v.options), "modules": list(v.modules)}
        | ({"ordered": True} if v.ordered else {})
        for v in space
    ]


def space_from_json(data: Iterable[Mapping[str, Any]]) -> SearchSpace:
    """The space that `space_to_json` wrote."""
    return SearchSpace(
        Variable(v["name"], tuple(v["options"]), tuple(v["modules"]), v.get("ordered", False))
        for v in data
    )
