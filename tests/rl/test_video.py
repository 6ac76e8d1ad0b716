"""Videos decode to what was encoded."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbtnas.rl.video import NoEncoder, animated_webp, encode_video, encoder_for, mp4


def frames(count: int, height: int, width: int) -> list[np.ndarray]:
    """Frames that get brighter."""
    return [np.full((height, width, 3), 20 * i, np.uint8) for i in range(count)]


def test_an_animation_has_all_frames_and_their_duration() -> None:
    """Every frame is shown, for its share of a second."""
    with Image.open(io.BytesIO(animated_webp(frames(6, 30, 40), fps=20))) as image:
        assert (image.format, image.size, image.n_frames) == ("WEBP", (40, 30), 6)
        for i in range(6):
            image.seek(i)
            assert abs(np.asarray(image.convert("RGB")).mean() - 20 * i) < 4
        assert image.info["duration"] == 50


def test_an_mp4_has_all_frames(tmp_path: Path) -> None:
    """An odd height is no error, and no frame is lost."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "video.mp4"

    path.write_bytes(mp4(frames(6, 31, 40), fps=10))

    assert imageio_ffmpeg.count_frames_and_secs(str(path)) == (6, pytest.approx(0.6, abs=0.05))


def test_an_mp4_is_made_where_it_can_be() -> None:
    """Callers get whatever this machine can encode, by file name."""
    expected = {"play.webp", "play.mp4"} if find_spec("imageio_ffmpeg") else {"play.webp"}
    assert set(encode_video("play", frames(2, 16, 16), fps=10)) == expected


def test_the_name_of_a_video_decides_how_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """An MP4 without imageio-ffmpeg, or another kind, is refused with what can be done."""
    monkeypatch.setattr("pbtnas.rl.video._can_mp4", lambda: False)

    assert encoder_for(".webp") is animated_webp
    with pytest.raises(NoEncoder, match=r"pbtnas\[video\]"):
        encoder_for(".mp4")
    with pytest.raises(NoEncoder, match=r"ends in \.webp or \.mp4, not in '\.gif'"):
        encoder_for(".gif")
