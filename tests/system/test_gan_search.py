"""A search of GANs on a folder of images by the engine itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbtnas.errors import ExitCode
from pbtnas.records import paths
from tests.system.site import Running, Site, close_site, make_site

CONFIG = """
task:
  name: gan
  data: folder
  path: {path}
  side: 16
  width: 4
  latent: 6
  discriminator_width: 4
  batch_size: 20
  generator_batch_size: 20
  extractor: fd-lite0
  images: 100
  final_images: 100
search:
  population: 3
  generations: 2
  epochs: 1
"""
LONG_S = 1500  # on a busy machine; half a minute on an idle one


def images(directory: Path, count: int) -> Path:
    """A folder of small images of several sizes."""
    directory.mkdir()
    chance = np.random.default_rng(0)
    for number in range(count):
        pixels = chance.integers(0, 256, (12 + number % 9, 14 + number % 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(directory / f"{number:03}.png")
    return directory


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A directory for a run on sixty images."""
    made = make_site(tmp_path)
    made.config.write_text(CONFIG.format(path=images(tmp_path / "images", 60)))
    yield made
    close_site(made)


def begin(site: Site, *command: str, data: str = "data") -> Running:
    """Start a command with a data directory of its own, as on a machine of its own."""
    scratch = ("--scratch", str(site.directory / "scratch"))
    return site.start(*command, *scratch, PBTNAS_DATA=str(site.directory / data))


@pytest.mark.slow
def test_a_folder_of_images_is_searched_on_by_machines_that_have_the_same(site: Site) -> None:
    """One that lacks an image is refused with exit code 2 before it claims a job."""
    pytest.importorskip("efficientnet_lite_pytorch")
    coordinator = begin(site, "coordinator", str(site.config), str(site.run_dir))
    site.until(lambda: site.has(paths.manifest(0)), "the first generation", LONG_S)
    missing = next((site.directory / "images").iterdir())
    kept = missing.rename(site.directory / "kept.png")

    stranger = begin(site, "worker", str(site.run_dir), "--device", "cpu", data="other")

    assert stranger.process.wait(LONG_S) == ExitCode.USAGE
    assert "images: the run was started with other images: 60 images of 16x16" in stranger.said()
    assert not any(site.claims(0, member) for member in range(3))
    kept.rename(missing)
    worker = begin(site, "worker", str(site.run_dir), "--device", "cpu", data="third")
    site.until(lambda: site.has(paths.FINAL), "the end of the search", LONG_S)
    assert coordinator.ends() == worker.ends() == ExitCode.OK
    assert site.litter() == []
