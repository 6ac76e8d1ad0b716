"""Tasks of the DeepMind Control Suite: shapes, rewards, and restoring to the same bits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest

from pbtnas.rl.environments import Capture, StackedFrames
from pbtnas.rl.suite import Suite, suite_environment

pytest.importorskip("dm_control")


@contextlib.contextmanager
def opened(name: str, pixels: bool, seed: int = 3, repeat: int = 2) -> Iterator[StackedFrames]:
    """A task with two stacked observations, closed in the end."""
    domain, task = name.split("-")
    environment = suite_environment(
        domain, task, seed, pixels=pixels, action_repeat=repeat, stack=2
    )
    try:
        yield environment
    finally:
        environment.close()


def actions(environment: StackedFrames, count: int) -> np.ndarray:
    """Random actions [count, A]."""
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (count, environment.actions)).astype(np.float32)


def follow(environment: StackedFrames, count: int) -> list[tuple[bytes, float, float, bool]]:
    """Everything that actions lead to, over the border of an episode forced in the middle."""
    seen = []
    for k, action in enumerate(actions(environment, count)):
        if k == count // 2:
            seen.append((environment.reset().tobytes(), 0.0, 0.0, False))
        step = environment.step(action)
        seen.append((step.observation.tobytes(), step.reward, step.discount, step.last))
    return seen


def check_restoring(name: str, pixels: bool, before: int = 20, after: int = 30) -> None:
    """A new environment, restored, must go on like the captured one."""
    with opened(name, pixels) as environment:
        environment.reset()
        for action in actions(environment, before)[::-1]:
            environment.step(action)
        capture = environment.capture()
        expected = follow(environment, after)
    copy = Capture({k: v.copy() for k, v in capture.arrays.items()}, dict(capture.values))
    with opened(name, pixels) as environment:
        environment.restore(copy)
        assert follow(environment, after) == expected


@pytest.mark.parametrize("name", ["cartpole-swingup", "walker-run", "reacher-hard", "dog-run"])
def test_restored_state_features_go_on_with_the_same_bits(renderer: str, name: str) -> None:
    """Integrator, solver, task randomness, a moved target and worked-out constants come back."""
    check_restoring(name, pixels=False)


@pytest.mark.parametrize("name", ["cartpole-swingup", "walker-run"])
def test_restored_pixels_go_on_with_the_same_bits(renderer: str, name: str) -> None:
    """The frames, and the stack that reaches back before the capture, are the same."""
    check_restoring(name, pixels=True, before=3, after=6)


@pytest.mark.slow
@pytest.mark.parametrize("pixels", [False, True])
def test_every_task_of_the_suite_can_be_restored(renderer: str, pixels: bool) -> None:
    """No task keeps state where `capture` does not look."""
    from dm_control import suite

    for domain, task in suite.ALL_TASKS:
        check_restoring(f"{domain}-{task}", pixels, before=6, after=8)


def test_shadows_and_reflections_can_be_left_out(renderer: str) -> None:
    """The scene is the same: most pixels are equal, some are much brighter or darker."""
    frames = []
    for shadows in (True, False):
        environment = suite_environment(
            "walker", "run", 3, pixels=True, action_repeat=2, stack=1, shadows=shadows
        )
        with contextlib.closing(environment):
            frames.append(environment.reset().astype(int))

    difference = np.abs(frames[0] - frames[1])
    assert difference.max() > 30
    assert np.median(difference) < 5


def test_shapes_are_those_of_drqv2(renderer: str) -> None:
    """Pixels are stacked uint8 frames of 84 x 84, and the newest is stored alone."""
    with opened("walker-run", pixels=True) as environment:
        assert (environment.shape, environment.dtype, environment.actions) == ((6, 84, 84), "u1", 6)
        first = environment.reset()
        assert first.shape == (6, 84, 84) and first.dtype == np.uint8
        assert first.max() > 100, "a black frame"
        np.testing.assert_array_equal(first[:3], first[3:])
        stored = environment.newest
        second = environment.step(np.ones(6, np.float32)).observation
        np.testing.assert_array_equal(second[:3], stored)
        np.testing.assert_array_equal(second[3:], environment.newest)
        assert (second[3:] != second[:3]).any()
        assert environment.render(40).shape == (40, 40, 3)


def test_an_episode_ends_by_time_with_a_discount_of_one(renderer: str) -> None:
    """1000 control steps are 500 agent steps; meeting the time limit is no failure."""
    with opened("cartpole-swingup", pixels=False) as environment:
        environment.reset()
        steps = [environment.step(action) for action in actions(environment, 500)]
        assert [step.last for step in steps] == [False] * 499 + [True]
        assert {step.discount for step in steps} == {1.0}
        environment.reset()
        assert not environment.step(actions(environment, 1)[0]).last


def test_repeated_actions_sum_the_rewards_between(renderer: str) -> None:
    """Two agent steps of repeat 2 see what four of repeat 1 see."""
    with opened("walker-walk", False, repeat=1) as single, opened("walker-walk", False) as double:
        single.reset()
        double.reset()
        for action in actions(double, 10):
            one, two = single.step(action), single.step(action)
            both = double.step(action)
            assert both.reward == one.reward + two.reward
            np.testing.assert_array_equal(double.newest, single.newest)


def test_seeds_decide_the_episodes(renderer: str) -> None:
    """Equal seeds give equal first states, others do not."""
    firsts = []
    for seed in (1, 1, 2):
        with opened("walker-run", False, seed=seed) as environment:
            firsts.append(environment.reset().tobytes())
    assert firsts[0] == firsts[1] != firsts[2]


@pytest.mark.parametrize(
    ("domain", "task", "message"),
    [("wlaker", "run", "no domain 'wlaker'.*walker"), ("walker", "fly", "no task 'fly'.*run, st")],
)
def test_unknown_names_are_answered_with_a_list(
    renderer: str, domain: str, task: str, message: str
) -> None:
    """A misspelt task says what there is."""
    with pytest.raises(ValueError, match=message):
        Suite(domain, task, 0)
