"""Mixing: the rule by hand, its arithmetic, and properties over random parents."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pbtnas.checkpoints import files as checkpoints
from pbtnas.search import Birth, SearchSpace, layer, switch
from pbtnas.state import State, assemble, lazily
from pbtnas.weights import Origin, child_of, mix_states, report, shrink_perturb

SPACE = SearchSpace([layer("conv1", ("a", "b")), layer("conv10", ("a", "b"))])
CONV1, CONV10 = frozenset([0]), frozenset([1])


def constant(value: float, *shape: int) -> Tensor:
    return torch.full(shape or (2,), float(value))


def three(value: float) -> dict[str, Tensor]:
    """A network of three tensors: one of each variable and one that nobody owns."""
    return {name: constant(value) for name in ("conv1.weight", "conv10.weight", "head.weight")}


def birth(inherited: frozenset[int], shrink: float = 0.4, perturb: float = 0.1) -> Birth:
    return Birth(
        member=0,
        base=1,
        donor=2,
        inherited=tuple(sorted(inherited)),
        architecture=(0, 0),
        seed=0,
        shrink=shrink,
        perturb=perturb,
    )


def mix(
    space: SearchSpace,
    inherited: frozenset[int],
    *,
    base: dict[str, Tensor],
    donor: dict[str, Tensor],
    fresh: dict[str, Tensor],
    shrink: float,
    perturb: float,
) -> dict[str, Tensor]:
    """The trained parameters of a child whose parents have nothing else."""
    made = birth(inherited, shrink, perturb)
    return mix_states(space, made, base=State(base), donor=State(donor), fresh=State(fresh)).live


def defined(space: SearchSpace, made: Birth, base: State, donor: State, fresh: State) -> State:
    """The child as the paper and docs/protocol.md define it, written as plainly as can be."""

    def chosen(section: str, name: str, init: Tensor) -> tuple[Tensor, bool]:
        """The tensor of the parent to take it from, and whether that parent has one that fits."""
        parent = donor if space.owner(name) in made.inherited else base
        found = getattr(parent, section).get(name)
        fits = found is not None and (found.shape, found.dtype) == (init.shape, init.dtype)
        return (found, True) if fits else (init, False)

    child = State(info=base.info)
    for section in ("live", "buffers", "averaged"):
        for name, init in getattr(fresh, section).items():
            tensor, fits = chosen(section, name, init)
            donated = space.owner(name) in made.inherited
            if section == "live" and fits and donated and tensor.is_floating_point():
                tensor = made.shrink * tensor + made.perturb * init
            getattr(child, section)[name] = tensor
    for moment, tensor in base.optimizer.items():
        name = moment.rpartition("/")[0]
        if name in fresh.live and space.owner(name) not in made.inherited:
            if chosen("live", name, fresh.live[name])[1]:
                child.optimizer[moment] = tensor
    for parent, is_donor in ((base, False), (donor, True)):
        child.extra |= {n: t for n, t in parent.extra.items() if n.startswith("donor.") == is_donor}
    return child


def same(left: State, right: State) -> bool:
    """Whether two states are equal to the bit; moments and counters included."""
    a, b = lazily(left), lazily(right)
    return (
        left.info == right.info
        and a.keys() == b.keys()
        and all(torch.equal(a[k].make(), b[k].make()) and a[k].dtype == b[k].dtype for k in a)
    )


def test_donated_tensors_are_shrunk_and_perturbed_and_the_rest_is_the_bases() -> None:
    """The rule of the paper on three tensors whose result can be worked out by hand."""
    child = mix(
        SPACE, CONV1, base=three(1), donor=three(10), fresh=three(100), shrink=0.4, perturb=0.1
    )

    assert [14.0, 14.0] == child["conv1.weight"].tolist()
    assert [1.0, 1.0] == child["conv10.weight"].tolist()
    assert [1.0, 1.0] == child["head.weight"].tolist()


def test_a_variable_takes_nothing_from_a_neighbour_whose_name_begins_like_its_own() -> None:
    """conv1 and conv10 are different modules in both directions."""
    only_10 = mix(
        SPACE, CONV10, base=three(1), donor=three(10), fresh=three(0), shrink=1, perturb=0
    )

    assert [1.0, 10.0] == [only_10[f"conv{i}.weight"][0].item() for i in (1, 10)]


def test_shrink_1_and_perturb_0_copy_the_donor() -> None:
    """Without shrink-perturb, donated weights keep every bit, even beside an infinite init."""
    donor = {"conv1.weight": torch.tensor([-0.0, 1e-45])}
    fresh = {"conv1.weight": torch.tensor([torch.inf, torch.nan])}

    child = mix(SPACE, CONV1, base={}, donor=donor, fresh=fresh, shrink=1, perturb=0)

    assert donor["conv1.weight"].view(torch.int32).equal(child["conv1.weight"].view(torch.int32))


def test_what_the_parent_lacks_or_has_in_another_shape_or_dtype_stays_fresh() -> None:
    """A child never gets a tensor that its own architecture could not load."""
    fresh = {f"conv1.{i}": constant(5) for i in range(3)}
    donor = {"conv1.0": constant(1, 3), "conv1.1": constant(1).half()}

    child = mix(SPACE, CONV1, base=fresh, donor=donor, fresh=fresh, shrink=0.4, perturb=0.1)

    assert all(child[name] is fresh[name] for name in fresh)


def test_integer_tensors_are_copied() -> None:
    """A counter among the weights is taken over as it is, not scaled."""
    child = mix(
        SPACE,
        CONV1,
        base={"conv1.n": torch.tensor(1)},
        donor={"conv1.n": torch.tensor(7)},
        fresh={"conv1.n": torch.tensor(0)},
        shrink=0.4,
        perturb=0.1,
    )

    assert 7 == child["conv1.n"].item()


def test_shrink_perturb_is_the_plain_formula_and_touches_neither_argument() -> None:
    """Working block by block changes no bit, for sizes around the block and any layout."""
    generator = torch.Generator().manual_seed(0)
    for shape in [(), (0, 3), (7,), (65_536,), (65_537,), (300, 500)]:
        weight = torch.randn(shape, generator=generator)
        fresh = torch.randn(shape, generator=generator)
        if len(shape) == 2:
            weight, fresh = weight.t(), fresh.t().contiguous()
        before = weight.clone(), fresh.clone()

        child = shrink_perturb(weight.requires_grad_(), fresh, 0.4, 0.1)

        assert torch.equal(weight * 0.4 + fresh * 0.1, child)
        assert torch.equal(before[0], weight) and torch.equal(before[1], fresh)
        assert not child.requires_grad


def member(value: float, width: int = 2) -> State:
    """A state with every section; conv1 is so wide."""
    shapes = {"conv1.weight": width, "conv10.weight": 2, "head.weight": 2}
    live = {name: constant(value, size) for name, size in shapes.items()}
    return State(
        live=live,
        buffers={"conv1.mean": constant(value + 0.25), "conv1.seen": torch.tensor(int(value))},
        averaged={name: tensor + 0.5 for name, tensor in live.items()},
        optimizer={f"{name}/{m}": tensor * 2 for name, tensor in live.items() for m in ("m", "v")},
        extra={"rng": torch.tensor([int(value)])},
        info={"steps": value},
    )


def test_only_live_weights_are_perturbed() -> None:
    """Averaged copies and buffers of donated modules are the donor's own."""
    child = mix_states(SPACE, birth(CONV1), base=member(1), donor=member(10), fresh=member(100))

    assert 14.0 == child.live["conv1.weight"][0]
    assert 10.5 == child.averaged["conv1.weight"][0]
    assert 1.5 == child.averaged["conv10.weight"][0]
    assert 10.25 == child.buffers["conv1.mean"][0]
    assert 10 == child.buffers["conv1.seen"]


def test_an_averaged_copy_that_no_parent_has_in_shape_starts_like_the_fresh_weights() -> None:
    """A new layer's EMA begins at its initialisation, not at something left over."""
    child = mix_states(
        SPACE, birth(frozenset()), base=member(1), donor=member(10), fresh=member(100, width=5)
    )

    assert [100.5] * 5 == child.averaged["conv1.weight"].tolist()
    assert [100.0] * 5 == child.live["conv1.weight"].tolist()


def test_moments_are_dropped_exactly_for_donated_and_reshaped_parameters() -> None:
    """The optimiser goes on where the parameter is the base's own, and only there."""
    kept = {"conv10.weight/m", "conv10.weight/v", "head.weight/m", "head.weight/v"}
    parents = {"base": member(1), "donor": member(10)}
    donated = mix_states(SPACE, birth(CONV1), **parents, fresh=member(100))
    reshaped = mix_states(SPACE, birth(frozenset()), **parents, fresh=member(100, width=5))

    assert kept == set(donated.optimizer) == set(reshaped.optimizer)
    assert [2.0, 2.0] == donated.optimizer["head.weight/m"].tolist()


def test_what_has_no_owner_is_the_bases() -> None:
    """Counters and generator states never come from the donor or a fresh start."""
    child = mix_states(SPACE, birth(CONV1), base=member(1), donor=member(10), fresh=member(100))

    assert ([1], {"steps": 1}) == (child.extra["rng"].tolist(), child.info)


def test_a_child_that_inherits_nothing_is_its_base() -> None:
    """Without donated variables the overlay is empty and the state is the base's."""
    base = member(1)
    plan = child_of(
        SPACE,
        birth(frozenset()),
        base=lazily(base),
        donor=lazily(member(10)),
        fresh=lazily(member(100)),
    )

    assert {} == plan.overlay
    assert set(lazily(base)) == set(plan.origins)


def test_the_report_counts_origins_by_section_and_names_the_variables_that_changed() -> None:
    """The birth's record says in a few numbers what came from where."""
    donor = member(10)
    del donor.averaged["conv1.weight"]
    plan = child_of(
        SPACE,
        birth(CONV1),
        base=lazily(member(1)),
        donor=lazily(donor),
        fresh=lazily(member(100)),
    )

    assert {
        "sections": {
            "live": {"donor": 1, "base": 2},
            "buffers": {"donor": 2},
            "averaged": {"fresh": 1, "base": 2},
            "optimizer": {"base": 4},
            "extra": {"base": 1},
        },
        "variables": {"conv1": {"donor": 3, "fresh": 1}},
    } == report(SPACE, plan.origins)


def test_a_fresh_tensor_without_owner_is_reported_under_the_empty_name() -> None:
    """A head whose input changed its width shows in the record although no variable owns it."""
    assert {"": {"fresh": 1}} == report(SPACE, {"live/head.weight": Origin.FRESH})["variables"]


# A family of networks: the option of a layer is its width, a width of 0 has no tensors, and the
# head is as wide as the last layer.  So parents lack tensors and differ in shapes.
WIDTHS = (0, 1, 2, 3)
FAMILY = SearchSpace([*(layer(f"net.{i}", WIDTHS) for i in range(4)), switch("act", ("a", "b"))])

architectures = st.tuples(*(st.integers(0, len(v.options) - 1) for v in FAMILY))


def network(architecture: tuple[int, ...], seed: int) -> State:
    rng = torch.Generator().manual_seed(seed)
    live, buffers = {}, {}
    for i, width in enumerate(architecture[:4]):
        if width:
            live[f"net.{i}.weight"] = torch.randn(width, 2, generator=rng)
            buffers[f"net.{i}.seen"] = torch.randint(99, (), generator=rng)
    live["head.weight"] = torch.randn(architecture[3] + 1, generator=rng)
    averaged = {name: torch.randn(t.shape, generator=rng) for name, t in live.items()}
    moments = {f"{name}/m": torch.randn(t.shape, generator=rng) for name, t in live.items()}
    extra = {"rng": torch.tensor([seed]), "donor.replay": torch.tensor([seed, seed])}
    return State(live, buffers, averaged, moments, extra, {"seed": seed})


Family = tuple[Birth, State, State, State]


@st.composite
def families(draw: st.DrawFn) -> Family:
    """A birth with the states of its base and donor, and a fresh one of its architecture."""
    first, second = draw(architectures), draw(architectures)
    taken = tuple(sorted(draw(st.sets(st.integers(0, len(FAMILY) - 1)))))
    crossed = tuple(second[i] if i in taken else first[i] for i in range(len(FAMILY)))
    made = Birth(0, 1, 2, taken, crossed, seed=3, shrink=0.4, perturb=0.1)
    return made, network(first, 1), network(second, 2), network(crossed, 3)


@given(families())
@settings(deadline=None)
def test_a_child_has_exactly_the_names_shapes_and_dtypes_of_its_architecture(
    family: Family,
) -> None:
    """Whatever the parents are, the child's networks can load the child's state."""
    made, base, donor, fresh = family

    child = mix_states(FAMILY, made, base=base, donor=donor, fresh=fresh)

    for section in ("live", "buffers", "averaged"):
        ours, wanted = getattr(child, section), getattr(fresh, section)
        assert {n: (t.shape, t.dtype) for n, t in ours.items()} == {
            n: (t.shape, t.dtype) for n, t in wanted.items()
        }
    for moment, tensor in child.optimizer.items():
        assert child.live[moment.rpartition("/")[0]].shape == tensor.shape


@given(families())
@settings(deadline=None)
def test_the_plan_of_a_child_is_the_child(family: Family) -> None:
    """Streamed or in memory, it has the bits of the definition; the unplanned is the base's."""
    made, base, donor, fresh = family

    plan = child_of(FAMILY, made, base=lazily(base), donor=lazily(donor), fresh=lazily(fresh))

    layers = lazily(base) | plan.overlay
    tensors = {key: layers[key].make() for key in plan.origins}
    expected = defined(FAMILY, made, base, donor, fresh)
    assert same(expected, assemble(tensors, base.info))
    assert same(expected, mix_states(FAMILY, made, base=base, donor=donor, fresh=fresh))
    assert set(plan.overlay) == {k for k, o in plan.origins.items() if o is not Origin.BASE}


def test_an_overlay_read_over_its_base_is_the_child_mixed_in_memory(tmp_path: Path) -> None:
    """The written child equals the defined one to the bit, and holds only what changed."""
    base_file, donor_file, overlay = (tmp_path / name for name in ("base", "donor", "overlay"))
    rng = random.Random(0)
    for _ in range(20):
        first, second = FAMILY.sample(rng), FAMILY.sample(rng)
        taken = (0, 2)
        crossed = tuple(second[i] if i in taken else first[i] for i in range(len(FAMILY)))
        made = Birth(0, 1, 2, taken, crossed, seed=3, shrink=0.4, perturb=0.1)
        base, donor, fresh = network(first, 1), network(second, 2), network(crossed, 3)
        base_digest = checkpoints.write(base_file, base, algorithm="xxh3-128")
        donor_digest = checkpoints.write(donor_file, donor, algorithm="xxh3-128")

        with (
            checkpoints.read_lazily(base_file, base_digest, algorithm="xxh3-128") as ours,
            checkpoints.read_lazily(donor_file, donor_digest, algorithm="xxh3-128") as theirs,
        ):
            plan = child_of(FAMILY, made, base=ours, donor=theirs, fresh=lazily(fresh))
            digest = checkpoints.write_overlay(
                overlay, plan.overlay, plan.origins, algorithm="xxh3-128"
            )

        expected = defined(FAMILY, made, base, donor, fresh)
        paths, digests = [overlay, base_file], [digest, base_digest]
        assert same(expected, checkpoints.read_verified(paths, digests, algorithm="xxh3-128"))
