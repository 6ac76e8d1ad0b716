"""Episodes as videos for people."""

from __future__ import annotations

import importlib.util
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.rl.episodes import Array


class NoEncoder(PbtnasError):
    """No encoder for this kind of video is installed; the message is one sentence."""

    exit_code = ExitCode.USAGE


def encoder_for(suffix: str) -> Callable[[Sequence[Array], int], bytes]:
    """The function that encodes a video of this kind.  Raises `NoEncoder`."""
    if suffix == ".webp":
        return animated_webp
    if suffix != ".mp4":
        raise NoEncoder(f"a video's name ends in .webp or .mp4, not in {suffix!r}")
    if not _can_mp4():
        raise NoEncoder('.mp4 needs imageio-ffmpeg (pip install "pbtnas[video]"); .webp does not')
    return mp4


def _can_mp4() -> bool:
    return importlib.util.find_spec("imageio_ffmpeg") is not None


def encode_video(name: str, frames: Sequence[Array], fps: int) -> dict[str, bytes]:
    """An animated WebP, and an MP4 where imageio-ffmpeg is installed, by file name.

    Args:
        name: file name without a suffix.
        frames: each [H, W, 3] uint8.
        fps: frames a second.
    """
    videos = {f"{name}.webp": animated_webp(frames, fps)}
    if _can_mp4():
        videos[f"{name}.mp4"] = mp4(frames, fps)
    return videos


def animated_webp(frames: Sequence[Array], fps: int) -> bytes:
    """An endless animation that browsers and Markdown viewers show."""
    images = [Image.fromarray(frame) for frame in frames]
    data = io.BytesIO()
    images[0].save(
        data,
        "WEBP",
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / fps),
        loop=0,
        quality=80,
    )
    return data.getvalue()


def mp4(frames: Sequence[Array], fps: int) -> bytes:
    """H.264 by imageio-ffmpeg; an odd height or width loses a pixel, which the codec needs."""
    import imageio_ffmpeg

    height, width = (side - side % 2 for side in frames[0].shape[:2])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "video.mp4"
        writer = imageio_ffmpeg.write_frames(
            str(path), (width, height), fps=fps, macro_block_size=2, ffmpeg_log_level="error"
        )
        writer.send(None)
        for frame in frames:
            writer.send(np.ascontiguousarray(frame[:height, :width]))
        writer.close()
        return path.read_bytes()
