"""Any Gymnasium environment with a Box of actions (`pip install gymnasium`)."""

from __future__ import annotations

from collections.abc import Collection
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
        drawn: whether frames are wanted; else an environment that has none will do.
        longest: an episode is cut, as if time were up, after so many frames.

    Raises `ValueError` for actions or observations that an agent here cannot have.
    """

    def __init__(
        self, name: str, seed: int, *, drawn: bool = True, longest: int | None = None
    ) -> None:
        import gymnasium

        spec = gymnasium.spec(name)
        self.limit: int | None = spec.max_episode_steps
        steps = min(filter(None, (spec.max_episode_steps, longest)), default=None)
        mode = "rgb_array" if "rgb_array" in _render_modes(spec) else None
        if drawn and mode is None:
            raise ValueError(f"{name}: draws no frames ('rgb_array' is not in its render_modes)")
        self._env: Any = gymnasium.make(spec, render_mode=mode, max_episode_steps=steps)
        actions, observations = self._env.action_space, self._env.observation_space
        Box = gymnasium.spaces.Box
        if not isinstance(actions, Box):
            raise ValueError(
                f"{name}: only continuous actions, a Box, can be learned; not {actions}"
            )
        floats = np.issubdtype(actions.dtype, np.floating)
        if not floats or len(actions.shape) != 1 or actions.shape == (0,):
            raise ValueError(f"{name}: actions must be a Box of floats of one axis, not {actions}")
        if not isinstance(observations, Box):
            raise ValueError(f"{name}: observations must be a Box, not {observations}")
        self._seed = seed
        self._episode = 0
        self._running = False
        self.low: Array = actions.low
        self.high: Array = actions.high
        self.actions = int(actions.shape[0])
        self.shape: tuple[int, ...] = (int(np.prod(observations.shape)),)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)

    def check_returns(self) -> None:
        """Raise `ValueError` unless `reset` and `step` give as many values as Gymnasium's do.

        Asked of the environment itself: its wrappers would stumble over another number.
        """
        own, name = self._env.unwrapped, self._env.spec.id
        begun = own.reset(seed=self._seed)
        if not (isinstance(begun, tuple) and len(begun) == 2):
            raise ValueError(f"{name}: reset() must return (observation, info)")
        gone = own.step(self._env.action_space.sample())
        if not (isinstance(gone, tuple) and len(gone) == 5):
            raise ValueError(
                f"{name}: step() must return (observation, reward, terminated, truncated, info)"
            )
        reward = np.asarray(gone[1])
        if reward.ndim != 0 or reward.dtype.kind not in "biuf":
            raise ValueError(f"{name}: a reward must be a number, not {gone[1]!r}")

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
        """See `Environment`; the nearest pixels of a frame of any size.

        Raises `ValueError` when the environment draws nothing, or something else than a picture.
        """
        if self._env.render_mode is None:
            raise ValueError(f"{self._env.spec.id}: draws no frames")
        frame = np.asarray(self._env.render())
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise ValueError(
                f"{self._env.spec.id}: render() must give [H, W, 3] uint8, "
                f"not {list(frame.shape)} {frame.dtype}"
            )
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
        flat = np.array(observation, np.float32).ravel()  # a copy: an environment may reuse its own
        if flat.shape != self.shape:
            raise ValueError(
                f"{self._env.spec.id}: an observation has {flat.size} numbers, "
                f"its space {self._env.observation_space} has {self.shape[0]}"
            )
        return flat


def _render_modes(spec: Any) -> Collection[str]:
    from gymnasium.envs.registration import load_env_creator

    made_by = spec.entry_point
    metadata = getattr(
        load_env_creator(made_by) if isinstance(made_by, str) else made_by, "metadata", None
    )
    if metadata is None:  # a function, which does not tell
        return ("rgb_array",)
    modes: Collection[str] = metadata.get("render_modes", ())
    return modes


def gymnasium_environment(
    name: str,
    seed: int,
    *,
    pixels: bool,
    action_repeat: int,
    stack: int,
    size: int = 84,
    longest: int | None = None,
) -> StackedFrames:
    """A Gymnasium environment wrapped like a task of the suite; see `suite_environment`."""
    core = Gymnasium(name, seed, drawn=pixels, longest=longest)
    environment: Environment = ScaledActions(core, core.low, core.high)
    environment = RepeatedActions(environment, action_repeat)
    if pixels:
        environment = Pixels(environment, size)
    return StackedFrames(environment, stack)
