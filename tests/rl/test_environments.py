"""The wrappers on a counting environment, and Gymnasium's environments."""

from __future__ import annotations

import numpy as np
import pytest

from pbtnas.rl.environments import (
    Actions,
    Capture,
    NotCapturable,
    RepeatedActions,
    ScaledActions,
    StackedFrames,
    Step,
)
from pbtnas.rl.episodes import Array


class Counter:
    """Observes how many steps were done; ends with discount 0 after five."""

    shape: tuple[int, ...] = (1,)
    dtype = np.dtype(np.float32)
    actions = 2

    def __init__(self) -> None:
        self.steps = 0
        self.received: list[list[float]] = []

    def reset(self) -> Array:
        self.steps = 0
        return np.zeros(1, np.float32)

    def step(self, action: Actions) -> Step:
        self.steps += 1
        self.received.append(action.tolist())
        ended = self.steps == 5
        observation = np.full(1, self.steps, np.float32)
        return Step(observation, 1.0, 0.0 if ended else 1.0, ended)

    def render(self, size: int) -> Array:
        return np.zeros((size, size, 3), np.uint8)

    def capture(self) -> Capture:
        return Capture(values={"steps": self.steps})

    def restore(self, capture: Capture) -> None:
        self.steps = capture.values["steps"]

    def close(self) -> None:
        pass


def test_actions_are_scaled_to_the_bounds() -> None:
    """-1, 0 and 1 become the lower bound, the middle and the upper bound of each action."""
    counter = Counter()
    environment = ScaledActions(counter, np.array([0.0, -3.0]), np.array([1.0, 3.0]))
    for action in ([-1, -1], [0, 0], [1, 1]):
        environment.step(np.array(action, np.float32))
    assert counter.received == [[0, -3], [0.5, 0], [1, 3]]


def test_unbounded_actions_are_refused() -> None:
    """There is no middle of infinity."""
    with pytest.raises(ValueError, match="must have bounds"):
        ScaledActions(Counter(), np.array([-np.inf]), np.array([1.0]))


def test_repeating_stops_at_the_end_of_an_episode() -> None:
    """The last agent step may be shorter, and carries the discount of the end."""
    environment = RepeatedActions(Counter(), 3)
    environment.reset()
    zero = np.zeros(2, np.float32)
    first, last = environment.step(zero), environment.step(zero)
    assert (first.reward, first.discount, first.last) == (3, 1, False)
    assert (last.reward, last.discount, last.last) == (2, 0, True)


def test_frames_are_stacked_from_the_start_and_restored() -> None:
    """The first frame fills the stack; a restored stack reaches back before the capture."""
    environment = StackedFrames(Counter(), 3)
    zero = np.zeros(2, np.float32)
    assert environment.reset().tolist() == [0, 0, 0]
    assert environment.step(zero).observation.tolist() == [0, 0, 1]
    kept = environment.step(zero).observation
    capture = environment.capture()
    restored = StackedFrames(Counter(), 3)
    restored.restore(capture)
    assert environment.step(zero).observation.tolist() == [1, 2, 3]
    assert restored.step(zero).observation.tolist() == [1, 2, 3]
    assert kept.tolist() == [0, 1, 2], "the caller may keep a stack"


def test_gymnasium_environments_are_captured_between_episodes() -> None:
    """Episodes begin from seeds of their own, so that their number is enough to go on."""
    pytest.importorskip("gymnasium")
    from pbtnas.rl.gymnasium_environment import gymnasium_environment

    def new() -> StackedFrames:
        return gymnasium_environment("Pendulum-v1", 5, pixels=False, action_repeat=2, stack=1)

    first, second = new(), new()
    one = first.reset()
    step = first.step(np.ones(1, np.float32))
    assert one.shape == (3,) and step.reward < 0
    with pytest.raises(NotCapturable, match="between episodes"):
        first.capture()
    while not first.step(np.ones(1, np.float32)).last:
        pass
    second.restore(first.capture())
    two = first.reset()
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(second.reset(), two)
    first.close()
    second.close()


def test_observations_of_gymnasium_may_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of an environment that writes each into the same array, as they are stored."""
    pytest.importorskip("gymnasium")
    from pbtnas.rl.gymnasium_environment import Gymnasium

    environment, own = Gymnasium("Pendulum-v1", 0), np.zeros(3, np.float32)
    monkeypatch.setattr(environment._env, "step", lambda action: (own, 0.0, False, False, {}))
    first = environment.step(np.zeros(1, np.float32)).observation
    own += 1

    assert first.tolist() == [0, 0, 0]


def test_gymnasium_environments_of_another_kind_are_refused() -> None:
    """Discrete actions are not what this agent can do."""
    pytest.importorskip("gymnasium")
    from pbtnas.rl.gymnasium_environment import Gymnasium

    with pytest.raises(ValueError, match="only continuous actions"):
        Gymnasium("CartPole-v1", 0)
