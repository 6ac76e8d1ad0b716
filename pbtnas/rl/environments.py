"""Environments: an interface of few methods, and wrappers that each change one thing.

`suite.py` and `gymnasium_environment.py` have the environments themselves.  Every environment
can be captured between two steps and restored later, in another process, to go on with the
same bits; where the simulator cannot do that, at least between two episodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pbtnas.errors import PbtnasError
from pbtnas.rl.episodes import Array

Actions = NDArray[np.float32]


class NotCapturable(PbtnasError):
    """This environment can be captured between episodes only, and is in the middle of one."""


@dataclass(frozen=True)
class Step:
    """The result of an action.

    Args:
        observation: observation of the environment's shape and dtype; the caller may keep it.
        reward: reward of this step.
        discount: 0 when the task ended, 1 otherwise (also where only time was up).
        last: whether the episode is over, and `reset` must come next.
    """

    observation: Array
    reward: float
    discount: float
    last: bool


@dataclass
class Capture:
    """An environment between two steps: arrays by name, and JSON values by name."""

    arrays: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


class Environment(Protocol):
    """A simulator of one episode after another."""

    shape: tuple[int, ...]
    """Of an observation: (C, H, W) of uint8 or (n,) of float32."""

    dtype: np.dtype[Any]

    actions: int
    """A; an action is [A] float32 in [-1, 1]."""

    def reset(self) -> Array:
        """Begin an episode and return its first observation, which the caller may keep."""

    def step(self, action: Actions) -> Step:
        """Act."""

    def render(self, size: int) -> Array:
        """The scene as [size, size, 3] uint8, for people."""

    def capture(self) -> Capture:
        """Everything that `restore` needs.  Raises `NotCapturable`."""

    def restore(self, capture: Capture) -> None:
        """Become the captured environment; made with the same arguments, nothing else done."""

    def close(self) -> None:
        """Free the simulator and its OpenGL context."""


class Wrapper:
    """An environment that passes everything on; subclasses change one thing."""

    def __init__(self, inner: Environment) -> None:
        self.inner = inner
        self.shape = inner.shape
        self.dtype = inner.dtype
        self.actions = inner.actions

    def reset(self) -> Array:
        """See `Environment`."""
        return self.inner.reset()

    def step(self, action: Actions) -> Step:
        """See `Environment`."""
        return self.inner.step(action)

    def render(self, size: int) -> Array:
        """See `Environment`."""
        return self.inner.render(size)

    def capture(self) -> Capture:
        """See `Environment`."""
        return self.inner.capture()

    def restore(self, capture: Capture) -> None:
        """See `Environment`."""
        self.inner.restore(capture)

    def close(self) -> None:
        """See `Environment`."""
        self.inner.close()


LARGEST_ACTION = 1e6
"""Beyond it an action counts as unbounded: dm_control says 1e10 of an actuator without limits."""


class ScaledActions(Wrapper):
    """Actions in [-1, 1] become those of the simulator, between `low` and `high`, each [A].

    Raises `ValueError` for actions that have no such range.
    """

    def __init__(self, inner: Environment, low: Array, high: Array) -> None:
        super().__init__(inner)
        for axis, (least, most) in enumerate(zip(low, high, strict=True)):
            if not (-LARGEST_ACTION <= least < most <= LARGEST_ACTION):
                raise ValueError(
                    f"actions must have bounds within ±{LARGEST_ACTION:g}, the lower below the "
                    f"upper, to be scaled; axis {axis} goes from {least:g} to {most:g}"
                )
        self._low = low.astype(np.float64)
        self._half = (high.astype(np.float64) - self._low) / 2

    def step(self, action: Actions) -> Step:
        """Act; -1 is `low`, 1 is `high`."""
        return self.inner.step((self._low + (action + 1.0) * self._half).astype(np.float32))


class RepeatedActions(Wrapper):
    """One agent step is several steps of the simulator; rewards are summed."""

    def __init__(self, inner: Environment, times: int) -> None:
        super().__init__(inner)
        self._times = times

    def step(self, action: Actions) -> Step:
        """Repeat until the episode ends; discounts multiply, and weigh later rewards."""
        reward, discount = 0.0, 1.0
        for _ in range(self._times):
            step = self.inner.step(action)
            reward += step.reward * discount
            discount *= step.discount
            if step.last:
                break
        return Step(step.observation, reward, discount, step.last)


class Pixels(Wrapper):
    """Rendered frames (3, size, size) instead of state features.

    Outside `RepeatedActions`, so that only frames an agent sees are rendered.
    """

    def __init__(self, inner: Environment, size: int = 84) -> None:
        super().__init__(inner)
        self.shape = (3, size, size)
        self.dtype = np.dtype(np.uint8)

    def reset(self) -> Array:
        """The first frame."""
        self.inner.reset()
        return self._frame()

    def step(self, action: Actions) -> Step:
        """Act, and look."""
        step = self.inner.step(action)
        return Step(self._frame(), step.reward, step.discount, step.last)

    def _frame(self) -> Array:
        return np.ascontiguousarray(self.inner.render(self.shape[1]).transpose(2, 0, 1))


class StackedFrames(Wrapper):
    """The last `count` observations along the first axis; the first is repeated at the start.

    `newest` is the last of them alone, which is what is stored.
    """

    newest: Array

    def __init__(self, inner: Environment, count: int) -> None:
        super().__init__(inner)
        self._count = count
        self.shape = (inner.shape[0] * count, *inner.shape[1:])
        self._stack = np.zeros(self.shape, self.dtype)
        self.newest = self._stack[-inner.shape[0] :]

    def reset(self) -> Array:
        """The first observation, `count` times."""
        self.newest = self.inner.reset()
        self._stack = np.concatenate([self.newest] * self._count)
        return self._stack

    def step(self, action: Actions) -> Step:
        """Act, and push the new observation."""
        step = self.inner.step(action)
        kept = self._stack[self.inner.shape[0] :]
        self.newest = step.observation
        self._stack = np.concatenate([kept, self.newest])
        return Step(self._stack, step.reward, step.discount, step.last)

    def capture(self) -> Capture:
        """With the stack."""
        capture = self.inner.capture()
        capture.arrays["stack"] = self._stack.copy()
        return capture

    def restore(self, capture: Capture) -> None:
        """With the stack."""
        self.inner.restore(capture)
        self._stack = capture.arrays["stack"].copy()
        self.newest = self._stack[-self.inner.shape[0] :]
