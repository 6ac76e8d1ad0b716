"""Weight mutation of the SEARL-like baseline, by its published constants."""

from __future__ import annotations

import random
from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pbtnas.weights.mutation import draw_mutations, mutable, mutate

WEIGHTS = {
    "actor.trunk.weight": torch.ones(50, 4),
    "actor.trunk.bias": torch.ones(50),
    "actor.norm.weight": torch.ones(50, 2),
    "critic.conv.weight": torch.ones(30, 2, 3, 3),
    "critic.value.weight": torch.ones(1, 50),
    "critic.table.weight": torch.ones(50, 2, dtype=torch.int64),
    "critic10.weight": torch.ones(11, 2),
    "empty.weight": torch.ones(0, 5),
}


def mutated(weight: Tensor, chance: float, seed: int = 0) -> Tensor:
    return mutate(weight, chance, torch.Generator().manual_seed(seed))


def test_matrices_and_kernels_may_mutate_and_vectors_norms_and_integers_never() -> None:
    """Candidates are floating-point weights of at least two dimensions outside norms."""
    expected = ["actor.trunk.weight", "critic.conv.weight", "critic.value.weight"]

    assert [*expected, "critic10.weight"] == mutable(WEIGHTS)


def test_networks_are_found_by_whole_dotted_parts() -> None:
    """The option names networks or parts of them; critic is not critic10."""
    assert ["critic.conv.weight", "critic.value.weight"] == mutable(WEIGHTS, ["critic"])
    assert ["actor.trunk.weight"] == mutable(WEIGHTS, ["actor.trunk"])


def test_any_number_of_tensors_mutates_in_less_than_a_tenth_of_their_rows() -> None:
    """One to four tensors are drawn; a tensor of ten rows or fewer always stays."""
    weights = {f"net.{rows}.weight": torch.ones(rows, 2) for rows in (10, 11, 50, 51)}
    drawn = [draw_mutations(weights, (), random.Random(seed)) for seed in range(2000)]

    hits = {
        rows: {
            round(d[f"net.{rows}.weight"].chance * rows) for d in drawn if f"net.{rows}.weight" in d
        }
        for rows in (10, 11, 50, 51)
    }
    assert {10: set(), 11: {1}, 50: {1, 2, 3, 4}, 51: {1, 2, 3, 4, 5}} == hits
    assert {0, 1, 2, 3} == set(map(len, drawn))


def test_without_candidates_nothing_mutates() -> None:
    """A network of vectors alone goes on as it is."""
    assert {} == draw_mutations({"bias": torch.ones(50)}, (), random.Random(0))


@given(st.integers(0, 2**62))
@settings(deadline=None, max_examples=30)
def test_mutations_are_a_function_of_the_seed(seed: int) -> None:
    """The same birth mutates alike anywhere, whatever the order of the state's names."""
    turned = dict(reversed(WEIGHTS.items()))

    drawn = draw_mutations(WEIGHTS, (), random.Random(seed))

    assert drawn == draw_mutations(turned, (), random.Random(seed))
    for name, mutation in drawn.items():
        child = mutated(WEIGHTS[name], mutation.chance, mutation.seed)
        assert torch.equal(child, mutated(WEIGHTS[name], mutation.chance, mutation.seed))


def test_mutations_have_the_published_kinds_and_sizes() -> None:
    """A twentieth is large, a twentieth starts anew, all others move by a tenth: the weights
    are far apart, so that the kind can be told from the outcome."""
    weight = torch.full((1000, 1000), 1000.0)
    before = weight.clone()

    child = mutated(weight, 0.05)

    moved = child[child != weight]
    reset, rest = moved[moved.abs() < 6], moved[moved.abs() >= 6]
    assert torch.equal(before, weight)
    assert abs(len(moved) - 50_000) < 1100
    assert abs(len(reset) - 2500) < 250 and abs(reset.std().item() - 1) < 0.08
    near = rest[(rest - 1000).abs() < 500]
    assert abs(len(near) - 45_100) < 500 and abs(near.std().item() - 100) < 3
    far = rest[(rest - 1000).abs() > 500]
    assert abs(len(far) - 2400) < 250 and abs(far.std().item() - 10_200) < 800


def test_a_mutated_weight_stays_below_a_million_and_keeps_its_dtype() -> None:
    """Weights cannot explode generation by generation, in any precision."""
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        child = mutated(torch.full((100, 100), 9e5, dtype=dtype), 1.0)

        counted = Counter((child.abs() >= 999_000).flatten().tolist())
        assert child.dtype == dtype and child.abs().max() <= 1_001_000
        assert counted[True] > 500
