"""How architectures of NAS-Bench-201 are written: as digits, and as the benchmark's text.

Both go through the edges in the order of the variables.  The digits are the options, counted from
0 as in the published table: 333132 is `|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+...`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pbtnas.search.space import Architecture

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The options of each variable, in their order."""

EDGES = ("e01", "e02", "e12", "e03", "e13", "e23")
"""The edges of a cell, in the order of the variables; e01 leads from node 0 to node 1."""

_SOURCES = ((0,), (0, 1), (0, 1, 2))  # of the edges into the nodes 1, 2 and 3


def digits(architecture: Sequence[int]) -> str:
    """The name of an architecture in the published table, such as "333132"."""
    return "".join(map(str, architecture))


def written(architecture: Sequence[int]) -> str:
    """The text of an architecture as the benchmark writes it: `|op~0|+|op~0|op~1|+...`."""
    chosen = iter(architecture)
    return "+".join(
        "".join(f"|{OPERATIONS[next(chosen)]}~{source}" for source in sources) + "|"
        for sources in _SOURCES
    )


def read(text: str) -> Architecture:
    """The architecture that a text or six digits stand for.

    Raises `ValueError`, which says what of the text is wrong.
    """
    text = text.strip()
    if "|" not in text:
        return _of_digits(text)
    nodes = text.split("+")
    if len(nodes) != len(_SOURCES):
        raise ValueError(f"{text!r} has {len(nodes)} nodes, expected 3, joined by +")
    return tuple(
        option
        for node, (part, sources) in enumerate(zip(nodes, _SOURCES, strict=True), start=1)
        for option in _of_node(node, part, sources)
    )


def _of_digits(text: str) -> Architecture:
    allowed = "".join(str(option) for option, _ in enumerate(OPERATIONS))
    if len(text) != len(EDGES) or not set(text) <= set(allowed):
        raise ValueError(
            f"{text!r} is no architecture of NAS-Bench-201: expected {len(EDGES)} digits from 0 to "
            f"{allowed[-1]}, or a text |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
        )
    return tuple(map(int, text))


def _of_node(node: int, part: str, sources: Sequence[int]) -> list[int]:
    """The options of the edges into a node."""
    expected = "".join(f"|op~{source}" for source in sources) + "|"
    edges = part.strip().split("|")
    if len(edges) != len(sources) + 2 or edges[0] or edges[-1]:
        raise ValueError(f"node {node} is {part!r}, expected {expected}")
    options = []
    for edge, source in zip(edges[1:-1], sources, strict=True):
        operation, _, origin = edge.partition("~")
        if origin != str(source):
            raise ValueError(f"node {node} is {part!r}, expected {expected}")
        if operation not in OPERATIONS:
            raise ValueError(
                f"node {node} has the operation {operation!r}, expected one of "
                + ", ".join(OPERATIONS)
            )
        options.append(OPERATIONS.index(operation))
    return options
