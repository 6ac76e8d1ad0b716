"""The GAN task on images of one's own: what is said of them before a run, and on other machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pbtnas.data.images import ImageSet, Pixels
from pbtnas.errors import ExitCode
from pbtnas.metrics.extractors import Extractor
from pbtnas.metrics.statistics import TENSORFLOW_RESIZE
from pbtnas.metrics.statistics_files import MADE_BY
from pbtnas.tasks.base import TaskError
from pbtnas.tasks.checking.rehearsal import RehearsalProducts
from pbtnas.tasks.gan.options import GanOptions
from pbtnas.tasks.gan.task import GanTask
from tests.tasks.contract import architectures
from tests.tasks.test_gan import TINY, PixelsAsFeatures

OWN = replace(TINY, data="own")


def noise(count: int = 10, side: int = 16, seed: int = 0, height: int | None = None) -> Pixels:
    """Random images."""
    shape = (count, 3, height or side, side)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class PixelGan(GanTask):
    """The task with an extractor without weights."""

    def make_extractor(self, device: str) -> Extractor:
        return PixelsAsFeatures()


class Mine(PixelGan):
    """Images that a test chooses."""

    images: Any = None

    def load_images(self) -> Any:
        return self.images()


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory: no test sees or changes the user's."""
    directory = tmp_path / "data"
    monkeypatch.setenv("PBTNAS_DATA", str(directory))
    return directory


def prepared(task: GanTask, run: RehearsalProducts) -> GanTask:
    """The task, ready for jobs of that run."""
    task.prepare(run)
    return task


def mine(images: Callable[[], Any], options: GanOptions = OWN) -> Mine:
    """The task on the images that a function makes."""
    task = Mine(options)
    task.images = images
    return task


def a_folder(directory: Path, count: int = 10, seed: int = 0) -> GanOptions:
    """Options for a folder of small colour images of several sizes."""
    directory.mkdir()
    for number in range(count):
        pixels = noise(1, 10 + number, seed + number, height=20)[0].transpose(1, 2, 0)
        Image.fromarray(pixels).save(directory / f"{number}.png")
    return replace(TINY, data="folder", path=str(directory))


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (lambda: ImageSet("a", noise() / 255), r"float64 \[10, 3, 16, 16\] from 0 to 1, expected"),
        (lambda: ImageSet("a", noise(height=32)), r"uint8 \[10, 3, 32, 16\], expected"),
        (lambda: ImageSet("a", noise(side=32)), "the images of a are 32x32 pixels, expected 16x16"),
        (lambda: ImageSet("a", noise(3)), "a has 3 images, expected at least 4, for task.batch_si"),
        (lambda: ImageSet("a", noise(0)), "a has 0 images, expected at least 4"),
        (lambda: ImageSet("a", noise() // 255), "the images of a: pixels are 0 or 1, nearly black"),
        (lambda: ImageSet("my images", noise()), "an image set is called 'my images', expected"),
        (lambda: None, "load_images.. gives nothing, expected a pbtnas.data.images.ImageSet"),
        (noise, "load_images.. gives a ndarray, expected a pbtnas.data.images.ImageSet"),
    ],
)
def test_images_are_looked_at_before_a_run(
    images: Callable[[], Any], sentence: str, tmp_path: Path
) -> None:
    """One sentence with file and line, exit code 2, and nothing that stays in the run."""
    run = RehearsalProducts(tmp_path)

    for begin in (lambda: mine(images).prepare(run), lambda: mine(images).look()):
        with pytest.raises(TaskError, match=rf"^\S*test_gan_images\.py:\d+: .*{sentence}") as told:
            begin()
        assert told.value.exit_code == ExitCode.USAGE
        assert "\n" not in str(told.value)
    assert not run.products


def test_one_image_has_no_statistics(tmp_path: Path) -> None:
    """A batch of one is possible, the distance to one image is not."""
    task = mine(lambda: ImageSet("a", noise(1)), replace(OWN, batch_size=1))

    with pytest.raises(TaskError, match="a has 1 images, expected at least 2"):
        task.prepare(RehearsalProducts(tmp_path))


def test_images_that_may_not_be_written_to_are_fine(tmp_path: Path) -> None:
    """So are those that `numpy.load` maps into memory."""
    np.save(tmp_path / "images.npy", noise())
    task = mine(lambda: ImageSet("a", np.load(tmp_path / "images.npy", mmap_mode="r")))
    prepared(task, RehearsalProducts(tmp_path))

    assert task.batches("cpu").at(0, 0).shape == (4, 3, 16, 16)


def test_own_is_for_those_who_have_images(tmp_path: Path) -> None:
    """The task itself says where a folder is named."""
    with pytest.raises(TaskError, match=r"^task\.data: own is for a class with a load_images of"):
        GanTask(OWN).prepare(RehearsalProducts(tmp_path))


@pytest.mark.parametrize("space", ["gan", "gan-hard"])
@torch.no_grad()
def test_networks_can_be_larger_than_the_papers(space: Any) -> None:
    """Images of one's own may have up to 128 pixels a side, in both spaces."""
    task = GanTask(replace(OWN, side=128, space=space))
    member = task.create(architectures(task.space, 1)[0], 0)

    images = member.adversaries.judged()(torch.randn(1, 6))

    assert images.shape == (1, 3, 128, 128)
    assert member.adversaries.networks.discriminator(images).shape == (1,)


def test_a_folder_gives_images_to_train_on(tmp_path: Path) -> None:
    """What was decoded and measured is found again by the next run."""
    task, run = PixelGan(a_folder(tmp_path / "mine")), RehearsalProducts(tmp_path)

    said = task.look()
    prepared(task, run)

    assert task.batches("cpu").at(0, 0).shape == (4, 3, 16, 16)
    assert said.startswith("folder-16, 10 images of 16x16 pixels, SHA-256 ")
    assert run.products["images.sha256"].decode().strip() == said.removeprefix("folder-16, ")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").glob("**/*.np?")}
    prepared(PixelGan(task.options), RehearsalProducts(tmp_path))
    assert kept == {path: path.stat().st_mtime_ns for path in (tmp_path / "data").glob("**/*.np?")}
    assert len(kept) == 2


@pytest.mark.parametrize("measured", [None, 4], ids=["all are measured", "the first are measured"])
def test_a_machine_with_other_images_is_refused(measured: int | None, tmp_path: Path) -> None:
    """Though statistics may be those of images that both have."""
    run = RehearsalProducts(tmp_path)
    options = replace(a_folder(tmp_path / "mine"), reference_images=measured)
    prepared(PixelGan(options), run)
    products = dict(run.products)
    (tmp_path / "mine" / "9.png").unlink()

    with pytest.raises(TaskError, match=r"^task\.path: .*mine: the run was started with other ima"):
        PixelGan(options).prepare(run)

    assert run.products == products


def test_the_cause_of_a_refused_folder_can_be_mended(tmp_path: Path) -> None:
    """A file that was truncated once keeps nobody from using the same run directory."""
    run, options = RehearsalProducts(tmp_path), a_folder(tmp_path / "mine")
    whole = (tmp_path / "mine" / "3.png").read_bytes()
    (tmp_path / "mine" / "3.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TaskError, match=r"^task\.path: .*mine: 1 of 10 cannot be read .*: 3\.png"):
        PixelGan(options).prepare(run)
    (tmp_path / "mine" / "3.png").write_bytes(whole)

    assert len(prepared(PixelGan(options), run).problem.images) == 10


def test_runs_begun_before_pixels_were_published_go_on(tmp_path: Path) -> None:
    """They have statistics only, and get no product that they were not started with."""
    task = mine(lambda: ImageSet("a", noise()))
    run = RehearsalProducts(tmp_path)
    prepared(task, run)
    del run.products["images.sha256"]

    prepared(task, run)

    assert set(run.products) == {"a.pixels.npz"}


def test_what_was_measured_is_kept_by_pixels_not_by_names(tmp_path: Path) -> None:
    """Another set of the same name, or the same bytes as other images, is measured anew."""
    shapes = {"first": noise(40), "others": noise(40, seed=1)}
    bytes_of_first = noise(40).transpose(0, 2, 3, 1).tobytes()
    larger = np.frombuffer(bytes_of_first, np.uint8).reshape(10, 32, 32, 3).transpose(0, 3, 1, 2)

    found = {}
    for name, pixels in {**shapes, "larger": larger}.items():
        task = mine(lambda p=pixels: ImageSet("a", p), replace(OWN, side=pixels.shape[-1]))
        found[name] = prepared(task, RehearsalProducts(tmp_path)).problem.statistics

    assert [statistics.n for statistics in found.values()] == [40, 40, 10]
    assert not torch.equal(found["first"].mu, found["others"].mu)
    assert found["first"].data_digest == found["larger"].data_digest


def foreign_statistics(path: Path) -> None:
    """A file as other programs write it."""
    np.savez(path, mu=np.zeros(48), sigma=np.eye(48))


@pytest.fixture
def inception(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extractor without weights, under the name and with the number of features of FID's."""
    monkeypatch.setattr(PixelsAsFeatures, "name", "inception")
    monkeypatch.setattr(PixelsAsFeatures, "resize", "torch-bilinear-299")
    small = {by: replace(made, features=48) for by, made in MADE_BY.items()}
    monkeypatch.setattr("pbtnas.tasks.gan.scoring.MADE_BY", small)


@pytest.mark.usefixtures("inception")
def test_foreign_statistics_need_a_word_of_the_user(tmp_path: Path) -> None:
    """The name of the file is no such word; nor does it make an asymmetric sigma right."""
    file, run = tmp_path / "fid_stats_cifar10_train.npz", RehearsalProducts(tmp_path)
    foreign_statistics(file)
    options = replace(OWN, statistics=str(file))

    with pytest.raises(TaskError, match=r"does not say .*: set task\.statistics_by to pytorch-fid"):
        mine(lambda: ImageSet("a", noise()), options).prepare(run)
    task = mine(lambda: ImageSet("a", noise()), replace(options, statistics_by="tensorflow"))
    assert task.look().startswith("a, 10 images")
    assert prepared(task, run).problem.statistics.resize == TENSORFLOW_RESIZE
    np.savez(file, mu=np.zeros(48), sigma=np.triu(np.ones((48, 48))))
    with pytest.raises(TaskError, match=r"task\.statistics: .*train\.npz: sigma is not symmetric"):
        task.look()


@pytest.mark.usefixtures("inception")
def test_runs_whose_statistics_went_by_name_go_on(tmp_path: Path) -> None:
    """What was published before the user had to say how it was made stays what it was."""
    for name, resize in (
        ("fid_stats_cifar10_train.npz", TENSORFLOW_RESIZE),
        ("x.npz", "torch-bilinear-299"),
    ):
        foreign_statistics(tmp_path / name)
        run = RehearsalProducts(tmp_path, {name: (tmp_path / name).read_bytes()})
        task = mine(lambda: ImageSet("a", noise()), replace(OWN, statistics=str(tmp_path / name)))

        assert prepared(task, run).problem.statistics.resize == resize
