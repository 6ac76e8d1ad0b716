"""The tasks of weight sharing: the contract, and what is exact about shared weights."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pbtnas.config import ConfigError, parse
from pbtnas.data.images import ImageSet
from pbtnas.models.edges import Candidates, Edge, Traversal, alone, only
from pbtnas.search.space import SearchSpace, layer
from pbtnas.state import State
from pbtnas.tasks.base import Diverged, HasSubnets, Task, TaskError, Trainee
from pbtnas.tasks.checking.rehearsal import (
    Rehearsal,
    RehearsalProducts,
    RehearsalSnapshot,
    copy_of,
    difference,
    evaluate,
    train,
)
from pbtnas.tasks.costs import multiply_adds
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.weight_sharing import Cell64Task, Nb201Task, SupernetTask
from pbtnas.tasks.weight_sharing.nb201 import Nb201Options
from pbtnas.tasks.weight_sharing.options import Cell64Options, SupernetOptions
from pbtnas.tasks.weight_sharing.sharing_member import SupernetTrainee, scored_subnets
from tests.tasks.contract import TaskContract

TINY: dict[str, Any] = {
    "width": 4,
    "cells": 1,
    "stem_factor": 1,
    "data": "gratings",
    "side": 8,
    "held_out": 440,
    "validation_images": 60,
    "crop_padding": 1,
    "batch_size": 32,
    "steps_per_epoch": 4,
    "schedule_epochs": 3,
    "learning_rate": 0.1,
}
WHOLE = (0,)  # the architecture of a member that spans everything


def cell64(**options: Any) -> Cell64Task:
    """The task of networks alone, ready."""
    task = Cell64Task(Cell64Options(**TINY | options))
    task.prepare(RehearsalProducts(Path()))
    return task


def supernet(**options: Any) -> SupernetTask:
    """The task of supernets, ready."""
    task = SupernetTask(SupernetOptions(**TINY | options))
    task.prepare(RehearsalProducts(Path()))
    return task


def trained(trainee: Trainee, scratch: Path, *, jobs: int = 1) -> State:
    """The state after jobs of an epoch each, as a checkpoint has it."""
    for job in range(jobs):
        train(trainee, 1, Rehearsal(scratch, seed=100 + job))
    return copy_of(trainee.state())


class TestCell64(TaskContract):
    """The contract for networks alone."""

    def make_task(self) -> Task:
        return Cell64Task(Cell64Options(**TINY))


class TestSupernet(TaskContract):
    """The contract for supernets, each of a group of four."""

    costs = frozenset()

    def make_task(self) -> Task:
        options = {"sharing": "groups", "groups": 16, "grouping": "similar", "order": "reshuffled"}
        return SupernetTask(SupernetOptions(**TINY | options))


@pytest.mark.parametrize("grouping", ["random", "similar"])
def test_a_group_of_one_is_a_network_alone(grouping: str, tmp_path: Path) -> None:
    """With as many groups as architectures a run is the ground truth's, bit by bit."""
    alone, groups = cell64(), supernet(sharing="groups", groups=64, grouping=grouping)
    for member, architecture in ((0, (0, 0, 0)), (57, (3, 2, 1))):
        ours, theirs = groups.create((member,), 5), alone.create(architecture, 5)
        assert groups.subnets((member,)) == ["".join(str(i + 1) for i in architecture)]

        shared, own = trained(ours, tmp_path, jobs=2), trained(theirs, tmp_path, jobs=2)

        shared.info, own.info = {}, {}
        assert difference(shared, own) is None
        context = Rehearsal(tmp_path)
        assert evaluate(ours, context).score == evaluate(theirs, context).score


class Always(SupernetTrainee):
    """A supernet of which every step trains the same subnet."""

    def subnet(self, step: int) -> str:
        return "343"


@pytest.mark.parametrize("inactive", ["frozen", "decays"])
@pytest.mark.parametrize(
    "sharing",
    [
        {"sharing": "all"},
        {"sharing": "prefix", "prefix": 0},
        {"sharing": "names", "private": ("*.running_*", "*.num_batches_tracked")},
    ],
    ids=["all", "prefix", "names"],
)
def test_training_one_subnet_is_training_it_alone(
    sharing: dict[str, Any], inactive: str, tmp_path: Path
) -> None:
    """Parameters, estimates and moments are bit by bit the lone network's, all others untouched.

    What was never trained does not decay either.
    """
    task = supernet(**sharing, inactive=inactive)
    whole = Always(task, task.spanned(WHOLE), 5)
    before = copy_of(whole.state())

    after = trained(whole, tmp_path)

    alone = trained(cell64().create((2, 3, 2), 5), tmp_path)
    names = whole.supernet.names("343")
    for section in ("live", "buffers"):
        ours = getattr(after, section)
        for name, tensor in getattr(alone, section).items():
            assert torch.equal(ours[names[name]], tensor), name
        others = ours.keys() - set(names.values())
        assert len(others) >= 20
        assert all(torch.equal(ours[n], getattr(before, section)[n]) for n in others)
    moments = {f"{names[k.rpartition('/')[0]]}/momentum_buffer": m for k, m in _moments(alone)}
    assert after.optimizer.keys() == moments.keys()
    assert all(torch.equal(after.optimizer[key], moment) for key, moment in moments.items())


def _moments(state: State) -> list[tuple[str, torch.Tensor]]:
    return list(state.optimizer.items())


@pytest.mark.parametrize(
    "options",
    [
        {"sharing": "groups", "groups": 1},
        {"sharing": "prefix", "prefix": 1, "shared_head": True},
        {"sharing": "names", "private": ()},
    ],
    ids=["groups", "prefix", "names"],
)
def test_sharing_everything_is_sharing_everything(options: dict[str, Any], tmp_path: Path) -> None:
    """One group, all cells as the prefix, and no private names are three ways to say so."""
    plain, other = supernet(order="uniform"), supernet(order="uniform", **options)

    assert other.space.describe() == plain.space.describe()
    states = [trained(task.create(WHOLE, 5), tmp_path) for task in (plain, other)]
    assert difference(*states) is None


@pytest.mark.parametrize(
    ("options", "moves"),
    [
        ({"inactive": "frozen"}, False),
        ({"inactive": "decays"}, True),
        ({"inactive": "decays", "momentum": 0.0}, True),
    ],
)
def test_idle_operations_decay_as_published_or_are_frozen(
    options: dict[str, Any], moves: bool, tmp_path: Path
) -> None:
    """Trained once, an operation moves at steps of other subnets, without momentum too."""
    trainee = supernet(**options).create(WHOLE, 5)
    train(trainee, 1, Rehearsal(tmp_path, seed=100, stop_at=2))  # 111 and 112
    first = copy_of(trainee.state())
    train(trainee, 1, Rehearsal(tmp_path, seed=100, stop_at=3, done=2))  # 113

    second = trainee.state()

    trained, never = (
        f"cells.0.e12.{operation}.pointwise.weight"
        for operation in ("sep_conv_3x3.0", "dil_conv_5x5")
    )
    assert torch.equal(first.live[trained], second.live[trained]) != moves
    assert torch.equal(first.live[never], second.live[never])


EVERYWHERE = [
    {"order": "reshuffled", "inactive": "decays", "statistics": "recalibrated", "momentum": 0.0},
    {"order": "uniform", "inactive": "decays", "sharing": "prefix", "statistics": "batch"},
]


@pytest.mark.parametrize("options", EVERYWHERE, ids=lambda o: o["order"])
def test_an_interruption_anywhere_changes_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    """At any tick of a job, in the dense rows too, it is continued elsewhere to the same state."""
    task = supernet(**options, dense_rows=5, scored=("111", "343"))
    member, other = task.create(WHOLE, 1), task.create(WHOLE, 2)
    begun = trained(member, tmp_path)  # rows begin in the second epoch

    def go_on(state: State, **context: Any) -> RehearsalSnapshot:
        other.load(state)
        resume = context.pop("resume", None)
        return train(other, 2, Rehearsal(tmp_path, seed=7, **context), resume)

    whole = go_on(begun)
    assert whole.done == 8
    assert whole.state.extra["rows.accuracy"].shape == (5, 2)
    assert whole.state.extra["rows.steps"].tolist() == [8, 9, 10, 11, 12]
    for stop_at in (1, 4, 6):
        half = go_on(begun, stop_at=stop_at)
        rest = go_on(half.state, resume=half)

        assert difference(rest.state, whole.state) is None, stop_at


@pytest.mark.parametrize("make", [cell64, supernet], ids=["alone", "supernet"])
def test_training_is_a_function_of_the_steps_done(make: Any, tmp_path: Path) -> None:
    """Rate, images and order go on from job to job: two jobs of an epoch are one of two epochs."""
    architecture = (2, 3, 2) if make is cell64 else WHOLE
    task = make(data_seed=3, rate_changes="step")
    one, two = (task.create(architecture, 1) for _ in range(2))

    train(one, 2, Rehearsal(tmp_path, seed=100))

    assert difference(copy_of(one.state()), trained(two, tmp_path, jobs=2)) is None


def test_a_prefix_shares_its_cells_and_no_more(tmp_path: Path) -> None:
    """Stem and first cells are shared, later cells and the head are each subnet's own."""
    task = supernet(cells=2, sharing="prefix", prefix=1)
    member = task.create(WHOLE, 1)
    names = member.supernet.names("343")

    private = {name for name, here in names.items() if here != name}

    assert private == {name for name in names if name.startswith(("cells.1.", "head."))}
    assert len(private) < len(names)


def test_rows_go_on_from_job_to_job(tmp_path: Path) -> None:
    """The last row has the scores of the result; each names the subnet just trained."""
    task = supernet(dense_rows=7, scored=("112", "343", "121"))
    trainee = task.create(WHOLE, 1)

    state = trained(trainee, tmp_path, jobs=3)

    assert state.info["subnets"] == ["112", "343", "121"]
    assert state.extra["rows.steps"].tolist() == [6, 7, 8, 9, 10, 11, 12]
    assert state.extra["rows.trained"].tolist() == [-1] * 7  # 122 to 134 are trained then
    metrics = evaluate(trainee, Rehearsal(tmp_path)).metrics
    last = [metrics[f"subnet.{name}"] for name in ("112", "343", "121")]
    assert state.extra["rows.accuracy"][-1].tolist() == pytest.approx(last)

    first = supernet(dense_rows=12, scored=("112", "343", "121")).create(WHOLE, 1)
    rows = trained(first, tmp_path).extra["rows.trained"].tolist()
    assert rows == [-1, 0, -1, -1]  # of 111, 112, 113, 114


def test_every_subnet_has_an_accuracy_of_its_own(tmp_path: Path) -> None:
    """The score is their mean; one whose outputs are not finite has none, and counts as 0."""
    trainee = supernet(sharing="groups", groups=16, grouping="similar").create((4,), 1)
    state = trained(trainee, tmp_path)
    evaluation = evaluate(trainee, Rehearsal(tmp_path))
    names = ["subnet.211", "subnet.212", "subnet.213", "subnet.214"]

    assert list(evaluation.metrics) == names
    assert evaluation.score == pytest.approx(sum(evaluation.metrics.values()) / 4)

    state.live["cells.0.e12.dil_conv_5x5.pointwise.weight"].fill_(math.nan)
    trainee.load(state)
    broken = evaluate(trainee, Rehearsal(tmp_path))
    assert [math.isnan(value) for value in broken.metrics.values()] == [False, False, False, True]
    kept = sum(evaluation.metrics[name] for name in names[:3])
    assert broken.score == pytest.approx(kept / 4)


def test_divergence_names_the_subnet(tmp_path: Path) -> None:
    """One subnet that diverges ends its member, and the record says which."""
    trainee = supernet(order="cycle").create(WHOLE, 1)
    state = copy_of(trainee.state())
    state.live["cells.0.e12.sep_conv_3x3.0.pointwise.weight"].fill_(math.nan)
    trainee.load(state)

    with pytest.raises(Diverged, match="the loss of subnet 112 is nan at step 2 of this job"):
        train(trainee, 1, Rehearsal(tmp_path))


@pytest.mark.parametrize(
    ("pinned", "same"),
    [({"init_seed": 3}, {"init"}), ({"order_seed": 3}, {"order"}), ({"data_seed": 3}, {"data"})],
)
def test_seeds_are_pinned_one_by_one(
    pinned: dict[str, int], same: set[str], tmp_path: Path
) -> None:
    """Two instances that differ in one thing differ in nothing else."""
    task = supernet(order="permuted", **pinned)
    first, other = task.create(WHOLE, 1), task.create(WHOLE, 2)
    seen = {
        "init": torch.equal(*(t.state().live["head.weight"] for t in (first, other))),
        "order": [first.subnet(i) for i in range(64)] == [other.subnet(i) for i in range(64)],
    }
    log: list[list[Any]] = []
    fixed = copy_of(first.state())
    for seed in (1, 2):
        first.load(fixed)
        context = Rehearsal(tmp_path, seed=seed)
        train(first, 1, context)
        log.append(context.logged)
    seen["data"] = log[0] == log[1]

    assert {what for what, equal in seen.items() if equal} == same


def test_a_rater_scores_subnets_as_the_member_does(tmp_path: Path) -> None:
    """With the shared weights it finds what the member's evaluation found, whatever it rates."""
    task = supernet(validation_images=None, scored=("111", "343", "434"))
    assert isinstance(task, HasSubnets)
    assert not isinstance(cell64(), HasSubnets)
    member = task.create(WHOLE, 1)
    state = trained(member, tmp_path)
    found = evaluate(member, Rehearsal(tmp_path)).metrics
    for names in (["343", "111"], ["434"]):
        rater = task.rater(WHOLE, names)
        rater.load(state)
        rated = evaluate(rater, Rehearsal(tmp_path)).metrics
        assert rated == {f"{name}@0": found[f"subnet.{name}"] for name in names}

    for statistics in ("batch", "recalibrated"):
        rater = task.rater(WHOLE, ["434"], statistics=statistics)
        rater.load(state)
        assert evaluate(rater, Rehearsal(tmp_path)).metrics != rated
    with pytest.raises(TaskError, match="subnet '555': expected one of 111 to 444"):
        task.rater(WHOLE, ["555"])
    with pytest.raises(TaskError, match="statistics 'none': expected one of running"):
        task.rater(WHOLE, ["111"], statistics="none")


@pytest.mark.parametrize("sharing", [{}, {"sharing": "prefix"}], ids=["all", "prefix"])
def test_a_rater_tunes_each_subnet_alone(sharing: dict[str, Any], tmp_path: Path) -> None:
    """From the member's state, which stays as it is, and the same whatever is rated beside it."""
    task = supernet(**sharing, statistics="batch")
    state = trained(task.create(WHOLE, 1), tmp_path)

    def rated(names: list[str], at: tuple[int, ...]) -> dict[str, float]:
        rater = task.rater(WHOLE, names, at=at)
        rater.load(state)
        found = evaluate(rater, Rehearsal(tmp_path, seed=3))
        assert difference(rater.state(), state) is None
        return dict(found.metrics)

    both = rated(["343", "111"], (0, 1, 5))

    assert list(both) == [f"{name}@{n}" for name in ("343", "111") for n in (0, 1, 5)]
    assert both == rated(["343"], (0, 1, 5)) | rated(["111"], (5, 1, 0))
    assert rated(["343"], (0,)) == {"343@0": both["343@0"]}
    assert len({both["343@0"], both["343@5"], both["111@0"], both["111@5"]}) > 2


def test_a_rater_tunes_with_the_rate_where_training_stopped(tmp_path: Path) -> None:
    """At the end of a schedule that falls to nothing, tuning moves nothing."""
    task = supernet(lowest_rate=0.0, rate_changes="step", statistics="batch")
    member = task.create(WHOLE, 1)
    for jobs, moves in ((1, True), (2, False)):
        rater = task.rater(WHOLE, ["343"], at=(0, 3))
        rater.load(trained(member, tmp_path, jobs=jobs))
        shared, tuned = evaluate(rater, Rehearsal(tmp_path)).metrics.values()

        assert (shared != tuned) == moves


def test_a_subnet_can_be_taken_out(tmp_path: Path) -> None:
    """As a plain network with the names of one trained alone, made without data."""
    task = supernet()
    member = task.create(WHOLE, 1)
    state = trained(member, tmp_path)
    without_data = SupernetTask(task.options)

    rater = without_data.rater(WHOLE, ["343"])
    rater.load(state)
    network = rater.trained_network()  # type: ignore[attr-defined]

    alone = cell64().create((2, 3, 2), 0)
    assert network.state_dict().keys() == alone.trained_network().state_dict().keys()
    alone.load(State(dict(network.named_parameters()), dict(network.named_buffers())))
    found = evaluate(member, Rehearsal(tmp_path)).metrics["subnet.343"]
    assert evaluate(alone, Rehearsal(tmp_path)).score == found


class Branches(nn.Module):
    """A network of a space of one's own: two choices behind each other."""

    def __init__(self, candidates: Candidates) -> None:
        super().__init__()
        for variable, (name, options) in enumerate(
            zip(("first", "second"), candidates, strict=True)
        ):
            kernels = {i: nn.Conv2d(3, 3, 2 * i + 1, padding=i) for i in options}
            self.add_module(name, Edge(variable, ("k1", "k3", "k5"), kernels))
        self.head = nn.Linear(3, 3)

    def forward(self, images: torch.Tensor, traversal: Traversal = alone) -> torch.Tensor:
        """Images [B, 3, S, S] to logits [B, 3]."""
        for edge in (self.first, self.second):
            images = traversal(edge, images)
        logits: torch.Tensor = self.head(images.mean((2, 3)))
        return logits


class OwnSupernet(SupernetTask):
    """A space of one's own, as docs/weight-sharing.md says."""

    choices = SearchSpace([layer("first", ("k1", "k3", "k5")), layer("second", ("k1", "k3"))])

    def build(self, candidates: Candidates) -> nn.Module:
        return Branches(candidates)


def test_a_space_of_ones_own_needs_two_overrides(tmp_path: Path) -> None:
    """Its choices, and a network that has the operations of given options."""
    task = OwnSupernet(SupernetOptions(**TINY | {"sharing": "groups", "groups": 2}))
    task.prepare(RehearsalProducts(tmp_path))
    assert {name for part in task.parts.values() for name in part} == {
        *("11", "12", "21", "22", "31", "32")
    }
    names = list(task.subnets((1,)))

    evaluation = evaluate(task.create((1,), 1), Rehearsal(tmp_path))

    assert list(evaluation.metrics) == [f"subnet.{name}" for name in names]
    assert trained(task.create((1,), 1), tmp_path).info["steps"] == 4


@pytest.mark.parametrize("sharing", ["all", "prefix"])
def test_the_example_of_an_own_space_trains(sharing: str, tmp_path: Path) -> None:
    """The supernet of docs/own-task.md rates its nine subnets, also behind a shared prefix."""
    file = Path(__file__).parents[2] / "examples" / "own_supernet.py"
    options = TINY | {"sharing": sharing, "prefix": 1 if sharing == "prefix" else 0}
    task: SupernetTask = load_task("Kernels", options, task_file=f"{file}:Kernels")
    task.prepare(RehearsalProducts(tmp_path))
    member = task.create(WHOLE, 1)

    trained(member, tmp_path)

    names = list(evaluate(member, Rehearsal(tmp_path)).metrics)
    assert names == [f"subnet.{i}{j}" for i in "123" for j in "123"]
    named = member.supernet.names("32").items()
    private = {name.rpartition(".")[0] for name, here in named if name != here}
    wanted = {"second.k3.0", "second.k3.1", "head"}
    assert private == (wanted if sharing == "prefix" else set())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scored": ("111",)}, "task.scored: expected names of subnets, from 11 to 32, and '111'"),
        ({"sharing": "groups", "groups": 4}, "task.groups: .* divides the 6 architectures"),
        ({"sharing": "prefix"}, "task.prefix: .* no module 'cells.0' .* needs a method `behind`"),
        ({"sharing": "names", "private": ("*.e12.*",)}, "task.private: .* matches none"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_are_of_ones_own_space(options: dict[str, Any], sentence: str) -> None:
    """Names of subnets, tensors and cells are those of the space and network of the task."""
    with pytest.raises(TaskError, match=sentence):
        OwnSupernet(SupernetOptions(**TINY | options))

    fits = {"sharing": "names", "private": ("first.k3.*",), "scored": ("32", "11")}
    assert OwnSupernet(SupernetOptions(**TINY | fits)).is_private("first.k3.weight")


class OwnImages(Cell64Task):
    """Forty images of one's own, half of which train."""

    def load_images(self, split: str) -> ImageSet:
        found = super().load_images(split)
        return replace(found, images=found.images[:40], labels=found.labels[:40])


def test_options_fit_the_number_of_ones_own_images(tmp_path: Path) -> None:
    """They are counted when they are loaded, not taken for those of a known data set."""
    task = OwnImages(Cell64Options(**TINY))
    for ask in (task.look, lambda: task.prepare(RehearsalProducts(tmp_path))):
        with pytest.raises(TaskError, match="task.held_out: expected less than the 40 images"):
            ask()

    fits = TINY | {"held_out": 20, "validation_images": None, "batch_size": 10}
    assert "20 images train, 20 held out score, 40 of" in OwnImages(Cell64Options(**fits)).look()


def test_scores_are_of_images_that_do_not_train(tmp_path: Path) -> None:
    """Held-out images of the train half score, and the test half is reported on; as published,
    all of the train half trains and the test half scores."""
    usual, published = cell64(), cell64(as_published=True)

    assert [len(p) for p in parts(usual)] == [160, 60, 440, 300]
    assert [len(p) for p in parts(published)] == [600, 60, 300, 300]
    assert torch.equal(usual.problem.held_out.images, published.problem.train.images[160:])
    assert torch.equal(published.problem.held_out.images, published.problem.test.images)
    for task, unseen in ((usual, 300.0), (published, 0.0)):
        final = evaluate(task.create((1, 1, 1), 0), Rehearsal(tmp_path, final=True))
        assert final.metrics == {"unseen_examples": unseen}
    assert "160 images train, 440 held out score, 300 of gratings-test-8" in usual.look()


def parts(task: Cell64Task) -> list[Any]:
    problem = task.problem
    return [problem.train, problem.validation, problem.held_out, problem.test]


def test_batches_are_whole_passes_in_an_order_of_the_seed() -> None:
    """The last batch of a pass has the rest; every pass is a permutation of its own."""
    task = cell64(crop_padding=0, flip=False)
    batches = task.batches("cpu")
    sizes = [len(batches.at(1, step)[1]) for step in range(5)]
    assert sizes == [32, 32, 32, 32, 32]
    odd = cell64(batch_size=50)
    assert [len(odd.batches("cpu").at(1, step)[1]) for step in range(5)] == [50, 50, 50, 10, 50]

    first, again, other, later = (
        batches.at(seed, step)[0] for seed, step in ((1, 2), (1, 2), (2, 2), (1, 7))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, later)


def test_augmentation_shifts_and_mirrors() -> None:
    """Every image becomes a window of itself with mean colour around, mirrored or not."""
    appearance = cell64(crop_padding=2).appearance
    images = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    windows = [
        window
        for y in range(5)
        for x in range(5)
        for part in [padded[:, :, y : y + 8, x : x + 8]]
        for window in (part, part.flip(3))
    ]

    changed = appearance.changed(images, 5)

    which = [
        [i for i, window in enumerate(windows) if torch.equal(window[n], changed[n])]
        for n in range(40)
    ]
    assert all(len(found) == 1 for found in which)
    assert len({found[0] // 2 for found in which}) > 12
    assert 10 < sum(found[0] % 2 for found in which) < 30


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sharing": "groups", "groups": 3}, "task.groups: expected a number that divides the 64"),
        ({"groups": 4}, "task.groups: expected 1 with task.sharing all, not 4"),
        ({"sharing": "prefix", "prefix": 5}, "task.prefix: expected at most the cells"),
        ({"prefix": 1}, "task.prefix: expected 0 with task.sharing all, not 1"),
        ({"shared_head": True}, "task.shared_head: expected false with task.sharing all"),
        ({"private": ["*.e12.*"]}, r"task.private: expected \[\] with task.sharing all"),
        (
            {"sharing": "names", "private": ["*.e21.*"]},
            "task.private: expected patterns of names of tensors, and '.*e21.*' matches none",
        ),
        (
            {"sharing": "names", "private": ["*.weight"]},
            "task.private: expected patterns that leave the input layer stem.conv1 shared",
        ),
        ({"dense_rows": 13}, "task.dense_rows: expected at most the 12 steps of the schedule"),
        ({"order_seed": 1}, "task.order_seed: expected null with task.order cycle"),
        ({"scored": ["555"]}, "task.scored: expected names of subnets, from 111 to 444"),
        ({"scored": ["111", "111"]}, "task.scored: expected every subnet once"),
        (
            {"scored": ["111"], "sharing": "groups", "groups": 4},
            r"task.scored: expected \[\] with task.sharing groups",
        ),
        ({"kernels": [3, 3, 4, 5]}, "task.kernels: expected four odd numbers"),
        ({"kernels": [3, 5, 5, 5]}, "task.kernels: expected two different separable"),
        ({"mean": [0.5]}, "task.mean: expected three numbers"),
        ({"held_out": 600}, "task.held_out: expected less than the 600 images"),
        ({"validation_images": 441}, "task.validation_images: expected at most the 440 images"),
        ({"batch_size": 161}, "task.batch_size: expected at most the 160 training images"),
        ({"lowest_rate": 0.2}, "task.lowest_rate: expected at most task.learning_rate"),
        ({"order": "shuffled"}, "task.order: expected one of cycle, permuted, reshuffled"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], sentence: str) -> None:
    """One sentence: the key, what was expected, the value."""
    with pytest.raises(ConfigError, match=sentence) as found:
        load_task("supernet", TINY | options, places={key: f"my.yaml:{key}" for key in options})

    assert len(found.value.problems) == 1
    assert found.value.problems[0].startswith("my.yaml:")


def test_missing_images_are_a_sentence_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has not got CIFAR-10 yet reads how."""
    monkeypatch.setenv("PBTNAS_DATA", str(tmp_path))
    task = Cell64Task(Cell64Options(side=16))

    for ask in (task.look, lambda: task.prepare(RehearsalProducts(tmp_path))):
        with pytest.raises(TaskError, match="get it with `pbtnas data get cifar10`"):
            ask()


NB201: dict[str, Any] = {key: value for key, value in TINY.items() if key != "stem_factor"}


def nb201_supernet(**options: Any) -> SupernetTask:
    """The task of supernets of NAS-Bench-201, ready."""
    return supernet(**{"space": "nb201", "scored_count": 3} | options)


class TestNb201(TaskContract):
    """The contract for networks of NAS-Bench-201 alone."""

    def make_task(self) -> Task:
        return Nb201Task(Nb201Options(**NB201))


class TestNb201Supernet(TaskContract):
    """The contract for supernets of it, each of a group of 3,125."""

    costs = frozenset()

    def make_task(self) -> Task:
        options = {"space": "nb201", "sharing": "groups", "groups": 5, "scored_count": 2}
        return SupernetTask(SupernetOptions(**TINY | options | {"order": "uniform"}))


class Same(SupernetTrainee):
    """A supernet of which every step trains the same subnet."""

    def subnet(self, step: int) -> str:
        return "333132"


def test_training_one_subnet_of_nb201_is_training_it_alone(tmp_path: Path) -> None:
    """With normalisation as in networks alone, it is the lone network bit by bit."""
    task = nb201_supernet(affine=True, nesterov=True, bn_momentum=0.1)
    whole = Same(task, task.spanned(WHOLE), 5)

    after = trained(whole, tmp_path)

    options = {"learning_rate": 0.1, "lowest_rate": 0.001, "weight_decay": 1e-3}
    alone = Nb201Task(Nb201Options(**NB201 | options))
    alone.prepare(RehearsalProducts(tmp_path))
    own = trained(alone.create((3, 3, 3, 1, 3, 2), 5), tmp_path)
    assert set(own.live) == set(whole.supernet.names("333132")) & set(after.live)
    for section in ("live", "buffers"):
        for name, tensor in getattr(own, section).items():
            assert torch.equal(getattr(after, section)[name], tensor), name


def test_of_nb201_a_few_subnets_are_scored(tmp_path: Path) -> None:
    """Always the same, by the names of the published table; 100 unless it is said."""
    task = nb201_supernet()

    first, second = (
        list(evaluate(task.create(WHOLE, seed), Rehearsal(tmp_path)).metrics) for seed in (1, 2)
    )

    assert first == second
    assert [name[:7] for name in first] == ["subnet."] * 3 + ["spent_m"]
    assert all(len(name) == len("subnet.000000") for name in first[:3])
    usual = SupernetOptions(**TINY | {"space": "nb201"})
    assert len(scored_subnets([str(i) for i in range(15_625)], usual)) == 100


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"affine": True}, "task.affine: expected false with task.space cell64"),
        ({"space": "nb201", "sharing": "prefix"}, "task.sharing: expected all or groups with"),
        ({"scored": ["111"], "scored_count": 2}, "task.scored_count: expected null with"),
        ({"space": "nb201", "scored": ["111"]}, "task.scored: expected names of subnets, from 000"),
        ({"nesterov": True, "momentum": 0}, "task.nesterov: expected false with task.momentum 0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_options_of_another_space_are_refused(options: dict[str, Any], sentence: str) -> None:
    """What means nothing in a space is not passed over."""
    with pytest.raises((ConfigError, TaskError), match=sentence):
        SupernetTask(parse(SupernetOptions, TINY | options, "task"))


def cost(task: Any, architecture: tuple[int, ...], scratch: Path, *, jobs: int = 1) -> float:
    """What the last of some jobs of an epoch reports to have cost."""
    member = task.create(architecture, 5)
    trained(member, scratch, jobs=jobs)
    return evaluate(member, Rehearsal(scratch)).metrics["spent_multiply_adds"]


def test_a_job_costs_the_multiply_adds_of_its_passes(tmp_path: Path) -> None:
    """Three forward passes for each image that trains, one for each that scores.

    Each job says its own cost alone; the count of one pass is torch's own."""
    task = cell64(count_cost=True, batch_size=64)
    network = task.network(only((1, 2, 3)), 0)
    one = multiply_adds(network, lambda n: n(torch.empty(1, 3, 8, 8, device="meta")))

    first, second = (cost(task, (1, 2, 3), tmp_path, jobs=n) for n in (1, 2))

    # 160 images train, in batches of 64, 64, 32, 64 and then of 64, 32, 64, 64; 60 score.
    assert first == second == one * (3 * 224 + 60)
    assert (
        "spent_multiply_adds"
        not in evaluate(cell64().create((1, 2, 3), 5), Rehearsal(tmp_path)).metrics
    )


def test_the_cost_of_a_supernet_is_that_of_the_subnets_it_ran(tmp_path: Path) -> None:
    """Those whose turn it was in training, in the rows, and in the evaluation."""
    options = {"count_cost": True, "scored": ("434",), "schedule_epochs": 1, "dense_rows": 2}
    options["batch_size"] = 64
    one = {
        a: cell64().pass_costs(only(a)).path(a)
        for a in ((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3), (3, 2, 3))
    }

    found = cost(supernet(**options), WHOLE, tmp_path)

    batches = (64, 64, 32, 64)
    trained_on = sum(one[0, 0, step] * images for step, images in enumerate(batches))
    assert found == 3 * trained_on + 3 * 60 * one[3, 2, 3]


def test_a_job_that_goes_on_reports_the_cost_of_the_whole_job(tmp_path: Path) -> None:
    """Interrupted in its middle, and loaded again before it is evaluated."""
    task = cell64(count_cost=True)
    whole = cost(task, (1, 2, 3), tmp_path, jobs=2)
    member = task.create((1, 2, 3), 5)
    trained(member, tmp_path)
    train(member, 1, Rehearsal(tmp_path, seed=101, stop_at=2))
    again = task.create((1, 2, 3), 6)
    again.load(copy_of(member.state()))
    train(again, 1, Rehearsal(tmp_path, seed=101, done=2))
    last = task.create((1, 2, 3), 7)
    last.load(copy_of(again.state()))

    assert evaluate(last, Rehearsal(tmp_path)).metrics["spent_multiply_adds"] == whole
