"""Births of every operator, carried out."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

from pbtnas.checkpoints import files as checkpoints
from pbtnas.checkpoints.layers import Layers
from pbtnas.search import Birth, Member, SearchSpace, layer, switch
from pbtnas.search.algorithms import ALGORITHMS
from pbtnas.search.births import Operator
from pbtnas.state import State, assemble, lazily
from pbtnas.weights import ChildPlan, Origin, carry_out, mix_states
from tests.search.rules import selection_rule

SPACE = SearchSpace(
    [layer("net.c0", ("small", "large")), layer("net.c1", ("a", "b")), switch("act", ("x", "y"))]
)


def network(architecture: tuple[int, ...], seed: int) -> State:
    """Two layers of which the first has two widths, a head that nobody owns, every section."""
    rng = torch.Generator().manual_seed(seed)
    widths = {"net.c0": (40, 60)[architecture[0]], "net.c1": 50, "head": 30}
    live = {f"{name}.weight": torch.randn(w, 20, generator=rng) for name, w in widths.items()}
    live["net.c1.count"] = torch.tensor(seed)
    return State(
        live=live,
        buffers={"net.c1.mean": torch.randn(3, generator=rng)},
        averaged={"net.c1.weight": live["net.c1.weight"].clone()},
        optimizer={f"{name}/m": torch.randn(2, generator=rng) for name in live},
        extra={"rng": torch.tensor([seed]), "donor.replay": torch.tensor([seed, 0])},
        info={"seed": seed},
    )


def birth(
    operator: Operator,
    inherited: tuple[int, ...] = (),
    architecture: tuple[int, ...] = (0, 0, 0),
    seed: int = 5,
    networks: tuple[str, ...] = (),
) -> Birth:
    return Birth(
        0, 1, 1, inherited, architecture, seed, 0.4, 0.1, operator=operator, networks=networks
    )


def child_state(made: Birth, base: State, fresh: State) -> tuple[State, ChildPlan]:
    """A child whose parents are one member, in memory."""
    ours = lazily(base)
    plan = carry_out(SPACE, made, base=ours, donor=ours, fresh=lazily(fresh))
    tensors = {key: plan.overlay.get(key, ours.get(key)) for key in plan.origins}
    return assemble({k: t.make() for k, t in tensors.items() if t is not None}, base.info), plan


def equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_mix_is_the_mix() -> None:
    """The operator of PBT-NAS does what `mix_states` defines."""
    base, fresh = network((0, 0, 0), 1), network((0, 0, 0), 3)
    made = birth("mix", inherited=(1,))

    child, _ = child_state(made, base, fresh)

    expected = mix_states(SPACE, made, base=base, donor=base, fresh=fresh)
    assert equal(expected.live, child.live) and equal(expected.optimizer, child.optimizer)


def test_a_renewed_module_is_fresh_in_every_section_and_the_rest_is_the_bases() -> None:
    """Live and averaged weights of the new layer are one initialisation, without moments, even
    where the shapes of the old layer fit."""
    base, fresh = network((0, 0, 0), 1), network((0, 1, 0), 3)

    child, plan = child_state(birth("renew", (1,), (0, 1, 0)), base, fresh)

    assert torch.equal(fresh.live["net.c1.weight"], child.live["net.c1.weight"])
    assert torch.equal(child.live["net.c1.weight"], child.averaged["net.c1.weight"])
    assert torch.equal(fresh.buffers["net.c1.mean"], child.buffers["net.c1.mean"])
    assert torch.equal(base.live["net.c0.weight"], child.live["net.c0.weight"])
    assert {"net.c0.weight/m", "head.weight/m"} == set(child.optimizer)
    assert equal(base.extra, child.extra)
    assert {Origin.BASE, Origin.FRESH} == set(plan.origins.values())


def test_a_renewed_layer_of_another_width_fits() -> None:
    """What the old layer had in another shape is fresh as well."""
    base, fresh = network((0, 0, 0), 1), network((1, 0, 0), 3)

    child, _ = child_state(birth("renew", (0,), (1, 0, 0)), base, fresh)

    assert torch.equal(fresh.live["net.c0.weight"], child.live["net.c0.weight"])


def test_a_renewed_switch_changes_no_weights() -> None:
    """A variable without modules mutates by value only: nothing is written."""
    base, fresh = network((0, 0, 0), 1), network((0, 0, 1), 3)

    _, plan = child_state(birth("renew", (2,), (0, 0, 1)), base, fresh)

    assert {} == plan.overlay


def test_mutation_changes_a_few_live_weights_and_nothing_else() -> None:
    """Averaged copies, estimates and moments stay; over many seeds every weight is reached."""
    base, fresh = network((0, 0, 0), 1), network((0, 0, 0), 3)
    reached = set()
    for seed in range(40):
        child, plan = child_state(birth("mutate", seed=seed), base, fresh)

        changed = {key for key, origin in plan.origins.items() if origin is Origin.CHANGED}
        assert changed == set(plan.overlay)
        for name in base.live:
            different = (base.live[name] != child.live[name]).float().mean().item()
            assert different < 0.2 if f"live/{name}" in changed else different == 0
        for section in ("buffers", "averaged", "optimizer", "extra"):
            assert equal(getattr(base, section), getattr(child, section))
        reached |= changed

    assert {"live/net.c0.weight", "live/net.c1.weight", "live/head.weight"} == reached


def test_mutation_keeps_to_the_networks_it_was_given() -> None:
    """The option of the baseline reaches the weights."""
    base, fresh = network((0, 0, 0), 1), network((0, 0, 0), 3)

    plans = [
        child_state(birth("mutate", seed=seed, networks=("head",)), base, fresh)[1]
        for seed in range(10)
    ]

    assert {"live/head.weight"} == {key for plan in plans for key in plan.overlay}


def test_perturbing_reaches_every_live_weight_and_no_estimate() -> None:
    """Also weights without owner; integers, averaged copies, estimates and moments stay."""
    base, fresh = network((0, 0, 0), 1), network((0, 0, 0), 3)

    child, _ = child_state(birth("perturb"), base, fresh)

    for name, weight in base.live.items():
        expected = weight * 0.4 + fresh.live[name] * 0.1 if weight.is_floating_point() else weight
        assert torch.equal(expected, child.live[name])
    for section in ("buffers", "averaged", "optimizer", "extra"):
        assert equal(getattr(base, section), getattr(child, section))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_birth_of_every_algorithm_makes_a_checkpoint_that_loads(
    name: str, tmp_path: Path
) -> None:
    """Written as overlay and read over its base, a child has what its architecture needs, and
    carrying out the birth again gives the same bytes."""

    def opened(directory: Path, member: int) -> AbstractContextManager[Layers]:
        path = directory / str(member)
        return checkpoints.read_lazily(path, digests[member], algorithm="xxh3-128")

    rng = random.Random(1)
    members = [Member(i, SPACE.sample(rng), float(i)) for i in range(8)]
    digests = {}
    for m in members:
        state = network(m.architecture, m.number)
        digests[m.number] = checkpoints.write(tmp_path / str(m.number), state, algorithm="xxh3-128")
    for generation in range(6):
        for made in ALGORITHMS[name](members, SPACE, selection_rule(8), 3, generation):
            written = []
            for file in (tmp_path / "once", tmp_path / "again"):
                fresh = network(made.architecture, made.seed)
                with opened(tmp_path, made.base) as ours, opened(tmp_path, made.donor) as theirs:
                    plan = carry_out(SPACE, made, base=ours, donor=theirs, fresh=lazily(fresh))
                    written.append(
                        checkpoints.write_overlay(
                            file, plan.overlay, plan.origins, algorithm="xxh3-128"
                        )
                    )
            paths = [tmp_path / "once", tmp_path / str(made.base)]
            child = checkpoints.read_verified(
                paths, [written[0], digests[made.base]], algorithm="xxh3-128"
            )
            assert written[0] == written[1]
            assert {n: t.shape for n, t in child.live.items()} == {
                n: t.shape for n, t in fresh.live.items()
            }
