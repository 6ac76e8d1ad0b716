"""Tasks of the DeepMind Control Suite, by name.

Restoring is exact: a restored task gives the same observations, frames and rewards as one that
was never interrupted, over the ends of episodes too.  That needs more than MuJoCo's state: the
warm start of its solver, the task's random numbers, and the parts of the model that a task
moves or grows (targets, terrain).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from pbtnas.rl.environments import (
    Actions,
    Capture,
    Environment,
    Pixels,
    RepeatedActions,
    ScaledActions,
    StackedFrames,
    Step,
)
from pbtnas.rl.episodes import Array

QUADRUPED_CAMERA = 2
"""The published choice; all other domains are seen by camera 0."""


class Suite:
    """One task of the suite; observations are its state features, flattened to [n] float32.

    Args:
        domain: e.g. "walker".
        task: e.g. "run".
        seed: seed of the task's random numbers.
        camera: number of the camera that renders.
        shadows: whether frames have shadows and reflections.
        longest: an episode is cut, as if time were up, after so many frames.

    Raises `ValueError` listing what there is, for an unknown domain or task.
    """

    def __init__(
        self,
        domain: str,
        task: str,
        seed: int,
        camera: int = 0,
        shadows: bool = True,
        longest: int | None = None,
    ) -> None:
        import mujoco  # here, after `choose_renderer`
        from dm_control import suite

        tasks = [t for d, t in suite.ALL_TASKS if d == domain]
        if not tasks:
            domains = sorted({d for d, _ in suite.ALL_TASKS})
            raise ValueError(f"no domain {domain!r} in dm_control's suite: {', '.join(domains)}")
        if task not in tasks:
            raise ValueError(f"no task {task!r} in domain {domain!r}: {', '.join(sorted(tasks))}")
        self._mujoco = mujoco
        seed_words = np.random.SeedSequence(seed).generate_state(1)
        self._env: Any = suite.load(domain, task, task_kwargs={"random": int(seed_words[0])})
        limit = self._env._step_limit
        self.limit = None if math.isinf(limit) else int(limit)
        if longest is not None:
            self._env._step_limit = min(self._env._step_limit, longest)
        self._camera = camera
        self._effects = {} if shadows else {"shadow": False, "reflection": False}
        self._compiled = {name: array.copy() for name, array in self._model_arrays()}
        spec = self._env.action_spec()
        self.low: Array = spec.minimum
        self.high: Array = spec.maximum
        self.actions = int(spec.shape[0])
        features = sum(int(np.prod(s.shape)) for s in self._env.observation_spec().values())
        self.shape: tuple[int, ...] = (features,)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)

    def reset(self) -> Array:
        """See `Environment`."""
        return self._flat(self._env.reset().observation)

    def step(self, action: Actions) -> Step:
        """See `Environment`; the action lies between `low` and `high`."""
        step = self._env.step(action)
        assert not step.first(), "step after the last step of an episode"
        return Step(
            self._flat(step.observation), float(step.reward), float(step.discount), step.last()
        )

    def render(self, size: int) -> Array:
        """See `Environment`."""
        frame: Array = self._env.physics.render(
            size, size, camera_id=self._camera, render_flag_overrides=self._effects
        )
        return frame

    def capture(self) -> Capture:
        """See `Environment`."""
        _, keys, position, has_gauss, gauss = self._env.task.random.get_state()
        arrays = {
            f"model.{name}": array.copy()
            for name, array in self._model_arrays()
            if not np.array_equal(array, self._compiled[name], equal_nan=True)
        }
        arrays["state"] = self._integration_state()
        arrays["random"] = keys
        values = {
            "random": [int(position), int(has_gauss), float(gauss)],
            "step_count": self._env._step_count,
            "reset_next_step": self._env._reset_next_step,
        }
        return Capture(arrays, values)

    def restore(self, capture: Capture) -> None:
        """See `Environment`."""
        self._env.reset()  # tasks work out constants here: how high a dog stands
        for name, array in self._model_arrays():
            array[...] = capture.arrays.get(f"model.{name}", self._compiled[name])
        if "model.hfield_data" in capture.arrays:
            self._upload_terrain()
        model, data = self._env.physics.model.ptr, self._env.physics.data.ptr
        state = capture.arrays["state"]
        self._mujoco.mj_setState(model, data, state, self._mujoco.mjtState.mjSTATE_INTEGRATION)
        # dm_control steps from positions and velocities that are worked out already.
        self._mujoco.mj_step1(model, data)
        position, has_gauss, gauss = capture.values["random"]
        self._env.task.random.set_state(
            ("MT19937", capture.arrays["random"], position, has_gauss, gauss)
        )
        self._env._step_count = capture.values["step_count"]
        self._env._reset_next_step = capture.values["reset_next_step"]

    def close(self) -> None:
        """See `Environment`."""
        self._env.close()

    def _integration_state(self) -> Array:
        """Positions, velocities, activations, time, warm start and controls, [n] float64."""
        model, data = self._env.physics.model.ptr, self._env.physics.data.ptr
        which = self._mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(self._mujoco.mj_stateSize(model, which), np.float64)
        self._mujoco.mj_getState(model, data, state, which)
        return state

    def _upload_terrain(self) -> None:
        # The renderer has a copy of its own, and the only task with terrain always has one.
        physics = self._env.physics
        with physics.contexts.gl.make_current() as renderer:
            for i in range(physics.model.nhfield):
                renderer.call(
                    self._mujoco.mjr_uploadHField, physics.model.ptr, physics.contexts.mujoco.ptr, i
                )

    def _model_arrays(self) -> Iterator[tuple[str, Array]]:
        model = self._env.physics.model.ptr
        for name in dir(model):
            value = None if name.startswith("_") else getattr(model, name)
            if isinstance(value, np.ndarray) and value.flags.writeable:
                yield name, value

    def _flat(self, observation: dict[str, Array]) -> Array:
        return np.concatenate([np.ravel(part) for part in observation.values()]).astype(np.float32)


def suite_environment(
    domain: str,
    task: str,
    seed: int,
    *,
    pixels: bool,
    action_repeat: int,
    stack: int,
    camera: int | None = None,
    shadows: bool = True,
    size: int = 84,
    longest: int | None = None,
) -> StackedFrames:
    """A task as DrQ-v2 sees it (Yarats et al., 2021, section 4 and appendix).

    Args:
        domain, task, seed, longest: see `Suite`.
        pixels: frames (3 * stack, size, size), else state features (n * stack,).
        action_repeat: simulator steps of one agent step; 2 as published.
        stack: frames of an observation; 3 as published.
        camera: number of the camera; by default 0, and 2 for the quadruped.
        shadows: see `Suite`.
        size: height and width of a frame in pixels.
    """
    if camera is None:
        camera = QUADRUPED_CAMERA if domain == "quadruped" else 0
    core = Suite(domain, task, seed, camera, shadows, longest)
    environment: Environment = ScaledActions(core, core.low, core.high)
    environment = RepeatedActions(environment, action_repeat)
    if pixels:
        environment = Pixels(environment, size)
    return StackedFrames(environment, stack)
