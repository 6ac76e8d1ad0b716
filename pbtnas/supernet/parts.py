"""The subnets of a space by name, and the parts that supernets span: all of them, or groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from pbtnas.search.partition import members_of, random_groups, similar_groups
from pbtnas.search.population import every_architecture, subnet_name
from pbtnas.search.space import Architecture, SearchSpace

Grouping = Literal["random", "similar"]


def subnets_of(
    space: SearchSpace, name: Callable[[Architecture], str] = subnet_name
) -> dict[str, Architecture]:
    """All architectures of a space by name, in order: the last variable changes fastest."""
    return {name(architecture): architecture for architecture in every_architecture(space)}


def parts_of(
    subnets: Mapping[str, Architecture], groups: int, grouping: Grouping
) -> dict[str, dict[str, Architecture]]:
    """The subnets of each part by the part's name: "all", or "g00", "g01" and so on.

    Groups are numbered by their first subnet, so that as many groups as subnets are the subnets in
    order, however grouped.

    Raises `ValueError` when `groups` does not divide the number of subnets.
    """
    if groups == 1:
        return {"all": dict(subnets)}
    cut = {"random": random_groups, "similar": similar_groups}[grouping]
    names = list(subnets)
    digits = len(str(groups - 1))
    return {
        f"g{number:0{digits}}": {names[i]: subnets[names[i]] for i in members}
        for number, members in enumerate(members_of(cut(len(names), groups)))
    }
