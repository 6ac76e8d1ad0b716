"""Search spaces: coding, ownership of tensors, and what is refused."""

from __future__ import annotations

import enum
import json
import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pbtnas.search import SearchSpace, Variable, layer, switch
from tests.search.strategies import spaces

SPACE = SearchSpace([layer("net.conv1", ("none", "conv3", "conv5")), switch("norm", (False, True))])


@given(spaces(), st.integers())
def test_sampled_architectures_are_in_the_space_and_survive_decoding(
    space: SearchSpace, seed: int
) -> None:
    """Every sample is valid, and the choices it stands for lead back to it alone."""
    architecture = space.sample(random.Random(seed))

    space.check(architecture)
    assert architecture == space.encode(space.decode(architecture))


@given(spaces())
def test_the_size_counts_every_architecture(space: SearchSpace) -> None:
    """The size is the number of option tuples, and each variable has a row of description."""
    counted = 1
    for variable in space:
        counted *= len(variable.options)

    assert counted == space.size
    assert [v.name for v in space] == [name for _, name, _, _ in space.describe()]


def test_samples_reach_every_option_evenly() -> None:
    """Sampling is uniform: 6,000 draws of three options differ by less than five sigma."""
    rng = random.Random(0)
    drawn = [SPACE.sample(rng)[0] for _ in range(6000)]

    assert all(abs(drawn.count(option) - 2000) < 183 for option in range(3))


@given(spaces())
def test_a_module_owns_what_is_below_it_and_nothing_beside_it(space: SearchSpace) -> None:
    """Ownership follows whole dotted parts, so no module claims a neighbour or its parent."""
    for i, variable in enumerate(space):
        for module in variable.modules:
            assert i == space.owner(module) == space.owner(f"{module}.0.weight")
            assert space.owner(f"{module}0.weight") is None
            assert space.owner(f"other.{module}") is None
            assert space.owner(module.rpartition(".")[0]) is None


def test_conv1_never_claims_conv10() -> None:
    """Names that begin alike belong to different variables."""
    space = SearchSpace([layer("conv1", ("a", "b")), layer("conv10", ("a", "b"))])

    owners = [space.owner(f"{name}.weight") for name in ("conv1", "conv10", "conv100", "conv")]

    assert [0, 1, None, None] == owners


@pytest.mark.parametrize("other", ["net", "net.conv1", "net.conv1.weight"])
def test_overlapping_modules_are_refused(other: str) -> None:
    """Two variables may not own one tensor, whichever module contains the other."""
    for pair in (("net.conv1", other), (other, "net.conv1")):
        variables = [Variable(f"v{i}", (0, 1), (module,)) for i, module in enumerate(pair)]
        with pytest.raises(ValueError, match="'v0' and 'v1' both claim module"):
            SearchSpace(variables)


def test_a_variable_may_not_own_a_module_and_its_part() -> None:
    """Overlap inside one variable is a mistake in the task, and is refused too."""
    with pytest.raises(ValueError, match="both claim module 'net.a'"):
        SearchSpace([Variable("width", (0, 1), ("net", "net.a"))])


def test_names_are_unique_and_a_space_is_not_empty() -> None:
    """A name finds one variable, and there is something to search."""
    with pytest.raises(ValueError, match="two variables of the same name: act"):
        SearchSpace([switch("act", (0, 1)), switch("act", (0, 1))])
    with pytest.raises(ValueError, match="at least one variable"):
        SearchSpace([])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", (0, 1)), "needs a name"),
        (("act", ()), "'act' needs at least one option"),
        (("act", (0, 1, 0)), "'act' lists an option twice"),
        (("act", (0, 1), ("net..conv",)), "malformed module path"),
        (("act", (0, 1), ("",)), "malformed module path"),
        ((3, (0, 1)), "the name of a variable is text, not 3"),
        (("act", 3), "variable 'act': options are a list or tuple, not a value of type 'int'"),
        (("act", "relu"), "options are a list or tuple, not the text 'relu'"),
        (("act", {"relu", "tanh"}), "not a set, whose order differs by process"),
        (("act", (0, 1), "trunk"), "modules is a tuple of dotted paths, not 'trunk'"),
        (("act", (0, 1), (3,)), r"modules is a tuple of dotted paths, not \(3,\)"),
        (("act", (torch.relu, torch.tanh)), "tuple of these, not the .* 'relu'; give it a name"),
        (("act", (torch.nn.Linear, 0)), "not the class 'Linear'; give it a name"),
        (("act", (torch.nn.ReLU(), 0)), "not a value of type 'ReLU'; give it a name"),
        (("act", (torch.nn, 0)), "not the module 'torch.nn'$"),
        (("act", ((3, {4}), 0)), "not a value of type 'set'$"),
        (("act", ({"kernel": 3}, 0)), "not a value of type 'dict'$"),
        (("act", (np.arange(2), 0)), "not a value of type 'ndarray'$"),
        (("act", (0.5, math.nan)), "an option must be finite, not nan"),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused(arguments: Any, message: str) -> None:
    """Every fault of a variable is named where it is declared."""
    with pytest.raises(ValueError, match=message):
        Variable(*arguments)


@pytest.mark.parametrize("variables", ["act", 3, ["act"], switch("act", (0, 1))])
def test_a_space_is_made_of_variables(variables: Any) -> None:
    """Names alone, or a variable that is not in a list, are refused with what was expected."""
    with pytest.raises(ValueError, match="expected (a list of )?variables"):
        SearchSpace(variables)


class Word(enum.StrEnum):
    """Options as an enumeration."""

    RELU = "relu"


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        (np.arange(3, 8, 2), (3, 5, 7)),
        ((np.float64(0.5), np.float32(0.25)), (0.5, 0.25)),
        ((np.bool_(True), np.str_("a")), (True, "a")),
        (torch.tensor([1, 2]), (1, 2)),
        ([[32, np.int64(64)], (64, 128)], ((32, 64), (64, 128))),
        ((Word.RELU, "tanh"), ("relu", "tanh")),
        ({"conv": 1, "skip": 2}, ("conv", "skip")),
        ((None, 0.1), (None, 0.1)),
    ],
)
def test_options_become_plain_values(options: Any, plain: tuple[object, ...]) -> None:
    """Records and exports can hold them, and the digest of a space is that of the plain ones."""
    (variable,) = SearchSpace([switch("v", options)])

    assert repr(variable.options) == repr(plain)
    json.dumps(variable.options)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ((0,), "2 choices, this one has 1"),
        ((0, 0, 0), "2 choices, this one has 3"),
        ((3, 0), "'net.conv1' has options 0 to 2, not 3"),
        ((0, -1), "'norm' has options 0 to 1, not -1"),
    ],
)
def test_an_architecture_of_another_space_is_refused(
    architecture: tuple[int, ...], message: str
) -> None:
    """The message names the variable and what it has."""
    with pytest.raises(ValueError, match=message):
        SPACE.decode(architecture)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"net.conv1": "none"}, r"missing variables: \['norm'\]"),
        ({"net.conv1": "none", "norm": True, "act": 0}, r"unknown variables: \['act'\]"),
        ({"net.conv1": "conv7", "norm": True}, "'net.conv1' has options .* not 'conv7'"),
        ({"net.conv1": "none", "norm": 1}, "'norm' has options .* not 1"),
    ],
)
def test_choices_that_fit_no_architecture_are_refused(
    choices: dict[str, str | int | bool], message: str
) -> None:
    """Missing, unknown and impossible choices are named; 1 does not pass for True."""
    with pytest.raises(ValueError, match=message):
        SPACE.encode(choices)
