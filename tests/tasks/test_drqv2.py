"""The agents of DrQ-v2: the contract, and what is particular to a life with a replay buffer."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch

from pbtnas.config import ConfigError, parse
from pbtnas.rl.environments import Actions, Capture, StackedFrames, Step
from pbtnas.rl.episode_directory import listing
from pbtnas.rl.episodes import Array
from pbtnas.rl.replay import Batch
from pbtnas.search import Birth
from pbtnas.tasks.base import Evaluation, Task, TaskError
from pbtnas.tasks.checking.rehearsal import (
    Rehearsal,
    RehearsalProducts,
    copy_of,
    difference,
    evaluate,
    train,
)
from pbtnas.tasks.drqv2 import task as drqv2
from pbtnas.tasks.drqv2.environments import (
    Facts,
    can_render,
    make_environment,
    probe,
    try_out,
)
from pbtnas.tasks.drqv2.options import DrQV2Options
from pbtnas.tasks.drqv2.policy import play_episode
from pbtnas.tasks.drqv2.task import DrQV2Task, DrQV2Trainee
from pbtnas.tasks.loading import load_task
from pbtnas.weights.mixing import mix_states
from tests.models.drqv2 import drqv2_architecture
from tests.tasks.contract import (
    TaskContract,
    architectures,
    tf32_allowed,
    tf32_while_training,
)

TINY = DrQV2Options(
    environment="cartpole_swingup",
    observations="state",
    action_repeat=50,  # an episode of the suite is 20 steps, as one of the toy
    frame_stack=2,
    frames_per_epoch=600,  # 12 steps
    batch_size=4,
    nstep=2,
    random_steps=3,
    seed_frames=100,  # but learning begins with the second episode
    hidden=8,
    replay_capacity=50,
    eval_episodes=2,
    final_episodes=1,
)
PIXELS = replace(TINY, observations="pixels", size=16, channels=2)
VIDEOS = frozenset(
    {"episode.webp", "episode.mp4"} if find_spec("imageio_ffmpeg") else {"episode.webp"}
)
EPISODE = 20  # steps
FACTS = {"drqv2-environment.json": b'{"actions": 1, "features": 5}'}


class Toy:
    """A point on a line that an action pushes and noise moves; the reward is to be near zero."""

    def __init__(self, seed: int) -> None:
        self.shape: tuple[int, ...] = (5,)
        self.dtype = np.dtype(np.float32)
        self.actions = 1
        self._rng = np.random.default_rng(seed)
        self._at = 0.0
        self._time = 0

    def reset(self) -> Array:
        """Somewhere."""
        self._at, self._time = float(self._rng.normal()), 0
        return self._observation()

    def step(self, action: Actions) -> Step:
        """Push."""
        self._at += 0.3 * float(action[0]) + 0.1 * float(self._rng.normal())
        self._time += 1
        return Step(self._observation(), -abs(self._at), 1.0, self._time == EPISODE)

    def render(self, size: int) -> Array:
        """Grey, as far as the point is away."""
        return np.full((size, size, 3), min(255, int(100 * abs(self._at))), np.uint8)

    def capture(self) -> Capture:
        """The point, and the noise to come."""
        values = {"random": self._rng.bit_generator.state, "time": self._time}
        return Capture({"at": np.array([self._at])}, values)

    def restore(self, capture: Capture) -> None:
        """That point."""
        self._rng.bit_generator.state = capture.values["random"]
        self._at, self._time = float(capture.arrays["at"][0]), capture.values["time"]

    def close(self) -> None:
        """Nothing to free."""

    def _observation(self) -> Array:
        return np.full(5, self._at, np.float32)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy in place of all environments."""

    def make(options: DrQV2Options, seed: int, device: str) -> StackedFrames:
        return StackedFrames(Toy(seed), options.frame_stack)

    monkeypatch.setattr(drqv2, "make_environment", make)


@pytest.mark.usefixtures("toy")
class TestDrQV2(TaskContract):
    """The contract, on a toy; the second epoch ends the first episode and learns from it."""

    epochs = 2
    artifacts = VIDEOS
    _products = {}

    @pytest.fixture
    def task(self, tmp_path: Path) -> Task:
        """The task, which needs no simulator to know about the toy."""
        return prepared(TINY, tmp_path)

    @pytest.mark.slow
    def test_every_option_builds_and_trains(self, task: Task, tmp_path: Path) -> None:
        """All 104 of them: ten seconds."""
        super().test_every_option_builds_and_trains(task, tmp_path)

    @pytest.mark.slow
    def test_names_serve_inheritance(self, task: Task) -> None:
        """All 104 of them: ten seconds."""
        super().test_names_serve_inheritance(task)


@pytest.mark.slow
class TestDrQV2FromStates(TaskContract):
    """The contract with a real task of the suite, and its episodes interrupted anywhere."""

    epochs = 2
    artifacts = VIDEOS

    def make_task(self) -> Task:
        pytest.importorskip("dm_control")
        return DrQV2Task(TINY)


@pytest.mark.slow
class TestDrQV2FromPixels(TaskContract):
    """The contract with real frames, of 16 pixels."""

    epochs = 2
    artifacts = VIDEOS

    def make_task(self) -> Task:
        pytest.importorskip("dm_control")
        return DrQV2Task(PIXELS)


@pytest.mark.slow
class TestDrQV2OfGymnasium(TaskContract):
    """The contract where a job can be interrupted between two episodes only."""

    epochs = 3
    artifacts = VIDEOS if find_spec("pygame") else frozenset()

    def make_task(self) -> Task:
        pytest.importorskip("gymnasium")
        return DrQV2Task(replace(TINY, environment="Pendulum-v1", action_repeat=20))


def prepared(options: DrQV2Options, directory: Path) -> DrQV2Task:
    """A task that is ready for jobs, in the toy."""
    task = DrQV2Task(options)
    task.prepare(RehearsalProducts(directory, dict(FACTS)))
    return task


def member(task: DrQV2Task, seed: int = 1) -> DrQV2Trainee:
    """A member, always of the same architecture."""
    return task.create(architectures(task.space, 1)[0], seed)


def job(trainee: DrQV2Trainee, scratch: Path, seed: int, epochs: int = 4) -> Rehearsal:
    """Carry out a whole job; 48 steps: two episodes and most of a third."""
    context = Rehearsal(scratch, seed=seed)
    train(trainee, epochs, context)
    return context


def buffer(task: DrQV2Task, trainee: DrQV2Trainee, scratch: Path) -> Path:
    """Where a member's replay buffer is."""
    replay = trainee.state().info["replay"]
    assert isinstance(replay, dict)
    (root,) = (scratch / "drqv2").iterdir()
    return root / str(replay["name"])


def test_the_published_numbers_of_frames_steps_and_episodes() -> None:
    """An epoch is 10,000 frames or 5,000 steps; ten of them are exactly 100 episodes."""
    options = DrQV2Options(environment="quadruped_run")
    steps_of_an_episode = 1000 // options.action_repeat

    assert options.steps_per_epoch == 5000
    assert 10 * options.steps_per_epoch == 100 * steps_of_an_episode
    assert options.seed_steps == options.random_steps == 2000


def test_the_noise_falls_linearly_with_the_steps_of_a_life() -> None:
    """From 1.0 to 0.1 in 500,000 agent steps, and stays there."""
    options = DrQV2Options(environment="quadruped_run")

    assert options.stddev(0) == 1.0
    assert options.stddev(250_000) == pytest.approx(0.55)
    assert options.stddev(500_000) == options.stddev(3_000_000) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"frames_per_epoch": 1001}, "task.frames_per_epoch: expected a multiple of action_repeat"),
        ({"replay": "shared", "replay_from": "donor"}, "task.replay_from: expected base"),
        ({"environment": "this:Pendulum-v1"}, "task.environment: expected a name without a module"),
        ({"environment": "Pendulum-v1", "camera": 1}, "task.camera: expected null"),
        ({"environment": "Pendulum-v1", "shadows": False}, "task.shadows: expected true"),
        ({"observations": "pixel"}, "did you mean 'pixels'"),
        ({"nstep": 0}, "task.nstep: expected an integer of at least 1"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object], problem: str) -> None:
    """In a sentence that names the key and what was expected."""
    with pytest.raises(ConfigError, match=problem):
        parse(DrQV2Options, {"environment": "walker_run", **options}, "task")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "hint"),
    [("walker_rum", "did you mean 'walker_run'"), ("Pendulun-v1", "Pendulum")],
)
def test_an_environment_that_does_not_exist_is_refused(
    tmp_path: Path, name: str, hint: str
) -> None:
    """Before any job, with the name that was probably meant."""
    pytest.importorskip("dm_control")
    pytest.importorskip("gymnasium")
    with pytest.raises(TaskError, match=f"{name}.*{hint}"):
        DrQV2Task(DrQV2Options(environment=name)).prepare(RehearsalProducts(tmp_path))


def test_members_need_the_facts_about_the_environment() -> None:
    """How wide the networks are is known after `prepare` only, and it says so."""
    task = DrQV2Task(TINY)

    with pytest.raises(RuntimeError, match=r"prepare\(\) comes before"):
        member(task)


@pytest.mark.parametrize("allowed", [False, True])
def test_tf32_is_for_training_where_it_is_wanted(allowed: bool, tmp_path: Path) -> None:
    """Full float32 is the default whatever torch's is, and holds again after the job."""
    before = tf32_allowed()
    trainee = member(prepared(replace(TINY, tf32=allowed), tmp_path))

    assert tf32_while_training(trainee, tmp_path) == {(allowed, allowed)}
    assert before == tf32_allowed()


def batch(size: int = 4) -> Batch:
    """Random transitions of the toy, two observations stacked."""
    rng = np.random.default_rng(0)
    draw = [rng.normal(size=(size, n)).astype(np.float32) for n in (10, 1, 1, 10)]
    ones = np.ones(size, np.float32)
    return Batch(draw[0], draw[1].clip(-1, 1), draw[2][:, 0], ones, draw[3])


def test_the_target_follows_the_critic_slowly(tmp_path: Path) -> None:
    """After an update it has moved by tau = 0.01 of what lies between them."""
    agent = member(prepared(TINY, tmp_path)).agent
    before = [p.clone() for p in agent.target.parameters()]

    agent.update(batch(), 0.5, torch.Generator())

    for old, now, critic in zip(
        before, agent.target.parameters(), agent.networks.critic.parameters(), strict=True
    ):
        assert torch.allclose(now, old + 0.01 * (critic - old), rtol=0, atol=1e-7)
    assert any(
        not torch.equal(a, b) for a, b in zip(before, agent.target.parameters(), strict=True)
    )


def test_the_actor_climbs_what_the_critics_say(tmp_path: Path) -> None:
    """Its loss falls while the critics stay as they are."""
    task = prepared(TINY, tmp_path)
    agent = task.create(drqv2_architecture(task.space), 1).agent
    critic = copy.deepcopy(agent.networks.critic.state_dict())
    losses = []

    for _ in range(30):
        losses.append(agent.update(batch(), 0.0, torch.Generator())["actor_loss"])
        agent.networks.critic.load_state_dict(critic)

    assert losses[-1] < losses[1]


def test_acting_leaves_the_estimates_of_spectral_norms_alone(tmp_path: Path) -> None:
    """Only updates iterate them: how often a member is watched changes nothing."""
    task = prepared(TINY, tmp_path)
    trainee = task.create(spectral(task, on=True), 1)
    before = copy_of(trainee.state())

    trainee.agent.explore(np.ones(10, np.float32), 0.5, torch.Generator())
    trainee.agent.act(np.ones(10, np.float32))

    assert difference(before, trainee.state()) is None


def test_updates_improve_the_estimates_of_spectral_norms(tmp_path: Path) -> None:
    """All of them, and those of the target critic, which is never trained."""
    task = prepared(TINY, tmp_path)
    choices = dict(task.space.decode(drqv2_architecture(task.space)))
    choices |= {name: True for name in choices if "spectral_norm" in name}
    trainee = task.create(task.space.encode(choices), 1)
    before = copy_of(trainee.state())

    trainee.agent.update(batch(), 0.5, torch.Generator())

    after = trainee.state()
    for section in ("buffers", "averaged"):
        old, new = getattr(before, section), getattr(after, section)
        estimates = [name for name in old if name.endswith("norm.u") and old[name].numel() > 1]
        assert estimates
        assert not [name for name in estimates if torch.equal(old[name], new[name])]


def spectral(task: DrQV2Task, on: bool) -> tuple[int, ...]:
    """An architecture with spectral norm everywhere or nowhere."""
    choices = dict(task.space.decode(architectures(task.space, 1)[0]))
    choices |= {name: on for name in choices if "spectral_norm" in name}
    return task.space.encode(choices)


def mixing(inherited: tuple[int, ...], architecture: tuple[int, ...]) -> Birth:
    """A birth with the paper's lambda and gamma."""
    return Birth(
        member=0,
        base=0,
        donor=1,
        inherited=inherited,
        architecture=architecture,
        seed=3,
        shrink=0.4,
        perturb=0.1,
    )


def test_switching_spectral_norm_by_mixing_keeps_all_weights(tmp_path: Path) -> None:
    """A child that inherits nothing but the switches has every tensor of its base."""
    task = prepared(TINY, tmp_path)
    off, on = (task.create(spectral(task, on), seed) for seed, on in enumerate((False, True)))
    base, donor = off.state(), on.state()
    switches = [i for i, v in enumerate(task.space) if "spectral_norm" in v.name]
    birth = mixing(tuple(switches), spectral(task, on=True))
    fresh = task.create(birth.architecture, birth.seed).state()

    child = task.create(birth.architecture, 0)
    child.load(mix_states(task.space, birth, base=base, donor=donor, fresh=fresh))

    assert difference(child.state(), base) is None


@pytest.mark.slow
@pytest.mark.parametrize("options", [TINY, PIXELS], ids=["state", "pixels"])
def test_every_option_learns_mixes_and_reloads(options: DrQV2Options, tmp_path: Path) -> None:
    """Each option of each variable, inherited by a member that learned without it."""
    task = prepared(options, tmp_path)
    usual = architectures(task.space, 1)[0]
    rng = np.random.default_rng(0)
    stack = task.facts.sizes(options).observation
    seen = (rng.random((4, *stack)) * 255).astype(np.uint8 if options.pixels else np.float32)
    some = replace(batch(), observations=seen, next_observations=seen)
    base = task.create(usual, 1)
    base.agent.update(some, 0.5, torch.Generator())
    for i, variable in enumerate(task.space):
        for option in range(len(variable.options)):
            architecture = (*usual[:i], option, *usual[i + 1 :])
            donor = task.create(architecture, 2)
            donor.agent.update(some, 0.5, torch.Generator())
            birth = mixing((i,), architecture)
            fresh = task.create(architecture, 3).state()
            child = task.create(architecture, 4)
            state = mix_states(
                task.space, birth, base=base.state(), donor=donor.state(), fresh=fresh
            )

            child.load(state)

            # Not the buffers: estimates of norms that are off are made when they are asked for.
            again = task.create(architecture, 5)
            again.load(child.state())
            assert all(torch.equal(t, state.live[n]) for n, t in child.state().live.items())
            assert difference(child.state(), again.state()) is None
            child.agent.update(some, 0.5, torch.Generator())


@pytest.mark.usefixtures("toy")
def test_a_child_goes_on_with_links_to_the_episodes_of_its_base(tmp_path: Path) -> None:
    """No copies, and what the child adds is not the base's."""
    task = prepared(TINY, tmp_path)
    base = member(task)
    job(base, tmp_path, seed=1)
    state = copy_of(base.state())
    children = [member(task, seed) for seed in (2, 3)]

    for seed, child in enumerate(children, start=2):
        child.load(state)
        job(child, tmp_path, seed=seed)

    theirs = buffer(task, base, tmp_path)
    assert [name.length for name in listing(theirs)] == [20, 20, 8]
    for child in children:
        ours = buffer(task, child, tmp_path)
        assert [name.length for name in listing(ours)] == [20, 20, 8] * 2
        for name in listing(theirs):
            assert (ours / name.file).samefile(theirs / name.file)


@pytest.mark.usefixtures("toy")
def test_buffers_older_than_the_grandparents_are_removed(tmp_path: Path) -> None:
    """A job of the generation before may be done again, so its inputs stay; others go."""
    task = prepared(TINY, tmp_path)
    trainee = member(task)
    made = []
    for seed in range(4):
        job(trainee, tmp_path, seed=seed)
        made.append(buffer(task, trainee, tmp_path))

    job(member(task), tmp_path, seed=9)  # a late attempt at a job of the first generation

    assert [path.is_dir() for path in made] == [False, True, True, True]


@pytest.mark.usefixtures("toy")
def test_attempts_at_the_same_job_do_not_disturb_each_other(tmp_path: Path) -> None:
    """One is killed, one overtaken, and both leave the same bits as one alone."""
    task = prepared(TINY, tmp_path)
    alone = train(member(task), 4, Rehearsal(tmp_path / "alone", seed=1)).state

    killed = train(member(task), 4, Rehearsal(tmp_path, seed=1, stop_at=30))
    overtaken = train(member(task), 4, Rehearsal(tmp_path, seed=1, stop_at=45))
    again = train(member(task), 4, Rehearsal(tmp_path, seed=1)).state
    late = member(task)
    late.load(overtaken.state)
    later = train(late, 4, Rehearsal(tmp_path, seed=1), overtaken).state
    other = member(task)
    other.load(killed.state)
    last = train(other, 4, Rehearsal(tmp_path, seed=1), killed).state

    for state in (again, later, last):
        assert difference(alone, state) is None


@pytest.mark.usefixtures("toy")
def test_a_member_that_moves_to_another_machine_refills_its_buffer(tmp_path: Path) -> None:
    """It collects with its policy before it learns, and the result says what was lost."""
    task = prepared(replace(TINY, seed_frames=30 * 50), tmp_path)
    trainee = member(task)
    job(trainee, tmp_path, seed=1)
    before = copy_of(trainee.state())
    assert evaluate(trainee, Rehearsal(tmp_path)).metrics["replay_missing"] == 0
    shutil.rmtree(tmp_path / "drqv2")

    refilling = Rehearsal(tmp_path, seed=2, stop_at=30)
    train(trainee, 4, refilling)
    untouched = trainee.state()
    whole = Rehearsal(tmp_path, seed=2)
    fresh = member(task)
    fresh.load(before)
    train(fresh, 4, whole)

    assert refilling.logged[0] == {"replay_missing": 48}
    assert all(torch.equal(before.live[name], untouched.live[name]) for name in before.live)
    assert any(not torch.equal(before.live[n], t) for n, t in fresh.state().live.items())
    assert evaluate(fresh, Rehearsal(tmp_path)).metrics["replay_missing"] == 48


@pytest.mark.usefixtures("toy")
def test_a_shared_buffer_has_what_all_members_did(tmp_path: Path) -> None:
    """One directory for the machine, with the newest episodes of everybody."""
    task = prepared(replace(TINY, replay="shared", replay_capacity=100), tmp_path)

    logs = [job(member(task), tmp_path, seed=seed).logged for seed in (1, 2, 3)]

    (root,) = (tmp_path / "drqv2").iterdir()
    (shared,) = root.iterdir()
    assert shared.name == "shared"
    assert [log[-1]["replay"] for log in logs] == [48, 96, 96]
    assert sum(name.length for name in listing(shared)) == 96


@pytest.mark.usefixtures("toy")
def test_a_member_refills_the_shared_buffer_of_a_new_machine(tmp_path: Path) -> None:
    """No more than the seed frames, and nothing where colleagues have filled it."""
    task = prepared(replace(TINY, replay="shared", seed_frames=30 * 50), tmp_path)
    trainee = member(task)
    job(trainee, tmp_path, seed=1)
    moved = copy_of(trainee.state())
    shutil.rmtree(tmp_path / "drqv2")

    missing = []
    for seed in (2, 3):
        trainee.load(moved)
        job(trainee, tmp_path, seed=seed)
        missing.append(evaluate(trainee, Rehearsal(tmp_path)).metrics["replay_missing"])

    assert missing == [30, 0]


@pytest.mark.usefixtures("toy")
def test_a_torn_episode_is_as_good_as_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is skipped, said, refilled, and in the result."""
    task = prepared(TINY, tmp_path)
    trainee = member(task)
    job(trainee, tmp_path, seed=1)
    torn = buffer(task, trainee, tmp_path) / listing(buffer(task, trainee, tmp_path))[0].file
    os.truncate(torn, torn.stat().st_size - 1)

    log = job(trainee, tmp_path, seed=2).logged

    assert log[0] == {"replay_missing": EPISODE}
    assert "skipping a torn episode" in caplog.text
    assert evaluate(trainee, Rehearsal(tmp_path)).metrics["replay_missing"] == EPISODE


@pytest.mark.parametrize(("free", "level"), [(3600, "INFO"), (3500, "WARNING")])
def test_what_replay_needs_is_said_before_the_run(
    free: int,
    level: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a warning where the disk has no room for a full buffer (here 3516 bytes)."""
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    with caplog.at_level("INFO"):
        prepared(TINY, tmp_path)

    (record,) = [r for r in caplog.records if "replay buffer" in r.message]
    assert record.levelname == level
    assert "one for each member" in record.message


@pytest.mark.usefixtures("toy")
def test_a_private_buffer_keeps_within_its_capacity(tmp_path: Path) -> None:
    """The oldest episodes are no longer sampled, and not handed on to the next job."""
    task = prepared(TINY, tmp_path)
    trainee = member(task)

    logs = [job(trainee, tmp_path, seed=seed).logged for seed in (1, 2)]

    held = [line["replay"] for log in logs for line in log if "replay" in line]
    assert held == [20, 40, 48, 48, 48, 48]


@pytest.mark.usefixtures("toy")
def test_runs_on_one_machine_keep_their_buffers_apart(tmp_path: Path) -> None:
    """The same job of two runs with the same seed, in the same scratch directory."""
    states = []
    for _ in range(2):
        trainee = member(prepared(TINY, tmp_path))
        job(trainee, tmp_path, seed=1)
        states.append(trainee.state())

    assert len(list((tmp_path / "drqv2").iterdir())) == 2
    assert difference(*states) is None


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(("replay_from", "length"), [("base", 48), ("donor", 24)])
def test_a_child_has_the_buffer_of_whom_the_options_say(
    tmp_path: Path, replay_from: Literal["base", "donor"], length: int
) -> None:
    """The base's, or as published the donor's, however few variables it gives."""
    task = prepared(replace(TINY, replay_from=replay_from, replay_capacity=100), tmp_path)
    base, donor = member(task, 1), member(task, 2)
    job(base, tmp_path, seed=1, epochs=4)
    job(donor, tmp_path, seed=2, epochs=2)
    architecture = architectures(task.space, 1)[0]
    birth = mixing((0,), architecture)
    fresh = task.create(architecture, 3).state()
    child = member(task, 3)

    child.load(mix_states(task.space, birth, base=base.state(), donor=donor.state(), fresh=fresh))

    log = job(child, tmp_path, seed=3).logged
    assert {"replay_missing"}.isdisjoint(log[0])
    assert log[0]["replay"] == length + EPISODE
    assert child.state().info["steps"] == 2 * 48


def test_a_foreign_name_of_a_buffer_is_refused(tmp_path: Path) -> None:
    """It would become part of a path."""
    task = prepared(TINY, tmp_path)
    trainee = member(task)
    state = copy_of(trainee.state())
    replay = state.info["replay"]
    assert isinstance(replay, dict)
    state.info["replay"] = {**replay, "name": "../../elsewhere"}

    with pytest.raises(ValueError, match="elsewhere"):
        trainee.load(state)


@pytest.mark.slow
@pytest.mark.usefixtures("toy")
def test_learning_moves_the_point_home(tmp_path: Path) -> None:
    """On the toy, forty episodes make a member clearly better than a new one."""
    options = replace(
        TINY,
        hidden=32,
        batch_size=32,
        update_every=1,
        learning_rate=1e-3,
        stddev_steps=500,
        replay_capacity=1000,
        eval_episodes=10,
    )
    task = prepared(options, tmp_path)
    trainee = task.create(drqv2_architecture(task.space), 1)

    def score() -> Evaluation:
        return evaluate(trainee, Rehearsal(tmp_path, seed=5))

    before = score()
    job(trainee, tmp_path, seed=1, epochs=67)

    assert score().score > before.score / 2


OWN = """
import atexit
import gymnasium
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from pbtnas.tasks.drqv2.task import DrQV2Task

class Slow(PendulumEnv):
    pass

gymnasium.register("Slow-v0", entry_point=Slow, max_episode_steps=200)
atexit.register(print, "an environment may say something at the end")

class SlowAgent(DrQV2Task):
    pass
"""


def test_the_file_of_the_task_registers_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment of one's own is named by the command line and found by the probe too."""
    pytest.importorskip("gymnasium")
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "own.py").write_text(OWN)
    options = {"environment": "Slow-v0", "observations": "state"}
    task = load_task("SlowAgent", options, task_file=f"{tmp_path / 'own.py'}:SlowAgent")

    assert isinstance(task, DrQV2Task)
    assert probe(task.options, type(task)) == Facts(actions=1, features=3)
    environment = make_environment(task.options, 0, "cpu")
    assert environment.reset().shape == (9,)


class Point:
    """Makes environments of Gymnasium, each with something that an agent cannot have."""

    @staticmethod
    def register(name: str, **wrong: Any) -> str:
        import gymnasium
        from gymnasium.spaces import Box

        class Own(gymnasium.Env[Any, Any]):
            metadata: ClassVar[dict[str, Any]] = {"render_modes": wrong.get("modes", ["rgb_array"])}
            observation_space = wrong.get("observations", Box(-1, 1, (2,), np.float32))
            action_space = wrong.get("actions", Box(-1, 1, (1,), np.float32))

            def __init__(self, **arguments: Any) -> None:
                self.render_mode = arguments.get("render_mode")

            def reset(self, **arguments: Any) -> Any:
                super().reset(**arguments)
                return wrong.get("begun", (wrong.get("observation", np.zeros(2, np.float32)), {}))

            def step(self, action: Any) -> Any:
                observation = wrong.get("observation", np.zeros(2, np.float32))
                whole = observation, wrong.get("reward", 0.0), False, False, {}
                return wrong.get("gone", whole)

        gymnasium.register(name, entry_point=Own, disable_env_checker=True)
        return name


def test_environments_that_would_stop_every_job_are_refused_by_the_probe() -> None:
    """Before the run starts, each in one sentence."""
    spaces = pytest.importorskip("gymnasium").spaces
    for number, (wrong, sentence) in enumerate(
        [
            ({"actions": spaces.Box(-np.inf, np.inf, (1,), np.float32)}, "axis 0 goes from -inf"),
            ({"actions": spaces.Box(-1e10, 1e10, (1,), np.float32)}, "must have bounds within"),
            ({"actions": spaces.Box(np.float32([0, 5]), np.float32([1, 5]))}, "axis 1 goes from 5"),
            ({"actions": spaces.Box(0, 5, (1,), np.int64)}, "a Box of floats"),
            ({"actions": spaces.Box(-1, 1, (), np.float32)}, "of one axis"),
            ({"actions": spaces.Box(-1, 1, (0,), np.float32)}, "of one axis"),
            ({"actions": spaces.Discrete(3)}, "only continuous actions"),
            ({"begun": np.zeros(2, np.float32)}, "reset() must return (observation, info)"),
            ({"gone": (np.zeros(2, np.float32), 0.0, False, {})}, "step() must return (observa"),
            ({"reward": None}, "a reward must be a number, not None"),
            ({"reward": np.zeros(2)}, "a reward must be a number, not array"),
            ({"actions": spaces.Box(-1, 1, (2, 2), np.float32)}, "of one axis"),
            ({"actions": spaces.MultiDiscrete([3, 2])}, "only continuous actions"),
            ({"observations": spaces.Dict({"a": spaces.Box(-1, 1)})}, "observations must be a Box"),
            ({"observation": np.zeros(7, np.float32)}, "has 7 numbers"),
            ({"observation": np.full(2, np.nan, np.float32)}, "an observation is not finite"),
            ({"reward": float("nan")}, "a reward is not finite"),
        ]
    ):
        with pytest.raises(ValueError, match=re.escape(sentence)):
            try_out(Point.register(f"Wrong{number}-v0", **wrong))
    with pytest.raises(ValueError, match="axis 0 goes from -1e"):
        try_out("lqr_lqr_2_1")


def test_a_dry_run_tries_the_environment_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what was found, and is refused where the coordinator would be."""
    monkeypatch.setattr(drqv2, "probe", lambda options, task: Facts(actions=6, features=24))

    assert DrQV2Task(TINY).look() == (
        "cartpole_swingup was tried out; an action has 6 numbers, the state 24 features"
    )


def test_what_the_probe_refuses_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason alone; how to install something only where it is missing, and no endless wait."""

    def said(result: Any) -> str:
        monkeypatch.setattr(subprocess, "run", result)
        with pytest.raises(TaskError) as refused:
            probe(TINY, DrQV2Task)
        return str(refused.value)

    def raising(last: str) -> Any:
        return lambda *_, **__: subprocess.CompletedProcess([], 1, "", f"Traceback ...\n{last}\n")

    def hangs(*_: Any, timeout: float, **__: Any) -> Any:
        raise subprocess.TimeoutExpired("python", timeout)

    start = f"task.environment: {TINY.environment!r}"
    assert said(raising("ValueError: of one axis")) == f"{start} cannot be used: of one axis"
    assert 'pip install "pbtnas[rl]"' in said(raising("ModuleNotFoundError: No module named 'dm'"))
    assert said(hangs).startswith(f"{start} takes more than 300 s")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"nstep": 6}, None),
        ({"nstep": 7}, "task.nstep: expected at most 6, not 7: an episode of cartpole_swingup has"),
        ({"nstep": 3, "search_also": ("nstep",)}, None),
        (
            {"nstep": 4, "search_also": ("nstep",)},
            "task.nstep: expected at most 3, whose ladder goes to twice as many, not 4: .* 12 "
            "frames, which are 6 steps with task.action_repeat 2$",
        ),
    ],
)
def test_targets_longer_than_an_episode_of_the_environment_are_refused(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], told: str | None
) -> None:
    """A member would never learn; how long its episodes are, only the environment knows."""
    found = subprocess.CompletedProcess([], 0, '{"actions": 1, "features": 5, "frames": 12}\n', "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: found)
    asked = replace(TINY, action_repeat=2, frames_per_epoch=20, **options)

    if told is None:
        assert probe(asked, DrQV2Task) == Facts(actions=1, features=5)
    else:
        with pytest.raises(TaskError, match=told):
            probe(asked, DrQV2Task)


def test_the_probe_knows_how_long_an_episode_is() -> None:
    """Of the suite and of Gymnasium, in frames."""
    assert try_out("cartpole_swingup")["frames"] == 1000
    pytest.importorskip("gymnasium")
    assert try_out("Pendulum-v1")["frames"] == 200


def test_an_episode_without_an_end_is_cut_as_if_time_were_up() -> None:
    """In training and in every evaluation; and the probe says that it has none."""
    pytest.importorskip("gymnasium")
    name = Point.register("Endless-v0", modes=[])
    options = DrQV2Options(
        environment=name, observations="state", action_repeat=2, frame_stack=1, episode_frames=30
    )

    assert try_out(name) == {"actions": 1, "features": 2, "frames": None}
    environment = make_environment(options, 0, "cpu")
    first = environment.reset()
    _, length = play_episode(lambda seen: np.zeros(1, np.float32), environment, first, film=None)
    environment.reset()
    steps = [environment.step(np.zeros(1, np.float32)) for _ in range(length)]
    assert length == 15
    assert (steps[-1].last, steps[-1].discount) == (True, 1.0)
    assert not can_render(environment, options)


def test_an_episode_of_the_suite_is_cut_too() -> None:
    """After so many frames, wherever the task would end by itself."""
    options = replace(TINY, episode_frames=250)
    environment = make_environment(options, 0, "cpu")

    seen = environment.reset()
    _, length = play_episode(lambda seen: np.zeros(1, np.float32), environment, seen, film=None)

    assert length == 250 / TINY.action_repeat
    environment.close()
