"""The methods of the task `supernet` that learn an architecture: contract, costs, resumption."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from pbtnas.config import ConfigError, TaskConfig
from pbtnas.supernet.methods import METHODS
from pbtnas.supernet.relaxation import edges_by_node
from pbtnas.tasks.base import CHOSEN, ENTROPY, SPENT, SUBNET, Diverged, Task, TaskError
from pbtnas.tasks.checking.rehearsal import (
    Rehearsal,
    RehearsalProducts,
    copy_of,
    difference,
    evaluate,
    train,
)
from pbtnas.tasks.loading import complete_options, load_task
from pbtnas.tasks.weight_sharing import SupernetTask
from pbtnas.tasks.weight_sharing.learning_member import LearningTrainee
from tests.tasks.contract import TaskContract

TINY: dict[str, Any] = {
    "width": 4,
    "cells": 1,
    "stem_factor": 1,
    "data": "gratings",
    "side": 8,
    "held_out": 300,
    "validation_images": 60,
    "crop_padding": 1,
    "batch_size": 32,
    "steps_per_epoch": 4,
    "schedule_epochs": 3,
    "learning_rate": 0.1,
    "frozen_share": 0,
    "controller_every": 2,
    "controller_steps": 2,
    "controller_draws": 3,
    "choices": 4,
    "choice_images": 32,
}
WHOLE = (0,)

every_method = pytest.mark.parametrize("method", METHODS)


def supernet(method: str, **options: Any) -> SupernetTask:
    """The task with a method, ready."""
    task = load_task("supernet", TINY | {"method": method} | options)
    assert isinstance(task, SupernetTask)
    task.prepare(RehearsalProducts(Path()))
    return task


def trainee(task: SupernetTask, seed: int = 5) -> LearningTrainee:
    found = task.create(WHOLE, seed)
    assert isinstance(found, LearningTrainee)
    return found


class TestEnas(TaskContract):
    """The contract for a controller that draws subnets."""

    artifacts = frozenset({"architecture.txt"})
    costs = frozenset()

    def make_task(self) -> Task:
        return load_task("supernet", TINY | {"method": "enas"})


class TestGaea(TaskContract):
    """The contract for a mixture of operations and edges on a part of the channels."""

    artifacts = frozenset({"architecture.txt"})
    costs = frozenset()

    def make_task(self) -> Task:
        return load_task("supernet", TINY | {"method": "gaea-pc-darts"})


@every_method
@pytest.mark.parametrize("space", ["cell64", pytest.param("nb201", marks=pytest.mark.slow)])
def test_an_interrupted_job_goes_on_to_the_same_bits(
    method: str, space: str, tmp_path: Path
) -> None:
    """Whatever is drawn, and what the job has cost, is the same after leaving at any step."""
    task = supernet(method, space=space, steps_per_epoch=3)
    whole, left = trainee(task), trainee(task)
    for job in range(2):
        train(whole, 1, Rehearsal(tmp_path, seed=job))
    train(left, 1, Rehearsal(tmp_path, seed=0))
    train(left, 1, Rehearsal(tmp_path, seed=1, stop_at=2))
    again = trainee(task, seed=6)
    again.load(copy_of(left.state()))
    train(again, 1, Rehearsal(tmp_path, seed=1, done=2))

    assert difference(whole.state(), again.state()) is None
    ours, theirs = (evaluate(each, Rehearsal(tmp_path)) for each in (whole, again))
    assert (ours.score, ours.metrics) == (theirs.score, theirs.metrics)


@every_method
@pytest.mark.parametrize("rate", [2.0, 300.0])
def test_mixtures_are_on_the_simplex_at_every_step(
    method: str, rate: float, tmp_path: Path
) -> None:
    """Rows sum to 1 within 1e-6, none is below 0, and weights of edges do so at each node.

    At the larger rate mixtures of the exponentiated gradient are at a vertex after some steps.
    """
    task = supernet(method, architecture_rate=rate if "gaea" in method else rate / 20)
    member = trainee(task)
    seen = []

    class Watching(Rehearsal):
        def tick(self, done: int | None = None) -> None:
            rows, edges = member.learning.mixture().detach(), member.learning.edges()
            assert float((rows.sum(dim=1) - 1).abs().max()) <= 1e-6
            assert float(rows.min()) >= 0
            if edges is not None:
                for node in edges_by_node(task.nodes):
                    assert float((edges.detach()[node].sum() - 1).abs()) <= 1e-6
            seen.append(rows.clone())
            super().tick(done)

    for job in range(2):
        train(member, 1, Watching(tmp_path, seed=job))

    assert len(seen) >= 8
    assert (method == "rs-ws") == torch.equal(seen[0], seen[-1])


def test_a_run_goes_on_without_what_its_method_sets_since() -> None:
    """Its options are those that it recorded: a newer setting of the method changes no bit."""
    task = supernet("gaea-gdas")
    recorded = complete_options(task, TINY | {"method": "gaea-gdas"})
    assert recorded["normalise_first"]
    del recorded["normalise_first"]

    in_force = TaskConfig("supernet", recorded=recorded).in_force
    resumed = load_task("supernet", in_force)

    assert isinstance(resumed, SupernetTask)
    assert not resumed.options.normalise_first
    assert resumed.options.frozen_share == 0
    assert complete_options(resumed, in_force) == recorded | {"normalise_first": False}


def test_a_configuration_that_names_every_option_has_its_method() -> None:
    """What it does not say is preset, however much it says; only a run has all that it needs."""
    given = {key: value for key, value in TINY.items() if not key.startswith(("ch", "cont"))}
    plain = complete_options(load_task("supernet", given), given)
    chosen = {"method": "gaea-gdas", "architecture_rate": 0.5, "choice_images": 32}

    task = load_task("supernet", plain | chosen)

    assert isinstance(task, SupernetTask)
    assert (task.options.relaxation, task.options.normalise_first) == ("gumbel", True)


def test_darts_and_gaea_take_the_same_first_step_of_the_weights(tmp_path: Path) -> None:
    """With logits that begin at zero and weights first, they differ in the architecture alone."""
    states = []
    for method in ("darts-1", "gaea-bilevel"):
        task = supernet(method, first="weights", logits_scale=0, steps_per_epoch=1)
        member = trainee(task)
        train(member, 1, Rehearsal(tmp_path))
        states.append(copy_of(member.state()))

    ours, theirs = ({n: t for n, t in s.live.items() if "architecture." not in n} for s in states)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert states[0].buffers.keys() == states[1].buffers.keys()
    assert "architecture.logits" in states[0].live
    assert "architecture.mixture" in states[1].live


@every_method
def test_metrics_say_what_is_chosen_and_what_it_cost(method: str, tmp_path: Path) -> None:
    """Of this job alone, and the same whatever was evaluated before."""
    member = trainee(supernet(method))
    train(member, 1, Rehearsal(tmp_path))
    before = copy_of(member.state())
    first = evaluate(member, Rehearsal(tmp_path))
    again = evaluate(member, Rehearsal(tmp_path))

    assert difference(before, member.state()) is None
    assert first.metrics == again.metrics
    chosen = [first.metrics[f"{CHOSEN}{i}"] for i in range(3)]
    assert all(option in range(4) for option in chosen)
    assert 0 < first.metrics[ENTROPY] <= math.log(4) + 1e-6
    final = evaluate(member, Rehearsal(tmp_path, final=True))
    assert [final.metrics[f"{CHOSEN}{i}"] for i in range(3)] == chosen
    name = "".join(str(int(option) + 1) for option in chosen)
    assert final.artifacts["architecture.txt"].decode().splitlines()[0] == name


COSTS = {
    # Four steps on 32 images: passes of the whole supernet, a backward pass as two forward ones.
    "darts-1": lambda mixed, fixed: 4 * 32 * (3 + 3) * mixed,
    "darts-2": lambda mixed, fixed: 4 * 32 * (3 + 12) * mixed,
    "gaea-bilevel": lambda mixed, fixed: 4 * 32 * (3 + 3) * mixed,
}


@pytest.mark.parametrize("method", COSTS)
def test_the_cost_of_training_is_that_of_its_passes(method: str, tmp_path: Path) -> None:
    """Counted by hand for the methods whose steps all cost the same."""
    task = supernet(method)
    member = trainee(task)
    train(member, 1, Rehearsal(tmp_path))

    trained = COSTS[method](task.passes.mixed(), task.passes.fixed)
    assert member.job_cost == trained
    found = evaluate(member, Rehearsal(tmp_path)).metrics
    chosen = tuple(int(found[f"{CHOSEN}{i}"]) for i in range(3))
    assert found[SPENT] == trained + 60 * task.passes.path(chosen)


def test_the_controller_learns_what_is_rewarded(tmp_path: Path) -> None:
    """With a reward for one operation of one edge, its probability grows."""

    class Rewarded(LearningTrainee):
        def _rated(self, architecture: Any, images: Any, labels: Any) -> float:
            return float(architecture[1] == 2)

    task = supernet("enas", controller_every=1, controller_steps=15, controller_draws=10,
                    architecture_rate=0.02)  # fmt: skip
    member = Rewarded(task, task.spanned(WHOLE), 5)
    train(member, 1, Rehearsal(tmp_path))

    rows = member.learning.mixture()
    assert float(rows[1, 2]) > 0.8
    assert member.baseline is not None and 0 < member.baseline < 1.1


def test_frozen_architectures_stay_until_their_share_of_the_schedule(tmp_path: Path) -> None:
    """Of 12 steps, the first 6 leave the mixture as it is; the seventh moves it."""
    member = trainee(supernet("pc-darts", frozen_share=0.5, steps_per_epoch=6, schedule_epochs=2))
    before = member.learning.mixture().detach().clone()
    train(member, 1, Rehearsal(tmp_path))
    assert torch.equal(before, member.learning.mixture())

    train(member, 1, Rehearsal(tmp_path))
    assert not torch.equal(before, member.learning.mixture())


def test_an_architecture_that_is_not_finite_ends_the_member(tmp_path: Path) -> None:
    """The message names the edge and the step."""
    member = trainee(supernet("gaea-bilevel"))
    with torch.no_grad():
        member.learning.parameters[0][2, 1] = math.nan
    assert member.learning.broken() == (2, pytest.approx(math.nan, nan_ok=True))

    # By way of the loss, it has spread to all edges, of which the first is named.
    with pytest.raises(Diverged, match=r"operations of e01 hold nan after step 1 of"):
        train(member, 1, Rehearsal(tmp_path))


def test_operations_are_left_out(tmp_path: Path) -> None:
    """GAEA has no `none` in nb201, neither in the network nor among what it may choose."""
    task = supernet("gaea-bilevel", space="nb201")
    member = trainee(task)

    assert not any(".none." in name or name.endswith(".none") for name, _ in
                   member.networks.named_modules())  # fmt: skip
    assert member.learning.mixture().shape == (6, 4)
    assert len(task.subnets(WHOLE)) == 4**6
    assert supernet("darts-1", space="nb201").candidates[0] == [0, 1, 2, 3, 4]


def test_named_subnets_are_scored_too(tmp_path: Path) -> None:
    """Beside the chosen one, those of task.scored."""
    member = trainee(supernet("gdas", scored=["111", "434"]))

    metrics = evaluate(member, Rehearsal(tmp_path)).metrics

    assert {name for name in metrics if name.startswith(SUBNET)} == {"subnet.111", "subnet.434"}


def test_a_subnet_of_partial_channels_is_no_network_alone() -> None:
    """It is rated inside the supernet, and neither tuned nor exported."""
    task = supernet("pc-darts")
    with pytest.raises(TaskError, match=r"partial_channels 4: a subnet .* cannot be tuned"):
        task.rater(WHOLE, ["111"], at=(0, 2))
    with pytest.raises(TaskError, match=r"partial_channels 4: .* no network alone"):
        task.rater(WHOLE, ["111"]).trained_network()


def test_a_method_sets_what_is_not_given() -> None:
    """Published settings, which any key overrides, also by the value that has no method."""
    task = load_task("supernet", {"method": "pc-darts", "weight_decay": 1e-3, "frozen_share": 0})
    assert isinstance(task, SupernetTask)
    options = task.options

    assert (options.learning_rate, options.lowest_rate, options.partial_channels) == (0.1, 0, 4)
    assert (options.weight_decay, options.frozen_share) == (1e-3, 0)
    assert (options.batch_size, options.held_out, options.statistics) == (256, 25_000, "batch")
    complete = complete_options(
        task, {"method": "pc-darts", "weight_decay": 1e-3, "frozen_share": 0}
    )
    again = load_task("supernet", complete)
    assert isinstance(again, SupernetTask)
    assert again.options == options


def test_a_task_without_a_method_records_what_it_did() -> None:
    """So its runs have the fingerprints they had."""
    task = load_task("supernet", {})
    assert not complete_options(task, {}).keys() & {"method", "relaxation", "clip", "choices"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "gaea"}, "task.method: expected one of rs-ws, enas"),
        (
            {"method": "darts-2", "objective": "single-level"},
            "task.gradient: expected first-order with task.objective single-level",
        ),
        (
            {"method": "gdas", "gradient": "second-order"},
            "task.gradient: expected first-order with task.relaxation gumbel",
        ),
        (
            {"method": "pc-darts", "width": 6},
            "task.partial_channels: expected a divisor of task.width, which is 6, not 4",
        ),
        (
            {"method": "gaea-bilevel", "architecture_decay": 1e-3},
            "task.architecture_decay: expected 0 with task.architecture_step exponentiated",
        ),
        (
            {"method": "darts-1", "exclude": ["none"]},
            "task.exclude: expected operations of the space, max_pool_3x3, ",
        ),
        (
            {"method": "enas", "relaxation": "softmax"},
            "task.relaxation: expected path with task.architecture_step reinforce",
        ),
        (
            {"method": "rs-ws", "architecture_step": "adam"},
            "task.architecture_step: expected none or reinforce with task.relaxation path",
        ),
        ({"clip": 5}, "task.clip: expected null without task.method, not 5.0"),
        ({"method": "enas", "order": "uniform"}, "task.order: expected cycle with task.method"),
        ({"method": "enas", "choice_images": 61}, "task.choice_images: expected at most the 60"),
    ],
)
def test_what_has_no_meaning_is_refused(options: dict[str, Any], words: str) -> None:
    """In a sentence that names the key, what was expected, and the value."""
    given = {**{k: v for k, v in TINY.items() if "method" in options or k in _PLAIN}, **options}
    with pytest.raises(ConfigError) as refused:
        load_task("supernet", given)

    assert words in str(refused.value)


_PLAIN = {"width", "cells", "data", "side", "held_out", "batch_size", "steps_per_epoch"}


def test_a_method_of_ones_own_is_a_class(tmp_path: Path) -> None:
    """The example projects the mixture: it stays on the simplex, and moves."""
    file = Path(__file__).parents[2] / "examples" / "own_method.py"
    options = TINY | {"method": "gaea-bilevel", "architecture_rate": 5.0}
    task = load_task("Projected", options, task_file=f"{file}:Projected")
    assert isinstance(task, SupernetTask)
    task.prepare(RehearsalProducts(tmp_path))
    member = trainee(task)
    train(member, 1, Rehearsal(tmp_path))

    rows = member.learning.mixture().detach()
    assert float((rows.sum(dim=1) - 1).abs().max()) <= 1e-6
    assert float(rows.min()) >= 0
    assert not torch.equal(rows, torch.full((3, 4), 0.25))
