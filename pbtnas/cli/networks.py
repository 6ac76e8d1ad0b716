"""Commands for trained networks: take one out of its run, and watch one act."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pbtnas.cli.places import PlainPath, RunPath
from pbtnas.cli.shared import accept_option, disk_errors, run_dir_argument, task_file_option
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

which_option = click.option(
    "--which",
    metavar="NAME",
    help="best-ever (default), best-last, best-ever-soup or best-last-soup; best-so-far to play a "
    "run that goes on; a place in the front, e.g. front-3; or a member that `pbtnas show` lists, "
    "e.g. m03 or g0012-m03.",
)


@click.command()
@run_dir_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=PlainPath(),
    help="Directory to make; an older export in it is replaced.",
)
@which_option
@click.option("--subnet", metavar="NAME", help="Only this subnet of it, e.g. 434, as a network.")
@click.option("--all", "whole", is_flag=True, help="Add all that is needed to train on.")
@task_file_option
@accept_option
def export(
    run_dir: Path,
    output: Path,
    which: str | None,
    subnet: str | None,
    whole: bool,
    task_file: str | None,
    accept: bool,
) -> None:
    """Write the network of a finished run to a directory that lives without the run."""
    from pbtnas.networks.export import export as exported
    from pbtnas.networks.loading import BEST

    with disk_errors(ExitCode.FAILED):
        files = exported(
            run_dir,
            output,
            which or BEST,
            task_file=task_file,
            whole=whole,
            subnet=subnet,
            accept=accept,
        )
    for path in files:
        click.echo(f"{path.stat().st_size:>12,}  {path}")


@click.command()
@click.argument("directory", metavar="RUN_OR_EXPORT", type=RunPath(file_okay=True))
@click.option(
    "-o",
    "--output",
    default="play.webp",
    show_default=True,
    type=PlainPath(dir_okay=False),
    help="The video: .webp, or .mp4 where imageio-ffmpeg is installed.",
)
@which_option
@click.option("--episodes", default=1, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@task_file_option
@accept_option
def play(
    directory: Path,
    output: Path,
    which: str | None,
    episodes: int,
    seed: int,
    task_file: str | None,
    accept: bool,
) -> None:
    """Let the agent of a run or an export act, and film it."""
    from pbtnas.networks.loading import load_network
    from pbtnas.rl.video import encoder_for
    from pbtnas.tasks.base import TaskError
    from pbtnas.tasks.faults import blamed
    from pbtnas.tasks.optional import Plays

    with disk_errors(ExitCode.FAILED):
        encode = encoder_for(output.suffix)
        loaded = load_network(directory, which, task_file, accept=accept)
        if not isinstance(loaded.task, Plays):
            raise TaskError(f"{directory}: a {type(loaded.task).__name__} has no episodes to play")
        frames: list[NDArray[np.uint8]] = []
        with blamed("play()", type(loaded.task)):
            for episode in loaded.task.play(loaded.network, episodes=episodes, seed=seed):
                click.echo(f"return {episode.reward:.6g} in {len(episode.frames)} steps")
                frames += episode.frames
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(encode(frames, episode.fps))
    click.echo(output)
