"""Makes the environment that the options name, and finds the sizes of what it shows.

Run as a module it tries an environment out for some steps, and prints what it found as JSON:
`{"actions": 6, "features": 24, "frames": 1000}`, where the frames of an episode are null for one
without a limit.  Further arguments name the module or file of the user's task, which registers
environments.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from pbtnas.child_python import python_command, python_environment
from pbtnas.config.fields import closest
from pbtnas.models.drqv2.networks import Sizes
from pbtnas.rl.environments import ScaledActions, StackedFrames
from pbtnas.rl.episodes import Array
from pbtnas.rl.gymnasium_environment import Gymnasium, gymnasium_environment
from pbtnas.rl.rendering import NoRenderer, choose_renderer
from pbtnas.rl.suite import Suite, suite_environment
from pbtnas.tasks.base import TaskError
from pbtnas.tasks.drqv2.options import SEARCHABLE, DrQV2Options
from pbtnas.tasks.loading import import_file, is_task_file
from pbtnas.tasks.searched_options import most

log = logging.getLogger(__name__)

_PROBE_LIMIT_S = 300
_STEPS_TRIED = 10


@dataclass(frozen=True)
class Facts:
    """The sizes of the environment that the networks have to fit.

    Args:
        actions: A, the length of an action.
        features: n, the length of the state features.
    """

    actions: int
    features: int

    def sizes(self, options: DrQV2Options) -> Sizes:
        """The sizes of the networks."""
        observation: tuple[int, ...]
        if options.pixels:
            observation = (3 * options.frame_stack, options.size, options.size)
        else:
            observation = (self.features * options.frame_stack,)
        return Sizes(observation, self.actions, options.hidden, options.channels)


def probe(options: DrQV2Options, task: type) -> Facts:
    """Find the facts about the environment.

    Raises `TaskError` when it cannot be made, or when its episodes are shorter than `nstep`.

    In a process of its own and without OpenGL: MuJoCo settles what renders, and on which GPU,
    when it is first imported, and nobody knows yet which GPU this process will use.  What
    defines the class `task` is imported there too: it may register the environment.
    """
    own = [] if task.__module__.startswith("pbtnas.") else [_source_of(task)]
    try:
        done = subprocess.run(
            python_command("-m", __name__, options.environment, *own),
            env=python_environment({"MUJOCO_GL": "disable"}),
            capture_output=True,
            text=True,
            timeout=_PROBE_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TaskError(
            f"task.environment: {options.environment!r} takes more than {_PROBE_LIMIT_S} s to be "
            f"made and to play {_STEPS_TRIED} steps"
        ) from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise TaskError(
            f"task.environment: {options.environment!r} cannot be used: {_told(reason)}"
        )
    found = json.loads(done.stdout.splitlines()[-1])
    frames = found.pop("frames")
    if frames is None:
        log.warning(
            "%s says of no step that its episode ends there at the latest; episodes are cut after "
            "%d frames (task.episode_frames)",
            options.environment,
            options.episode_frames,
        )
    else:
        _check_nstep(options, frames)
    return Facts(**found)


def _check_nstep(options: DrQV2Options, frames: int) -> None:
    """Refuse targets longer than any episode: the member would never learn."""
    steps = -(-frames // options.action_repeat)
    highest = most(options, "nstep", SEARCHABLE)
    if highest <= steps:
        return
    searched = "nstep" in options.search_also
    expected = steps // 2 if searched else steps
    ladder = ", whose ladder goes to twice as many" if searched else ""
    raise TaskError(
        f"task.nstep: expected at most {expected}{ladder}, not {options.nstep}: an episode of "
        f"{options.environment} has {frames} frames, which are {steps} steps with "
        f"task.action_repeat {options.action_repeat}"
    )


def _told(reason: str) -> str:
    """The last line of the probe's traceback, as a sentence: what is refused, or not installed."""
    if reason.startswith("ModuleNotFoundError: "):
        brought = (
            'dm_control comes with pip install "pbtnas[rl]", gymnasium with "pbtnas[gymnasium]"'
        )
        return f"{reason.removeprefix('ModuleNotFoundError: ')} ({brought})"
    return reason.removeprefix("ValueError: ")


def make_environment(options: DrQV2Options, seed: int, device: str) -> StackedFrames:
    """The environment as the agent sees it; EGL renders on the GPU of `device`.

    Raises `NoRenderer` when pixels are wanted and nothing can draw them.
    """
    _settle_rendering(options.pixels, device)
    if options.gymnasium:
        return gymnasium_environment(
            options.environment,
            seed,
            pixels=options.pixels,
            action_repeat=options.action_repeat,
            stack=options.frame_stack,
            size=options.size,
            longest=options.episode_frames,
        )
    domain, task = _suite_task(options.environment)
    return suite_environment(
        domain,
        task,
        seed,
        pixels=options.pixels,
        action_repeat=options.action_repeat,
        stack=options.frame_stack,
        camera=options.camera,
        shadows=options.shadows,
        size=options.size,
        longest=options.episode_frames,
    )


def can_render(environment: StackedFrames, options: DrQV2Options) -> bool:
    """Whether an environment, in the middle of an episode, can draw frames for people."""
    if not options.gymnasium:
        return os.environ.get("MUJOCO_GL") not in ("disable", "disabled", "off")
    from gymnasium.error import Error

    try:
        environment.render(16)
    except (Error, ValueError) as error:
        log.warning("no video: %s", error)
        return False
    return True


@cache
def _settle_rendering(needed: bool, device: str) -> None:
    try:
        choose_renderer(device)
    except NoRenderer:
        if needed:
            raise
        os.environ["MUJOCO_GL"] = "disable"  # state features need none; there is no video then


def _suite_task(name: str) -> tuple[str, str]:
    """Domain and task of a name such as ball_in_cup_catch."""
    from dm_control import suite

    known = {f"{domain}_{task}": (domain, task) for domain, task in suite.ALL_TASKS}
    if name not in known:
        match = closest(name, known)
        hint = f"; did you mean {match!r}?" if match else f": {', '.join(sorted(known))}"
        raise ValueError(f"dm_control's suite has no task {name!r}{hint}")
    return known[name]


def try_out(name: str) -> dict[str, int | None]:
    """The facts about an environment, and the frames of an episode at most; draws nothing.

    Raises `ValueError` for what would stop every job of a run.
    """
    core: Suite | Gymnasium
    if DrQV2Options(environment=name).gymnasium:
        core = Gymnasium(name, seed=0, drawn=False)
    else:
        core = Suite(*_suite_task(name), seed=0)
    environment = ScaledActions(core, core.low, core.high)
    if isinstance(core, Gymnasium):
        core.check_returns()
    rng = np.random.default_rng(0)
    _check(name, environment.reset(), 0.0)
    for _ in range(_STEPS_TRIED):
        step = environment.step(rng.uniform(-1, 1, core.actions).astype(np.float32))
        _check(name, step.observation, step.reward)
        if step.last:
            _check(name, environment.reset(), 0.0)
    return {**asdict(Facts(core.actions, core.shape[0])), "frames": core.limit}


def _check(name: str, observation: Array, reward: float) -> None:
    if not np.isfinite(observation).all():
        raise ValueError(f"{name}: an observation is not finite: {observation}")
    if not np.isfinite(reward):
        raise ValueError(f"{name}: a reward is not finite: {reward}")


def _source_of(task: type) -> str:
    """The file that `--task` named, or the module of an installed task."""
    module = task.__module__
    return str(sys.modules[module].__file__) if is_task_file(module) else module


def _register(source: str) -> None:
    """Import what `_source_of` says."""
    if source.endswith(".py"):
        import_file(Path(source))
    else:
        importlib.import_module(source)


if __name__ == "__main__":
    try:
        for _source in sys.argv[2:]:
            _register(_source)
        _found = json.dumps(try_out(sys.argv[1]))
    except SystemExit as _error:
        sys.exit(f"it ends its process (with {_error.code}); it must raise an exception instead")
    sys.stdout.write(f"{_found}\n")
    sys.stdout.flush()
    os._exit(0)  # whatever the environment says or waits for when Python ends
