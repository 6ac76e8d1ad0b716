"""TensorBoard's own reader finds in the event files what the records say, number by number."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pbtnas.loggers.carrying import tell_once
from pbtnas.loggers.loading import make_logger
from pbtnas.store.posix import PosixStore
from pbtnas.store.previews import keep_preview
from tests.loggers.logged_runs import STORY, expected, run_until

pytest.importorskip("tensorboard")

TELL = partial(tell_once, name="tensorboard", make=partial(make_logger, "tensorboard"))


def files(root: Path) -> dict[str, bytes]:
    """The event files of a run by name, as `tensorboard --logdir` finds them."""
    found = root.rglob("*tfevents*")
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def accumulated(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars of one directory, read by TensorBoard."""
    from tensorboard.backend.event_processing import event_accumulator as reading

    loaded: Any = reading.EventAccumulator(str(directory), {reading.SCALARS: 0})
    loaded.Reload()
    return {
        tag: [(event.step, event.value) for event in loaded.Scalars(tag)]
        for tag in loaded.Tags()["scalars"]
    }


def test_tensorboard_reads_what_the_records_say(tmp_path: Path) -> None:
    """Each member has its score, metrics and training by network-epochs, and the population its
    best, mean and spread."""
    run_until(tmp_path, len(STORY))
    TELL(tmp_path)

    told = {path.name: accumulated(path) for path in (tmp_path / "log" / "tensorboard").iterdir()}
    single = {
        name: {
            tag: [(step, float(np.float32(value))) for step, value in points]  # as it writes them
            for tag, points in curves.items()
        }
        for name, curves in expected(tmp_path).items()
    }
    assert told == single
    assert len(told) == 7 and len(told["m00"]["training/loss"]) == 10


def test_a_logger_that_follows_and_one_that_comes_late_write_the_same(tmp_path: Path) -> None:
    """However often it is begun anew, whatever it has told, and also where its list is lost."""
    followed, late = tmp_path / "followed", tmp_path / "late"
    for writes in (5, 20, 21, 40, 58, 77, len(STORY)):
        run_until(followed, writes)
        TELL(followed)
    run_until(late, len(STORY))
    TELL(late)

    assert files(followed) == files(late)
    (late / "log" / "tensorboard.told").unlink()
    TELL(late)
    assert files(followed) == files(late)


def test_a_file_that_is_there_is_whole(tmp_path: Path) -> None:
    """A process that dies while it writes leaves nothing that TensorBoard reads."""
    run_until(tmp_path, len(STORY))
    TELL(tmp_path)

    others = [p for p in (tmp_path / "log").rglob("*") if p.is_file() and "tfevents" not in p.name]
    assert {path.name for path in others} <= {"tensorboard.told", "tensorboard.lock"}


def test_tensorboard_shows_the_pictures_of_members(tmp_path: Path) -> None:
    """Each at the epochs of its network, byte by byte as it was kept."""
    from tensorboard.backend.event_processing import event_accumulator as reading

    pictures = {}
    run_until(tmp_path, len(STORY))
    for generation in (0, 2):
        made = io.BytesIO()
        Image.new("L", (6, 4), color=generation).save(made, "PNG")
        pictures[4 + 2 * generation] = made.getvalue()
        with PosixStore(tmp_path, "w") as store:
            keep_preview(store, generation, 3, made.getvalue())
    TELL(tmp_path)

    loaded: Any = reading.EventAccumulator(str(tmp_path / "log" / "tensorboard" / "m03"))
    loaded.Reload()
    shown = loaded.Images("preview")
    assert {event.step: event.encoded_image_string for event in shown} == pictures
    assert {(event.width, event.height) for event in shown} == {(6, 4)}
    assert len(loaded.Scalars("generation")) == 4


def test_a_film_reaches_tensorboard_with_all_its_frames(tmp_path: Path) -> None:
    """A moving preview stays the file that a browser plays, not its first frame."""
    from tensorboard.backend.event_processing import event_accumulator as reading
    from tensorboard.util import img_mime_type_detector

    run_until(tmp_path, len(STORY))
    frames = [Image.new("L", (6, 4), color=60 * i) for i in range(4)]
    film = io.BytesIO()
    frames[0].save(film, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    with PosixStore(tmp_path, "w") as store:
        keep_preview(store, 1, 3, film.getvalue())
    TELL(tmp_path)

    loaded: Any = reading.EventAccumulator(str(tmp_path / "log" / "tensorboard" / "m03"))
    loaded.Reload()
    (shown,) = loaded.Images("preview")
    assert shown.encoded_image_string == film.getvalue()
    assert Image.open(io.BytesIO(shown.encoded_image_string)).n_frames == len(frames)
    assert img_mime_type_detector.from_bytes(shown.encoded_image_string) == "image/gif"
