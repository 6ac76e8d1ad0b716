"""The task `drqv2`: agents that learn control from pixels, searched as in the paper.

Encoder, actor and critics of DrQ-v2 on tasks of dm_control's suite, or any environment of
Gymnasium; 36 variables, or 28 from state features.  See docs/rl.md.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from pbtnas.determinism import tf32
from pbtnas.models.drqv2.networks import DrQV2
from pbtnas.models.drqv2.spaces import drqv2_space
from pbtnas.rl.episodes import Array
from pbtnas.rl.rendering import NoRenderer
from pbtnas.rl.replay import disk_bytes, memory_bytes
from pbtnas.rl.video import encode_video
from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture
from pbtnas.state import State
from pbtnas.tasks.base import Context, Evaluation, Preparation, TaskError
from pbtnas.tasks.costs import multiply_adds
from pbtnas.tasks.drqv2.agent import Agent
from pbtnas.tasks.drqv2.buffers import Buffers, begin
from pbtnas.tasks.drqv2.environments import Facts, can_render, make_environment, probe
from pbtnas.tasks.drqv2.options import SEARCHABLE, DrQV2Options
from pbtnas.tasks.drqv2.policy import VIDEO_FPS, Policy, play_episode
from pbtnas.tasks.drqv2.progress import AgentProgress
from pbtnas.tasks.drqv2.session import Session
from pbtnas.tasks.optional import Lookup, Played
from pbtnas.tasks.searched_options import of_member, with_ladders

log = logging.getLogger(__name__)

_FACTS = "drqv2-environment.json"
_RUN = "drqv2-replay"
_SUITE_FRAMES = 1000  # of an episode; all tasks of the suite but a few take so long


class DrQV2Task:
    """Search the networks of a DrQ-v2 agent: see `models.drqv2.spaces`.

    Ladders of `search_also` come on top.
    """

    Options = DrQV2Options

    def __init__(self, options: DrQV2Options) -> None:
        self.options = options
        self.space = with_ladders(drqv2_space(options.pixels), options, SEARCHABLE)
        # What acts, and what it sees with; there is no encoder to search for state features.
        self.parts: dict[str, tuple[str, ...]] = {"actor": ("actor",)}
        if options.pixels:
            self.parts |= {"encoder": ("encoder",), "both": ("encoder", "actor")}
        self._facts: Facts | None = None
        self._run = ""

    @property
    def facts(self) -> Facts:
        """The sizes of the environment; there are none before `prepare`."""
        if self._facts is None:
            raise RuntimeError("drqv2: prepare() comes before members are created")
        return self._facts

    def prepare(self, run: Preparation) -> None:
        """Find the sizes of the environment, and name the run's replay directory.

        Raises `TaskError` when the environment cannot be made.
        """
        known = run.lookup(_FACTS)
        if known is None:
            found = asdict(probe(self.options, type(self)))
            known = run.publish(_FACTS, json.dumps(found).encode())
        self._facts = Facts(**json.loads(known))
        self._run = run.unique(_RUN)
        self._say_what_replay_needs(run.directory)

    def look(self) -> str:
        """The environment in words, for `--dry-run`; refuses what `prepare` would refuse."""
        facts = probe(self.options, type(self))
        return (
            f"{self.options.environment} was tried out; an action has {facts.actions} numbers, "
            f"the state {facts.features} features"
        )

    def recall(self, lookup: Lookup) -> None:
        """Read the sizes of the environment, without making it."""
        known = lookup(_FACTS)
        if known is None:
            raise TaskError(f"drqv2: the product {_FACTS} is missing, so the networks' sizes are")
        self._facts = Facts(**json.loads(known))

    def create(self, architecture: Architecture, seed: int) -> DrQV2Trainee:
        """Networks, the target critic and optimisers, on the CPU."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            choices = self.space.decode(architecture)
            networks = DrQV2(choices, self.facts.sizes(self.options))
        return DrQV2Trainee(self, architecture, networks, of_member(self.options, choices))

    def play(self, network: Policy, *, episodes: int, seed: int) -> Iterator[Played]:
        """Play episodes with the mean action, one after the other in one environment."""
        try:
            environment = make_environment(self.options, derive(seed, "drqv2-play"), "cpu")
        except NoRenderer as error:
            raise TaskError(str(error)) from error
        except ModuleNotFoundError as error:
            raise TaskError(f'drqv2: {error}; pip install "pbtnas[rl]" brings it') from error
        try:
            for _ in range(episodes):
                observation = environment.reset()
                if not can_render(environment, self.options):
                    raise TaskError("drqv2: nothing can draw the environment here; see MUJOCO_GL")
                frames: list[Array] = []
                reward, _ = play_episode(network.act, environment, observation, film=frames)
                yield Played(reward, frames, VIDEO_FPS)
        finally:
            environment.close()

    def buffers(self, context: Context, options: DrQV2Options) -> Buffers:
        """The run's replay buffers on the job's machine, for a member with these options."""
        return Buffers(context.scratch / "drqv2" / self._run, options)

    def _say_what_replay_needs(self, scratch: Path) -> None:
        options = self.options
        shape = (3, options.size, options.size) if options.pixels else (self.facts.features,)
        dtype = np.uint8 if options.pixels else np.float32
        length = max(1, _SUITE_FRAMES // options.action_repeat)
        disk = disk_bytes(options.replay_capacity, length, shape, dtype, self.facts.actions)
        memory = memory_bytes(options.replay_capacity, self.facts.actions)
        free = shutil.disk_usage(scratch).free
        log.log(
            logging.INFO if disk <= free else logging.WARNING,
            "drqv2: a full replay buffer takes %s of disk in %s, which has %s left, and as much "
            "page cache, one %s; every job that samples it takes %s of memory more",
            _readable(disk),
            scratch,
            _readable(free),
            "for the machine" if options.replay == "shared" else "for each member",
            _readable(memory),
        )


class DrQV2Trainee:
    """One member: an agent and its progress."""

    def __init__(
        self,
        task: DrQV2Task,
        architecture: Architecture,
        networks: DrQV2,
        options: DrQV2Options,
    ) -> None:
        self.agent = Agent(networks, options)
        self._options = options
        self._task = task
        self._architecture = architecture
        self._progress = AgentProgress()
        self._session: Session | None = None
        self._donated = options.replay_from == "donor"

    def train(self, epochs: int, context: Context) -> None:
        """Act and learn for epochs of `frames_per_epoch` frames; a tick is an agent step.

        Raises `Diverged` naming the step of the job.
        """
        steps = epochs * self._options.steps_per_epoch
        if context.done >= steps:
            return
        self.agent.move(context.device)
        session = self._open_session(context)
        with tf32(self._options.tf32):
            self._live(session, steps, context)

    def _live(self, session: Session, steps: int, context: Context) -> None:
        self._session = session
        try:
            for number in range(context.done + 1, steps + 1):
                session.step(number)
                if number == steps:
                    session.finish()
                context.tick(number if session.whole else None)
        finally:
            self._session = None
            if session.whole:
                self._progress = session.progress()
            session.close()

    def _open_session(self, context: Context) -> Session:
        options = self._options
        buffers = self._task.buffers(context, options)
        progress, source = self._progress, self._progress.held.name
        if context.done == 0:
            buffers.remove_older(progress.held.parent)
            held = begin(progress.steps, context.seed, self._architecture, progress.held)
            progress = AgentProgress(progress.steps, held)
        seed = derive(context.seed, "drqv2-environment")
        return Session(
            self.agent,
            make_environment(options, seed, context.device),
            buffers,
            progress,
            source=source,
            seed=context.seed,
            options=options,
            log=context.log,
        )

    def evaluate(self, context: Context) -> Evaluation:
        """The mean return of episodes with the mean action, in an environment of its own.

        The score is NaN if an action is.  A final evaluation brings a video of its first
        episode, where anything can render.
        """
        options = self._options
        self.agent.move(context.device)
        seed = derive(context.seed, "drqv2-evaluation")
        environment = make_environment(options, seed, context.device)
        episodes = options.final_episodes if context.final else options.eval_episodes
        frames: list[Array] = []
        rewards, lengths = [], []
        try:
            for episode in range(episodes):
                observation = environment.reset()
                wanted = context.final and episode == 0
                film = frames if wanted and can_render(environment, options) else None
                reward, length = play_episode(
                    self.agent.act, environment, observation, film=film, tick=context.tick
                )
                rewards.append(reward)
                lengths.append(length)
        finally:
            environment.close()
        metrics = {
            "episode_reward": float(np.mean(rewards)),
            "episode_reward_std": float(np.std(rewards)),
            "episode_length": float(np.mean(lengths)),
            "frames": float(self._progress.steps * options.action_repeat),
            "replay_missing": float(self._progress.held.missing),
        }
        artifacts = encode_video("episode", frames, VIDEO_FPS) if frames else {}
        return Evaluation(metrics["episode_reward"], metrics, artifacts)

    def trained_network(self) -> Policy:
        """Encoder and actor, in evaluation mode."""
        return Policy(self.agent.networks, self._task.facts.sizes(self._task.options))

    def costs(self) -> Mapping[str, float]:
        """The multiply-adds of one action."""
        policy = self.trained_network()
        observations = torch.zeros(1, *policy.observation, device="meta")
        return {"multiply_adds": multiply_adds(policy, lambda n: n(observations))}

    def state(self) -> State:
        """Agent and progress; the tensors of the agent alias its networks."""
        state = self.agent.state()
        progress = self._session.progress() if self._session else self._progress
        progress.add_to(state, donated=self._donated)
        return state

    def load(self, state: State) -> None:
        """Become that state; raises `ValueError` naming what does not fit."""
        progress = AgentProgress.of(state, donated=self._donated)
        self.agent.load(state)
        self._progress = progress


def _readable(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
