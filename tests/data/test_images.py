"""Image sets on disk and on the device."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pbtnas.data import images
from pbtnas.data.batches import ImageBatches, normalise
from pbtnas.data.batches import pixels as displayed
from pbtnas.data.images import DataError, DataMissing, DataTrouble, ImageSet, Pixels

COMMAND = "pbtnas data get toy"


def toy_pixels(count: int = 10, side: int = 4, seed: int = 0) -> Pixels:
    """Random pixels, uint8 [count, 3, side, side]."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


def numbered(count: int) -> ImageSet:
    """A set whose image i has the value i everywhere."""
    pixels = np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 3, 2, 2)
    )
    return ImageSet("numbered", pixels.copy(), None, "")


def keep(directory: Path, pixels: Pixels, labels: np.ndarray | None = None) -> None:
    """Store pixels as the set "toy"."""
    images.store(
        directory, "toy", pixels.shape, [(0, pixels)], labels=labels, about={"source": "a test"}
    )


def numbers(batch: torch.Tensor) -> list[int]:
    """Which images of `numbered` a batch holds."""
    return [round(v) for v in ((batch[:, 0, 0, 0] + 1) * 127.5).tolist()]


def test_what_is_stored_is_what_is_opened(tmp_path: Path) -> None:
    """Pixels, labels and digest survive the disk, and the pixels stay memory-mapped."""
    pixels, labels = toy_pixels(), np.arange(10, dtype=np.uint8)
    keep(tmp_path, pixels, labels)

    opened = images.open_set(tmp_path, "toy", pixels.shape, COMMAND)

    assert isinstance(opened.images, np.memmap)
    assert np.array_equal(opened.images, pixels)
    assert opened.labels is not None and np.array_equal(opened.labels, labels)
    assert opened.digest == images.pixel_digest(pixels)
    assert len(opened) == 10


def test_digest_is_of_the_pixels_row_by_row() -> None:
    """The digest is of [N, H, W, 3] bytes, as CIFAR-10 is quoted, whatever the order in memory."""
    pixels = toy_pixels(count=1500)  # more than one chunk

    rows = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))

    assert images.pixel_digest(pixels) == hashlib.sha256(rows.tobytes()).hexdigest()


def test_a_missing_set_is_one_sentence_with_the_command(tmp_path: Path) -> None:
    """Who has no data is told what to type."""
    with pytest.raises(DataMissing, match="has no toy: get it with `pbtnas data get toy`$"):
        images.open_set(tmp_path, "toy", (10, 3, 4, 4), COMMAND)


@pytest.mark.parametrize("name", ["images.npy", "about.json"])
def test_a_truncated_file_is_one_sentence_with_the_command(tmp_path: Path, name: str) -> None:
    """A damaged set is neither used nor a traceback of numpy or json."""
    keep(tmp_path, toy_pixels())
    file = tmp_path / "toy" / name
    file.write_bytes(file.read_bytes()[:-30])

    with pytest.raises(
        DataError, match="toy is damaged .*: get it again with `pbtnas data get toy`$"
    ):
        images.open_set(tmp_path, "toy", (10, 3, 4, 4), COMMAND)


def test_a_set_that_cannot_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told to fetch gigabytes again because of a permission."""
    (tmp_path / "toy").mkdir()

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(DataError, match=r"toy cannot be read: .*Permission denied"):
        images.open_set(tmp_path, "toy", (1, 3, 4, 4), COMMAND)


def test_a_changed_pixel_is_found(tmp_path: Path) -> None:
    """Two machines with other bits would train other networks: the digest is checked at opening."""
    keep(tmp_path, toy_pixels())
    file = tmp_path / "toy" / "images.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)

    with pytest.raises(DataError, match=r"images.npy was changed .*: get it again with `pbtnas"):
        images.open_set(tmp_path, "toy", (10, 3, 4, 4), COMMAND)


def test_a_set_of_the_wrong_size_says_both_sizes(tmp_path: Path) -> None:
    """Data of another size is refused with what was found and what was expected."""
    keep(tmp_path, toy_pixels(side=4))

    with pytest.raises(DataError, match=r"\[10, 3, 4, 4\], expected uint8 \[10, 3, 8, 8\]"):
        images.open_set(tmp_path, "toy", (10, 3, 8, 8), COMMAND)


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    """Storing a set that is there already neither changes it nor leaves anything behind."""
    first = toy_pixels(seed=1)
    keep(tmp_path, first)
    keep(tmp_path, toy_pixels(seed=2))

    opened = images.open_set(tmp_path, "toy", first.shape, COMMAND)

    assert np.array_equal(opened.images, first)
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


def test_a_writer_overtaken_while_it_writes_adopts_what_is_there(tmp_path: Path) -> None:
    """Two processes that make the same set at once both end with the first one's."""
    first = toy_pixels(seed=1)

    def overtaken() -> Iterator[tuple[int, Pixels]]:
        keep(tmp_path, first)
        yield 0, toy_pixels(seed=2)

    images.store(tmp_path, "toy", first.shape, overtaken(), about={})

    opened = images.open_set(tmp_path, "toy", first.shape, COMMAND)
    assert np.array_equal(opened.images, first)
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


def test_chunks_may_come_in_any_order(tmp_path: Path) -> None:
    """An archive decides the order of its files; the set does not."""
    pixels = toy_pixels()

    images.store(tmp_path, "toy", pixels.shape, [(6, pixels[6:]), (0, pixels[:6])], about={})

    assert np.array_equal(images.open_set(tmp_path, "toy", pixels.shape, COMMAND).images, pixels)


def test_a_failed_writer_leaves_nothing(tmp_path: Path) -> None:
    """A full disk in the middle is one sentence, and no half set is ever seen."""

    def fail() -> Iterator[tuple[int, Pixels]]:
        yield 0, toy_pixels(count=1)
        raise OSError(28, "No space left on device")

    with pytest.raises(DataTrouble, match="toy could not be written: .*No space left"):
        images.store(tmp_path, "toy", (2, 3, 4, 4), fail(), about={})

    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path) -> None:
    """The free space is compared with the need, and both are told."""
    with pytest.raises(DataError, match=r"needs 1,000,000,000,000 MB free but has [\d,]+ MB"):
        images.require_space(tmp_path, 10**18)


def test_a_set_is_discarded_once(tmp_path: Path) -> None:
    """Discarding removes a set whole, and a set that is not there is none to remove."""
    keep(tmp_path, toy_pixels())

    images.discard(tmp_path, "toy")
    images.discard(tmp_path, "toy")

    assert list(tmp_path.iterdir()) == []


def test_data_directory_is_the_variable_or_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PBTNAS_DATA decides; without it data goes to the user's cache, wherever that is."""
    monkeypatch.setenv("PBTNAS_DATA", str(tmp_path))
    assert images.data_directory() == tmp_path
    monkeypatch.delenv("PBTNAS_DATA")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert images.data_directory() == platformdirs.user_cache_path("pbtnas")
    if sys.platform == "linux":
        assert images.data_directory() == Path.home() / ".cache" / "pbtnas"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        assert images.data_directory() == tmp_path / "cache" / "pbtnas"


def test_data_sets_of_earlier_versions_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Version 0.1.0 kept them in ~/.cache/pbtnas wherever the user's cache was."""
    monkeypatch.delenv("PBTNAS_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    earlier = tmp_path / "home" / ".cache" / "pbtnas"
    earlier.mkdir(parents=True)

    assert images.data_directory() == earlier


def test_resize_is_pillows() -> None:
    """Images are resized as torchvision resizes PIL images, channel order intact."""
    pixels = toy_pixels(count=3, side=8)

    resized = images.resize(pixels, 4)

    picture = Image.fromarray(np.ascontiguousarray(pixels[2].transpose(1, 2, 0)))
    expected = np.asarray(picture.resize((4, 4), Image.Resampling.BILINEAR))
    assert resized.shape == (3, 3, 4, 4)
    assert np.array_equal(resized[2], expected.transpose(2, 0, 1))


def test_resize_of_flat_images_is_flat() -> None:
    """A closed form: an image of one colour keeps it."""
    assert np.array_equal(np.unique(images.resize(numbered(7).images, 1)), np.arange(7))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.data(), st.integers(0, 2**63 - 1))
def test_an_epoch_shows_every_image_once(count: int, data: st.DataObject, seed: int) -> None:
    """Batches of an epoch are a permutation."""
    size = data.draw(st.integers(1, count))
    batches = ImageBatches(numbered(count), size, "cpu")

    seen = [numbers(batches.at(seed, step)) for step in range(len(batches))]

    flat = [i for batch in seen for i in batch]
    assert len(flat) == len(set(flat)) == count
    assert all(len(batch) == size for batch in seen[:-1])


def test_the_papers_epoch_has_1250_batches() -> None:
    """50,000 images in batches of 40 are 1,250 steps; 105,000 in 128 are 821, the last of 40."""
    cifar = ImageSet("cifar", np.zeros((50_000, 3, 1, 1), np.uint8), None, "")
    stl = ImageSet("stl", np.zeros((105_000, 3, 1, 1), np.uint8), None, "")

    assert len(ImageBatches(cifar, 40, "cpu")) == 1250
    batches = ImageBatches(stl, 128, "cpu")
    assert len(batches) == 821
    assert len(batches.at(0, 820)) == 40


def test_a_batch_depends_on_seed_and_step_only() -> None:
    """Training can go on at any step: what was asked before does not matter."""
    walked, jumped = ImageBatches(numbered(20), 6, "cpu"), ImageBatches(numbered(20), 6, "cpu")
    for step in range(9):
        walked.at(5, step)
        walked.at(6, step)  # another member's training in between

    assert torch.equal(walked.at(5, 9), jumped.at(5, 9))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    """Neither the next epoch nor another seed repeats an order."""
    batches = ImageBatches(numbered(50), 50, "cpu")

    orders = [tuple(numbers(batches.at(seed, step))) for seed in (1, 2) for step in (0, 1)]

    assert len(set(orders)) == 4


def test_the_order_leaves_the_global_rng_alone() -> None:
    """Data order takes nothing from the RNG that noise is drawn from."""
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    ImageBatches(numbered(5), 2, "cpu").at(0, 0)

    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("size", [0, 6])
def test_a_batch_size_no_epoch_can_have_is_refused(size: int) -> None:
    """A batch is between one image and all of them."""
    with pytest.raises(ValueError, match=f"batch: {size} is not between 1 and the 5 images"):
        ImageBatches(numbered(5), size, "cpu")


def test_pixels_undo_normalise() -> None:
    """Every pixel value goes to [-1, 1] and back to itself."""
    values = torch.arange(256, dtype=torch.uint8)

    normalised = normalise(values)

    assert normalised.dtype == torch.float32
    assert (float(normalised.min()), float(normalised.max())) == (-1.0, 1.0)
    torch.testing.assert_close(displayed(normalised), values.float(), rtol=0, atol=1e-4)


def test_pixels_are_clamped_and_not_rounded() -> None:
    """Generated values outside the range become black or white, those inside stay fractional."""
    made = displayed(torch.tensor([-1.5, 0.001, 1.5]))

    torch.testing.assert_close(made, torch.tensor([0.0, 127.6275, 255.0]))
