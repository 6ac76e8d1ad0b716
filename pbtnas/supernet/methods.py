"""Published methods of weight sharing as data: what each sets of the options of `supernet`.

A method is a point of a grid: how a step runs the supernet (`relaxation`), what learns the
architecture (`architecture_step`), by which images (`objective`), in which order (`first`) and by
which derivative (`gradient`).  GAEA-X is X with an exponentiated step in place of Adam's.

The settings are those for search on CIFAR-10: of the paper that introduces a method, and for RS-WS,
GDAS and ENAS of the code published with NAS-Bench-201.
"""

from __future__ import annotations

from collections.abc import Mapping

Settings = Mapping[str, object]

_SGD: Settings = {
    "learning_rate": 0.025,
    "lowest_rate": 0.001,
    "momentum": 0.9,
    "weight_decay": 3e-4,
    "batch_size": 64,
    "schedule_epochs": 50,
    "statistics": "batch",
}
_NESTEROV: Settings = {**_SGD, "weight_decay": 5e-4, "nesterov": True, "schedule_epochs": 250}
_ADAM: Settings = {
    "architecture_step": "adam",
    "architecture_rate": 3e-4,
    "architecture_betas": [0.5, 0.999],
    "architecture_decay": 1e-3,
}
_EXPONENTIATED: Settings = {
    "architecture_step": "exponentiated",
    "architecture_rate": 0.1,
    "architecture_decay": 0.0,
}

_RS_WS: Settings = {**_NESTEROV, "relaxation": "path", "clip": 5.0, "choices": 100}
_ENAS: Settings = {
    **_SGD,
    "relaxation": "path",
    "architecture_step": "reinforce",
    "architecture_rate": 1e-3,
    "architecture_betas": [0.0, 0.999],
    "learning_rate": 0.05,
    "lowest_rate": 0.0005,
    "weight_decay": 2.5e-4,
    "batch_size": 128,
    "schedule_epochs": 250,
    "clip": 5.0,
    "choices": 100,
}
_DARTS: Settings = {**_SGD, **_ADAM, "relaxation": "softmax", "clip": 5.0}
_GDAS: Settings = {
    **_NESTEROV,
    **_ADAM,
    "relaxation": "gumbel",
    "temperature": 10.0,
    "lowest_temperature": 0.1,
}
_PC_DARTS: Settings = {
    **_SGD,
    **_ADAM,
    "relaxation": "partial",
    "partial_channels": 4,
    "edge_weights": True,
    "architecture_rate": 6e-4,
    "frozen_share": 0.3,
    "learning_rate": 0.1,
    "lowest_rate": 0.0,
    "batch_size": 256,
}
_GAEA_BILEVEL: Settings = {**_DARTS, **_EXPONENTIATED}
_OF_GAEA_GDAS: Settings = {
    "architecture_rate": 0.01,
    "frozen_share": 0.2,
    "pull_to_uniform": 0.01,
    "normalise_first": True,
}

METHODS: Mapping[str, Settings] = {
    "rs-ws": _RS_WS,
    "enas": _ENAS,
    "darts-1": _DARTS,
    "darts-2": {**_DARTS, "gradient": "second-order"},
    "gdas": _GDAS,
    "pc-darts": _PC_DARTS,
    "gaea-erm": {**_GAEA_BILEVEL, "objective": "single-level"},
    "gaea-bilevel": _GAEA_BILEVEL,
    "gaea-gdas": {**_GDAS, **_EXPONENTIATED, **_OF_GAEA_GDAS},
    "gaea-pc-darts": {**_PC_DARTS, **_EXPONENTIATED, "frozen_share": 0.0},
}
"""The settings of each method by option; all other options keep their defaults."""

LEFT_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "gaea-erm": {"nb201": ("none",)},
    "gaea-bilevel": {"nb201": ("none",)},
}
"""Operations that published searches leave out, by method and space."""


def settings_of(method: object, space: object) -> dict[str, object]:
    """What a method sets on a space; nothing for a name that is none."""
    if not isinstance(method, str) or method not in METHODS:
        return {}
    left_out = LEFT_OUT.get(method, {}).get(str(space))
    return {**METHODS[method], **({"exclude": list(left_out)} if left_out else {})}
