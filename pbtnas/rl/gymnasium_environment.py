"""Any Gymnasium environment with a Box of actions (`pip install gymnasium`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from pbtnas.rl.environments import (
    Actions,
    Capture,
    Environment,
    NotCapturable,
    Pixels,
    RepeatedActions,
    ScaledActions,
    StackedFrames,
    Step,
)
from pbtnas.rl.episodes import Array


class Gymnasium:
    """A Gymnasium environment; observations are flattened to [n] float32.

    Every episode begins from a seed of its own, so that between two episodes their number is
    all there is to capture.  In the middle of one `capture` raises `NotCapturable`: Gymnasium
    has no way to save a simulator.

    Args:
        name: name in Gymnasium's registry, e.g. "Pendulum-v1".
        seed: seed of all episodes.
    """

    def __init__(self, name: str, seed: int) -> None:
        import gymnasium

        self._env: Any = gymnasium.make(name, render_mode="rgb_array")
        actions, observations = self._env.action_space, self._env.observation_space
        if not isinstance(actions, gymnasium.spaces.Box) or len(actions.shape) != 1:
            raise ValueError(f"{name}: actions must be a Box of one axis, not {actions}")
        if not isinstance(observations, gymnasium.spaces.Box):
            raise ValueError(f"{name}: observations must be a Box, not {observations}")
        self._seed = seed
        self._episode = 0
        self._running = False
        self.low: Array = actions.low
        self.high: Array = actions.high
        self.actions = int(actions.shape[0])
        self.shape: tuple[int, ...] = (int(np.prod(observations.shape)),)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)

    def reset(self) -> Array:
        """See `Environment`."""
        words = np.random.SeedSequence([self._seed, self._episode]).generate_state(1)
        observation, _ = self._env.reset(seed=int(words[0]))
        self._episode += 1
        self._running = True
        return self._flat(observation)

    def step(self, action: Actions) -> Step:
        """See `Environment`; the action lies between `low` and `high`."""
        observation, reward, terminated, truncated, _ = self._env.step(action)
        last = bool(terminated or truncated)
        self._running = not last
        return Step(self._flat(observation), float(reward), 0.0 if terminated else 1.0, last)

    def render(self, size: int) -> Array:
        """See `Environment`; the nearest pixels of a frame of any size."""
        frame: Array = self._env.render()
        rows = np.arange(size) * frame.shape[0] // size
        columns = np.arange(size) * frame.shape[1] // size
        resized: Array = frame[rows[:, None], columns]
        return resized

    def capture(self) -> Capture:
        """See `Environment`; only between episodes."""
        if self._running:
            raise NotCapturable("a Gymnasium environment can be captured between episodes only")
        return Capture(values={"episode": self._episode})

    def restore(self, capture: Capture) -> None:
        """See `Environment`."""
        self._episode = capture.values["episode"]
        self._running = False

    def close(self) -> None:
        """See `Environment`."""
        self._env.close()

    def _flat(self, observation: Array) -> Array:
        return np.asarray(observation, np.float32).ravel()


def gymnasium_environment(
    name: str, seed: int, *, pixels: bool, action_repeat: int, stack: int, size: int = 84
) -> StackedFrames:
    """A Gymnasium environment wrapped like a task of the suite; see `suite_environment`."""
    core = Gymnasium(name, seed)
    environment: Environment = ScaledActions(core, core.low, core.high)
    environment = RepeatedActions(environment, action_repeat)
    if pixels:
        environment = Pixels(environment, size)
    return StackedFrames(environment, stack)
