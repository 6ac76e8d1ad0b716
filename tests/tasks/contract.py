"""The contract between a task and the engine, as tests that every task inherits.

class TestOwnTask(TaskContract):
    def make_task(self) -> Task:
        return OwnTask()
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from pbtnas.determinism import seed_everything
from pbtnas.search import Architecture, SearchSpace
from pbtnas.search.objectives import COUNTED
from pbtnas.state import Json, State, assemble
from pbtnas.tasks.base import Diverged, Task, Trainee
from pbtnas.tasks.checking.naming import ladder_faults, naming_faults
from pbtnas.tasks.checking.rehearsal import (
    Rehearsal,
    RehearsalProducts,
    copy_of,
    difference,
    evaluate,
    train,
)
from pbtnas.tasks.costs import costs_of
from pbtnas.tasks.findings import preview_fault
from pbtnas.tasks.fresh import fresh_tensors
from pbtnas.tasks.optional import epoch_steps


class TaskContract:
    """Inherit, and define `make_task`; `epochs` should be two or three steps at least."""

    device: str = "cpu"
    epochs: ClassVar[int] = 1
    artifacts: ClassVar[frozenset[str]] = frozenset()
    costs: ClassVar[frozenset[str]] = COUNTED
    _products: ClassVar[dict[type, dict[str, bytes]]] = {}

    def make_task(self) -> Task:
        """A task as the engine makes it, not prepared."""
        raise NotImplementedError

    def context(self, scratch: Path, **given: Any) -> Rehearsal:
        """Of a job on the device."""
        return Rehearsal(scratch, device=self.device, **given)

    @pytest.fixture
    def task(self, tmp_path: Path) -> Task:
        """The task, prepared; products are made once for all tests of a class."""
        task = self.make_task()
        task.prepare(RehearsalProducts(tmp_path, self._products.setdefault(type(self), {})))
        return task

    def test_create_is_a_function_of_architecture_and_seed(self, task: Task) -> None:
        """The same weights whatever the global RNGs did before; others for another seed.

        A child that is mixed begins with these very weights where it inherits none."""
        for architecture in architectures(task.space, 3):
            seed_everything(0, self.device)
            first = task.create(architecture, 5).state()
            again = task.create(architecture, 5).state()
            other = task.create(architecture, 6).state()
            fresh = fresh_tensors(task, architecture, 5)
            keys = sorted(fresh, reverse=True)  # in any order
            for_a_child = assemble({key: fresh[key].make() for key in keys}, {})

            assert difference(first, again) is None
            assert difference(first, other) is not None
            assert difference(_weights(first), _weights(for_a_child)) is None

    def test_create_leaves_the_global_random_numbers_alone(self, task: Task) -> None:
        """Initialisation draws from a stream of its own."""
        seed_everything(0, self.device)
        before = torch.get_rng_state()

        task.create(architectures(task.space, 1)[0], 5)

        assert torch.equal(before, torch.get_rng_state())

    def test_a_state_survives_a_round_trip(self, task: Task, tmp_path: Path) -> None:
        """A trained state loads into a member of another seed and comes back bit by bit."""
        for architecture in architectures(task.space, 3):
            trainee = task.create(architecture, 1)
            state = train(trainee, self.epochs, self.context(tmp_path, stop_at=2)).state
            given = copy_of(state)

            loaded = task.create(architecture, 2)
            loaded.load(given)

            assert difference(loaded.state(), state) is None
            train(loaded, self.epochs, self.context(tmp_path, stop_at=2))
            assert difference(given, state) is None, "training changed the state that was given"

    def test_a_state_that_does_not_fit_is_refused(self, task: Task) -> None:
        """Missing, left over and misshapen live tensors raise a ValueError naming them."""
        trainee = task.create(architectures(task.space, 1)[0], 1)
        name = sorted(trainee.state().live)[0]

        for live in (_without(trainee, name), _with_extra(trainee), _misshapen(trainee, name)):
            state = copy_of(trainee.state())
            state.live = live
            with pytest.raises(ValueError, match=f"{name}|left.over"):
                trainee.load(state)

    def test_an_interruption_changes_nothing(self, task: Task, tmp_path: Path) -> None:
        """Left at any tick and continued elsewhere from its state, a job ends the same."""
        for architecture in architectures(task.space, 2):
            context = self.context(tmp_path, seed=7)
            whole = train(task.create(architecture, 1), self.epochs, context)
            assert whole.done >= 2, "train() must call tick(done) after every step"
            steps = epoch_steps(task, task.space.decode(architecture))
            assert steps is None or whole.done == self.epochs * steps
            anywhere = random.Random(str(architecture)).randrange(1, whole.done)
            for stop_at in (1, whole.done // self.epochs, anywhere):
                log: list[Mapping[str, Json]] = []
                first = self.context(tmp_path, seed=7, stop_at=stop_at, logged=log)
                half = train(task.create(architecture, 1), self.epochs, first)
                other = task.create(architecture, 2)
                other.load(half.state)

                resumed = train(
                    other, self.epochs, self.context(tmp_path, seed=7, logged=log), half
                )

                assert resumed.done == whole.done
                assert difference(resumed.state, whole.state) is None
                assert log == context.logged

    def test_jobs_of_other_seeds_train_differently(self, task: Task, tmp_path: Path) -> None:
        """The job's seed, not the member's, decides the order of the data."""
        architecture = architectures(task.space, 1)[0]
        a, b = (
            train(
                task.create(architecture, 1), self.epochs, self.context(tmp_path, seed=seed)
            ).state
            for seed in (1, 2)
        )

        assert difference(a, b) is not None

    def test_evaluate_is_a_function_of_state_and_seed(self, task: Task, tmp_path: Path) -> None:
        """It changes nothing, and a copy of the member gets the same score."""
        for architecture in architectures(task.space, 3):
            trainee = task.create(architecture, 1)
            state = train(trainee, self.epochs, self.context(tmp_path, stop_at=2)).state
            copy = task.create(architecture, 2)
            copy.load(state)

            evaluation = evaluate(trainee, self.context(tmp_path, seed=3))
            score = evaluation.score

            assert preview_fault(evaluation, trainee) is None
            assert difference(trainee.state(), state) is None
            assert math.isfinite(score)
            assert score == evaluate(trainee, self.context(tmp_path, seed=3)).score
            assert score == evaluate(copy, self.context(tmp_path, seed=3)).score

    def test_the_state_is_whole_at_every_tick_of_an_evaluation(
        self, task: Task, tmp_path: Path
    ) -> None:
        """There the engine may take a snapshot, from which the evaluation is made again."""
        trainee = task.create(architectures(task.space, 1)[0], 1)
        state = train(trainee, self.epochs, self.context(tmp_path, stop_at=2)).state
        before, context = copy_of(state), self.context(tmp_path, seed=3)
        changed: list[str | None] = []

        def look(done: int | None = None) -> None:
            if len(changed) < 8:
                changed.append(difference(before, trainee.state()))

        context.tick = look  # type: ignore[method-assign]
        evaluate(trainee, context)

        assert set(changed) <= {None}

    def test_every_option_builds_and_trains(self, task: Task, tmp_path: Path) -> None:
        """Each option of each variable fits its position."""
        usual = architectures(task.space, 1)[0]
        for i, variable in enumerate(task.space):
            for option in range(len(variable.options)):
                trainee = task.create((*usual[:i], option, *usual[i + 1 :]), 1)
                train(trainee, self.epochs, self.context(tmp_path, stop_at=1))

    def test_names_serve_inheritance(self, task: Task) -> None:
        """No variable renames or reshapes what it does not own, and none owns nothing."""
        usual = architectures(task.space, 1)[0]
        states = {}
        for i, variable in enumerate(task.space):
            for option in range(len(variable.options)):
                architecture = (*usual[:i], option, *usual[i + 1 :])
                states[architecture] = task.create(architecture, 0).state()

        assert list(naming_faults(task.space, usual, states)) == []
        assert list(ladder_faults(task.space, usual, states)) == []

    def test_a_mix_of_any_two_members_loads_and_trains(self, task: Task, tmp_path: Path) -> None:
        """A child of two trained random members is a member."""
        rng = random.Random(11)
        for seed in range(5):
            parents = [task.space.sample(rng) for _ in range(2)]
            base, donor = (
                train(task.create(p, seed), self.epochs, self.context(tmp_path, stop_at=2)).state
                for p in parents
            )
            inherited = {i for i in range(len(task.space)) if rng.random() < 0.5}
            architecture = tuple(parents[i in inherited][i] for i in range(len(task.space)))
            fresh = task.create(architecture, seed).state()

            child = task.create(architecture, seed + 1)
            child.load(mixed(task.space, inherited, base, donor, fresh))

            train(child, self.epochs, self.context(tmp_path, stop_at=1))

    def test_the_final_evaluation_brings_its_artifacts(self, task: Task, tmp_path: Path) -> None:
        """The number to report is a number, and comes with the promised files."""
        trainee = task.create(architectures(task.space, 1)[0], 1)

        final = evaluate(trainee, self.context(tmp_path, final=True))

        assert math.isfinite(final.score)
        assert set(final.artifacts) == self.artifacts
        assert all(final.artifacts.values())

    def test_costs_are_a_function_of_the_architecture(self, task: Task) -> None:
        """Objectives may ask for the multiply-adds of any architecture; a job counts them last, and
        fails where they cannot be counted."""
        for architecture in architectures(task.space, 5):
            trainee = task.create(architecture, 1)
            state = copy_of(trainee.state())

            costs = costs_of(trainee, COUNTED)

            assert all(math.isfinite(number) and number > 0 for number in costs.values())
            assert costs == costs_of(task.create(architecture, 2), COUNTED)
            assert set(costs) == self.costs
            assert difference(trainee.state(), state) is None

    def test_broken_weights_cannot_win(self, task: Task, tmp_path: Path) -> None:
        """NaN in all weights ends in Diverged or in a score that is not finite."""
        for architecture in architectures(task.space, 3):
            trainee = task.create(architecture, 1)
            state = copy_of(trainee.state())
            for tensor in (*state.live.values(), *state.averaged.values()):
                tensor.fill_(math.nan)
            trainee.load(state)

            assert not math.isfinite(evaluate(trainee, self.context(tmp_path)).score)
            try:
                train(trainee, self.epochs, self.context(tmp_path, stop_at=1))
            except Diverged as error:
                assert "nan" in str(error)


def architectures(space: SearchSpace, count: int) -> list[Architecture]:
    """Some architectures, always the same."""
    rng = random.Random(1)
    return [space.sample(rng) for _ in range(count)]


def mixed(
    space: SearchSpace, inherited: set[int], base: State, donor: State, fresh: State
) -> State:
    """Mixing at its plainest, lambda 0.4 and gamma 0.1."""
    child = State(info=base.info, extra=base.extra)
    for section in ("live", "buffers", "averaged"):
        for name, init in getattr(fresh, section).items():
            given = space.owner(name) in inherited
            tensor = getattr(donor if given else base, section).get(name, init)
            if tensor.shape != init.shape:
                tensor = init
            elif given and section == "live":
                tensor = 0.4 * tensor + 0.1 * init
            getattr(child, section)[name] = tensor
    child.optimizer = {
        key: moment
        for key, moment in base.optimizer.items()
        if (name := key.rpartition("/")[0]) in fresh.live
        and space.owner(name) not in inherited
        and base.live[name].shape == fresh.live[name].shape
    }
    return child


def _weights(state: State) -> State:
    """What both parents of a child give to."""
    return State(state.live, state.buffers, state.averaged)


def _without(trainee: Trainee, name: str) -> dict[str, torch.Tensor]:
    return {n: t for n, t in copy_of(trainee.state()).live.items() if n != name}


def _with_extra(trainee: Trainee) -> dict[str, torch.Tensor]:
    return copy_of(trainee.state()).live | {"left.over": torch.zeros(1)}


def _misshapen(trainee: Trainee, name: str) -> dict[str, torch.Tensor]:
    return copy_of(trainee.state()).live | {name: torch.zeros(1, 2, 3)}


def tf32_while_training(trainee: Trainee, scratch: Path) -> set[tuple[bool, bool]]:
    """Whether TF32 was allowed, for convolutions and products, at the ticks of an epoch."""
    seen = set()

    class Watching(Rehearsal):
        def tick(self, done: int | None = None) -> None:
            seen.add(tf32_allowed())
            super().tick(done)

    train(trainee, 1, Watching(scratch))
    return seen


def tf32_allowed() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
