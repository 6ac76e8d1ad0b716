"""Images of a folder: which files, in which order, and what becomes of their pixels."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pbtnas.data import images
from pbtnas.data.decoding import Rules
from pbtnas.data.folder import list_images, load
from pbtnas.data.images import DataError, ImageSet


def noise(width: int, height: int, seed: int = 0, channels: int = 3) -> NDArray[np.uint8]:
    """Random pixels [height, width, channels]."""
    shape = (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, pixels: NDArray[np.generic] | Image.Image) -> None:
    """Keep pixels as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path)


def loaded(tmp_path: Path, side: int = 4, **rules: str) -> ImageSet:
    """The images of `tmp_path/mine`."""
    return load(tmp_path / "data", tmp_path / "mine", Rules(side, **rules))  # type: ignore[arg-type]


def test_files_are_taken_by_name_and_the_others_are_counted(tmp_path: Path) -> None:
    """The order is that of paths, whatever the file system lists first."""
    for name in ("b/2.png", "b/10.PNG", "a.png", "c.gif", ".thumbnails/a.png", "b/.2.png"):
        save(tmp_path / name, noise(2, 2))
    (tmp_path / "labels.csv").write_text("a,1")

    listing = list_images(tmp_path)

    assert listing.files == ("a.png", "b/10.PNG", "b/2.png", "c.gif")
    assert str(listing) == f"4 images below {tmp_path}, 2 hidden files and 1 other file left out"


def test_the_middle_square_is_resized_with_a_filter_that_averages(tmp_path: Path) -> None:
    """Wide, tall, small and right: the same rule as for the known data sets."""
    sizes = {"1wide.png": (9, 6), "2tall.png": (6, 9), "3small.png": (2, 2), "4right.png": (4, 4)}
    for name, (width, height) in sizes.items():
        save(tmp_path / "mine" / name, noise(width, height))

    got = loaded(tmp_path)

    assert (got.name, got.images.shape) == ("folder-4", (4, 3, 4, 4))
    for pixels, (width, height) in zip(got.images, sizes.values(), strict=True):
        whole = noise(width, height)
        short = min(width, height)
        top, left = (height - short) // 2, (width - short) // 2
        square = whole[top : top + short, left : left + short].transpose(2, 0, 1)
        assert np.array_equal(pixels, images.resize(square[None], 4)[0])
    assert np.array_equal(got.images[3], noise(4, 4).transpose(2, 0, 1))


def test_an_image_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    """A photograph that is shown upright is trained on upright."""
    path = tmp_path / "mine" / "a.png"
    path.parent.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(noise(4, 4)).save(path, exif=exif)

    assert np.array_equal(loaded(tmp_path).images[0], np.rot90(noise(4, 4), -1).transpose(2, 0, 1))


def test_grey_is_repeated_or_refused(tmp_path: Path) -> None:
    """A set of drawings is what its owner means, a grey one among photographs may not be."""
    grey = noise(4, 4, channels=1)[..., 0]
    save(tmp_path / "mine" / "a.png", grey)
    save(tmp_path / "mine" / "b.png", noise(4, 4))

    assert np.array_equal(loaded(tmp_path).images[0], np.stack([grey] * 3))
    with pytest.raises(DataError, match=r"1 of 2 are grey.*: a\.png; set task\.greyscale to conv"):
        loaded(tmp_path, greyscale="refuse")


def test_what_is_transparent_is_refused_or_laid_on_a_colour(tmp_path: Path) -> None:
    """The colours of invisible pixels are anything; where all is opaque there is no question."""
    clear = noise(4, 4, channels=4)
    clear[..., 3] = 0
    save(tmp_path / "mine" / "a.png", clear)
    opaque = noise(4, 4, channels=4)
    opaque[..., 3] = 255
    save(tmp_path / "mine" / "b.png", opaque)

    with pytest.raises(DataError, match=r"1 of 2 have transparent pixels: a\.png; set task\.alpha"):
        loaded(tmp_path)
    for colour, level in (("white", 255), ("black", 0)):
        got = loaded(tmp_path, alpha=colour).images
        assert np.unique(got[0]).tolist() == [level]
        assert np.array_equal(got[1], opaque[..., :3].transpose(2, 0, 1))


def test_palettes_are_colours(tmp_path: Path) -> None:
    """A GIF is as good as any."""
    save(tmp_path / "mine" / "a.gif", Image.fromarray(noise(4, 4) // 128 * 255).quantize(8))

    assert np.array_equal(loaded(tmp_path).images[0], (noise(4, 4) // 128 * 255).transpose(2, 0, 1))


def truncate(path: Path) -> None:
    """Lose the second half of a file."""
    save(path, noise(40, 40))
    path.write_bytes(path.read_bytes()[:2000])


def deepen(path: Path) -> None:
    """Make a grey image of 16 bits."""
    save(path, noise(4, 4)[..., 0].astype(np.uint16) * 257)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (truncate, r"cannot be read as images: b\.png \(.*truncated.*\); mend or remove them"),
        (lambda path: path.write_bytes(b""), r"cannot be read as images: b\.png \(cannot identify"),
        (lambda path: path.write_text("<html>"), r"cannot be read as images: b\.png"),
        (deepen, r"have other colours: b\.png \(Pillow's mode I;16\); expected 8 bits"),
    ],
)
def test_a_file_that_is_no_image_is_named(
    damage: Callable[[Path], object], sentence: str, tmp_path: Path
) -> None:
    """One sentence with file and reason, and nothing is kept."""
    save(tmp_path / "mine" / "a.png", noise(4, 4))
    damage(tmp_path / "mine" / "b.png")

    with pytest.raises(DataError, match=f"mine: 1 of 2 {sentence}") as caught:
        loaded(tmp_path)

    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "data").iterdir() if path.is_dir()]


def test_of_many_bad_files_some_are_named_and_all_are_counted(tmp_path: Path) -> None:
    """Whoever has to mend them knows how many there are."""
    for number in range(5):
        truncate(tmp_path / "mine" / f"{number}.png")

    with pytest.raises(DataError, match=r"5 of 5 cannot.*: 0\.png .*, 2\.png .* and 2 more; mend"):
        loaded(tmp_path)


def test_names_need_not_be_utf_8(tmp_path: Path) -> None:
    """They are as old as the photographs are."""
    save(tmp_path / "mine" / os.fsdecode(b"\xe4.png"), noise(4, 4))
    assert len(loaded(tmp_path)) == 1
    truncate(tmp_path / "mine" / os.fsdecode(b"\xe4.png"))

    with pytest.raises(DataError, match="1 of 1 cannot be read") as caught:
        loaded(tmp_path)
    assert str(caught.value).isascii()


def test_a_file_that_changes_while_it_is_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its pixels would be kept as those of another content."""
    save(tmp_path / "mine" / "a.png", noise(4, 4))
    monkeypatch.setattr("pbtnas.data.folder._digest", lambda folder, file: "0" * 64)

    with pytest.raises(DataError, match=r"1 of 1 were changed while they were read: a\.png; try"):
        loaded(tmp_path)


def test_what_is_no_folder_of_images_is_one_sentence(tmp_path: Path) -> None:
    """Missing, a file, empty, a pipe: each is told before anything waits for it."""
    with pytest.raises(DataError, match="mine is not there; expected a folder of images"):
        loaded(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match=r"mine has no images: expected files that end in \.bmp"):
        loaded(tmp_path)
    os.mkfifo(tmp_path / "mine" / "a.png")
    with pytest.raises(DataError, match=r"a\.png cannot be read: it is no file"):
        loaded(tmp_path)
    with pytest.raises(
        DataError, match=rf"^mine is not there \(seen from {re.escape(str(Path.cwd()))}\); expected"
    ):
        list_images(Path("mine"))  # of a worker that was started elsewhere
    with pytest.raises(DataError, match="a.png is no folder"):
        list_images(tmp_path / "mine" / "a.png")


def test_a_machine_decodes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a file changes, or what was kept; the date of a file does not matter."""
    save(tmp_path / "mine" / "a.png", noise(4, 4))
    decoded, open_image = [], Image.open

    def opened(file: Any, formats: Any) -> Image.Image:
        decoded.append(file)
        return open_image(file, formats=formats)

    monkeypatch.setattr("pbtnas.data.decoding.Image.open", opened)

    first = loaded(tmp_path)
    os.utime(tmp_path / "mine" / "a.png", (0, 0))
    assert loaded(tmp_path).digest == first.digest
    assert len(decoded) == 1
    assert isinstance(first.images, np.memmap)
    (kept,) = (tmp_path / "data").glob("folder-*/images.npy")
    kept.write_bytes(kept.read_bytes()[:-1])
    assert loaded(tmp_path).digest == first.digest
    assert len(decoded) == 2
    save(tmp_path / "mine" / "a.png", noise(4, 4, seed=1))
    assert loaded(tmp_path).digest != first.digest
    assert len(decoded) == 3


def test_the_same_pixels_have_the_same_name_and_digest_everywhere(tmp_path: Path) -> None:
    """Where the folder lies, and how its files are packed, is nobody's business."""
    save(tmp_path / "mine" / "a.png", noise(4, 4))
    first = loaded(tmp_path)
    (tmp_path / "mine").rename(tmp_path / "away")
    save(tmp_path / "mine" / "sub" / "a.bmp", noise(4, 4))

    second = loaded(tmp_path)

    assert (second.name, second.digest) == (first.name, first.digest)
