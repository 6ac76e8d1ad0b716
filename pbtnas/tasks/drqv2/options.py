"""The options of the task `drqv2`, and the arithmetic of frames, steps and epochs.

A *frame* is a step of the simulator.  An agent *step* is `action_repeat` frames; schedules
and updates are counted in steps, as published.  An *epoch* is `frames_per_epoch` frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pbtnas.config import number, setting
from pbtnas.tasks.searched_options import conflicts, most, search_also, times, towards_one, up_to

_GYMNASIUM = re.compile(r"-v\d+$")


SEARCHABLE = {
    "learning_rate": times(10, 21),
    "batch_size": times(4, 5, integer=True),
    "nstep": up_to(2),
    "discount": towards_one(10, 21),
    "tau": times(10, 21),
    "stddev_start": times(4, 13),
    "stddev_end": times(4, 13),
    "stddev_clip": times(4, 13),
}
"""The options that members can search for themselves, and how far."""

_SHAPES = ("environment", "observations", "size", "frame_stack", "hidden", "channels")


@dataclass(frozen=True, kw_only=True)
class DrQV2Options:
    """The `task:` section of a config for drqv2; the defaults are those of Quadruped."""

    environment: str = setting(
        help="A task of dm_control's suite such as walker_run, or the id of a Gymnasium "
        "environment with its version, such as Pendulum-v1."
    )
    observations: Literal["pixels", "state"] = setting(
        "pixels", help="What the agent sees; with state features the space has no encoder."
    )
    size: int = number(84, min=16, max=480, help="Height and width of a frame in pixels.")
    camera: int | None = number(
        None, min=0, help="Of the suite; null means 0, and 2 for the quadruped."
    )
    shadows: bool = setting(
        True,
        help="Shadows and reflections in frames of the suite, as published; without them a "
        "frame takes a processor a fifth of the time.",
    )
    action_repeat: int = number(2, min=1, help="Frames (simulator steps) of an agent step.")
    frame_stack: int = number(3, min=1, help="Observations that the agent sees at once.")
    frames_per_epoch: int = number(10_000, min=1, help="Simulator steps of an epoch.")
    episode_frames: int = number(
        10_000, min=1, help="Frames after which an episode is cut, as if time were up."
    )

    batch_size: int = number(256, min=1, help="Transitions of an update.")
    learning_rate: float = number(1e-4, min=0, help="Of Adam, for all three networks.")
    nstep: int = number(3, min=1, help="Rewards of a target before the critic's estimate.")
    discount: float = number(0.99, min=0, max=1, help="Of an agent step.")
    tau: float = number(0.01, min=0, max=1, help="Share of the critic in its target, an update.")
    update_every: int = number(2, min=1, help="Agent steps between two updates.")
    stddev_start: float = number(1.0, min=0, help="Of the noise when acting, at first.")
    stddev_end: float = number(0.1, min=0, help="The same in the end.")
    stddev_steps: int = number(
        500_000, min=1, help="Agent steps of a member's life in which it falls, linearly."
    )
    stddev_clip: float = number(0.3, min=0, help="Limit of the noise in updates.")
    random_steps: int = number(
        2000, min=0, help="Agent steps with random actions at the start of a member's life."
    )
    seed_frames: int = number(
        4000, min=0, help="Frames without updates there, and where transitions were lost."
    )
    hidden: int = number(1024, min=1, help="Width of the layers of actor and critic.")
    channels: int = number(32, min=1, help="Width of the encoder.")
    tf32: bool = setting(
        False, help="Train with TF32 on GPUs since Ampere, which is faster than full float32."
    )

    replay: Literal["private", "shared"] = setting(
        "private", help="A buffer for each member, or one for all members trained on a machine."
    )
    replay_capacity: int = number(
        100_000, min=1, help="Transitions of a buffer; the oldest episodes beyond it go."
    )
    replay_from: Literal["base", "donor"] = setting(
        "base", help="Whose private buffer a child goes on with; as published: donor."
    )
    eval_episodes: int = number(10, min=1, help="Episodes of a score; their mean return is it.")
    final_episodes: int = number(10, min=1, help="Episodes of the number to report.")
    search_also: tuple[str, ...] = search_also(SEARCHABLE)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Broken rules between the options, for `parse`."""
        if ":" in self.environment:
            # Gymnasium would import the module before the colon, in every process of the run.
            yield (
                "environment",
                "a name without a module: register it in the file of --task FILE.py:Class, "
                "and give its id alone",
            )
        if self.frames_per_epoch % self.action_repeat:
            yield "frames_per_epoch", f"a multiple of action_repeat, which is {self.action_repeat}"
        if self.replay == "shared" and self.replay_from == "donor":
            yield "replay_from", "base with a shared buffer, which no member owns"
        if self.gymnasium and self.camera is not None:
            yield "camera", "null for Gymnasium, which has no choice of cameras"
        if self.gymnasium and not self.shadows:
            yield "shadows", "true for Gymnasium, which draws as it likes"
        yield from conflicts(self, SEARCHABLE, shapes=_SHAPES)
        longest = min(self.episode_frames // self.action_repeat, self.replay_capacity)
        if "nstep" in self.search_also and most(self, "nstep", SEARCHABLE) > longest:
            # No window would fit into an episode of the buffer: the member would never learn.
            yield (
                "nstep",
                f"at most {longest // 2} with task.search_also nstep, whose ladder goes to twice "
                f"as many: an episode in the buffer has at most {longest} steps",
            )

    @property
    def gymnasium(self) -> bool:
        """Whether the environment is one of Gymnasium's: only their names have a version."""
        return _GYMNASIUM.search(self.environment) is not None

    @property
    def pixels(self) -> bool:
        """Whether the agent sees images."""
        return self.observations == "pixels"

    @property
    def steps_per_epoch(self) -> int:
        """Agent steps of an epoch."""
        return self.frames_per_epoch // self.action_repeat

    @property
    def seed_steps(self) -> int:
        """Agent steps without updates."""
        return self.seed_frames // self.action_repeat

    def stddev(self, steps: int) -> float:
        """Standard deviation of the noise after so many agent steps of a member's life."""
        share = min(steps / self.stddev_steps, 1.0)
        return self.stddev_start + share * (self.stddev_end - self.stddev_start)
