"""Runs a job of drqv2: a member acts, stores transitions and learns, one agent step at a time.

All random numbers of a step are a function of the job's seed and the step's number.  With
a private buffer an interrupted job goes on to the same bits: between two steps, `progress` has
the environment, the episode so far and the position in the buffer.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch

from pbtnas.rl.environments import StackedFrames
from pbtnas.rl.episodes import Array, Recorder
from pbtnas.rl.replay import Batch, Replay
from pbtnas.search.seeding import derive
from pbtnas.tasks.base import Diverged
from pbtnas.tasks.drqv2.agent import Agent
from pbtnas.tasks.drqv2.buffers import Buffers
from pbtnas.tasks.drqv2.options import DrQV2Options
from pbtnas.tasks.drqv2.progress import AgentProgress, Interruption

_LOG_EVERY = 250  # updates


class Log(Protocol):
    """Writes a line of values, as `Context.log` does."""

    def __call__(self, **values: float | int | str) -> None: ...


class Session:
    """One job of one member on this machine.

    Args:
        agent: the agent, on the job's device.
        environment: a new environment; closed with the session.
        buffers: the run's buffers on this machine.
        progress: progress of the member, with the name of this job's buffer.
        source: name of the buffer that has the transitions of `progress`.
        seed: seed of the job.
        options: options of the task.
        log: function that writes a line of the member's log.
    """

    def __init__(
        self,
        agent: Agent,
        environment: StackedFrames,
        buffers: Buffers,
        progress: AgentProgress,
        *,
        source: str,
        seed: int,
        options: DrQV2Options,
        log: Log,
    ) -> None:
        self._agent = agent
        self._environment = environment
        self._buffers = buffers
        self._seed = seed
        self._options = options
        self._log = log
        self._steps = progress.steps
        self._held = progress.held
        self._replay = self._opened(source)
        self._recorder = Recorder(environment.actions)
        self._generator = torch.Generator(agent.device)
        self._batch: Batch | None = None
        self._observation: Array | None = None  # None between two episodes
        self._finished = False
        if progress.interruption is not None:
            self._go_on(progress.interruption)

    @property
    def whole(self) -> bool:
        """Whether `progress` may be called: not while an episode of Gymnasium runs."""
        return self._observation is None or not self._options.gymnasium

    def step(self, number: int) -> None:
        """Act once, and learn if it is time to.

        Args:
            number: number of the step in this job, from 1.

        Raises `Diverged` naming the step when an action or a loss is not finite.
        """
        chance = derive(self._seed, "drqv2-step", number)
        rng = np.random.default_rng(chance)
        self._generator.manual_seed(chance)
        if self._observation is None:
            self._observation = self._environment.reset()
            self._recorder.start(self._environment.newest)
        action = self._action(self._observation, rng)
        if not np.isfinite(action).all():
            raise Diverged(f"an action is nan at step {number} of this job")
        if self._time_to_learn():
            self._learn(rng, number)
        step = self._environment.step(action)
        self._recorder.step(action, step.reward, step.discount, self._environment.newest)
        self._observation = step.observation
        self._steps += 1
        if step.last:
            self._end_episode()

    def finish(self) -> None:
        """End the job; an unfinished episode ends here, as if time were up."""
        if self._observation is not None:
            self._end_episode()
        self._held = replace(self._held, position=self._replay.position())
        self._buffers.finish(self._replay, self._held.name)
        self._finished = True

    def progress(self) -> AgentProgress:
        """The progress of the member; call it between two steps, while `whole`."""
        if self._finished:
            return AgentProgress(self._steps, self._held)
        held = replace(self._held, position=self._replay.position())
        episode = None if self._observation is None else self._recorder.episode()
        return AgentProgress(self._steps, held, Interruption(self._environment.capture(), episode))

    def close(self) -> None:
        """Free the environment."""
        self._environment.close()

    def _opened(self, source: str) -> Replay:
        """Open the buffer; missing transitions are logged, and collected before any update."""
        replay, missing = self._buffers.open(self._held, source)
        if missing > 0:
            self._log(replay_missing=missing)
            until = self._steps + min(missing, self._options.seed_steps)
            self._held = replace(
                self._held, missing=self._held.missing + missing, refill_until=until
            )
        return replay

    def _go_on(self, interruption: Interruption) -> None:
        self._environment.restore(interruption.capture)
        if interruption.episode is not None:
            self._recorder.resume(interruption.episode)
            self._observation = interruption.capture.arrays["stack"]

    def _action(self, observation: Array, rng: np.random.Generator) -> Array:
        if self._steps < self._options.random_steps:
            return rng.uniform(-1.0, 1.0, self._environment.actions).astype(np.float32)
        return self._agent.explore(observation, self._options.stddev(self._steps), self._generator)

    def _time_to_learn(self) -> bool:
        return (
            self._steps >= max(self._options.seed_steps, self._held.refill_until)
            and self._steps % self._options.update_every == 0
            and self._replay.windows > 0  # the first episode may be longer than the seed frames
        )

    def _learn(self, rng: np.random.Generator, number: int) -> None:
        options = self._options
        self._batch = self._replay.sample(options.batch_size, rng, out=self._batch)
        losses = self._agent.update(self._batch, options.stddev(self._steps), self._generator)
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise Diverged(f"the {name} is {loss} at step {number} of this job")
        if self._steps % (options.update_every * _LOG_EVERY) == 0:
            self._log(frames=self._steps * options.action_repeat, **losses)

    def _end_episode(self) -> None:
        episode = self._recorder.episode()
        self._replay.add(episode)
        self._observation = None
        self._log(
            frames=self._steps * self._options.action_repeat,
            episode_reward=float(episode.rewards.sum(dtype=np.float64)),
            episode_length=len(episode),
            replay=len(self._replay),
        )
