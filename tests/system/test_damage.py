"""Torn, truncated and altered files: noticed, put aside, made again, and never used."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pbtnas.records import paths
from tests.system.site import Site, close_site, make_site
from tests.unreadable import SORTS, plant

NOW = 2  # the generation in which everything stopped


@pytest.fixture(scope="session")
def halted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A run stopped in generation 2: one result, one snapshot in the middle of a job."""
    site = make_site(tmp_path_factory.mktemp("halted"))
    run = site.run(1, PBTNAS_TEST_STEP_S="0.02")
    site.until(lambda: site.has(paths.manifest(NOW)), "generation 2 to begin")
    results = site.run_dir / paths.results(NOW)
    site.until(lambda: list(results.iterdir()), "a result")
    run.send(signal.SIGTERM)
    assert run.ends() == 75, run.said()
    assert _snapshot(site) and not site.has(paths.selection(NOW))
    yield site
    close_site(site)


@pytest.fixture
def copy(halted: Site, tmp_path: Path) -> Iterator[Site]:
    """A copy of it to damage."""
    site = make_site(tmp_path / "site")
    shutil.copytree(halted.run_dir, site.run_dir)
    yield site
    close_site(site)


def _snapshot(site: Site) -> Path:
    (found,) = (site.run_dir / paths.attempts(NOW)).glob("*/snapshot-*.safetensors")
    return found


def _result(site: Site) -> Path:
    return min((site.run_dir / paths.results(NOW)).glob("m*.json"))


def _manifest(site: Site) -> Path:
    return site.run_dir / paths.manifest(NOW)


def _input(site: Site, *, overlay: bool) -> Path:
    """A file that a job without a result begins with: a child's overlay, or its base."""
    births = site.selected(NOW - 1).births
    birth = next(b for b in births if not site.has(paths.result(NOW, b.member)))
    inputs = site.manifest(NOW).job(birth.member).inputs
    return site.run_dir / paths.checkpoint(NOW - 1, inputs[0 if overlay else 1])


def _overlay(site: Site) -> Path:
    return _input(site, overlay=True)


def _base(site: Site) -> Path:
    return _input(site, overlay=False)


def _flip(path: Path) -> None:
    """Change one bit in the last third, where the tensors of a checkpoint are."""
    data = bytearray(path.read_bytes())
    data[-len(data) // 3] ^= 1
    path.write_bytes(data)


def _pipe(path: Path) -> None:
    """Put a named pipe in its place, which is opened only when somebody writes to it."""
    path.unlink()
    os.mkfifo(path)


def _hole(path: Path) -> None:
    """Make it larger than any memory."""
    os.truncate(path, 1 << 42)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _ends_well(site: Site) -> str:
    run = site.run(1)
    assert run.ends() == 0, run.said()
    return run.said()


def test_everything_damaged_at_once_is_noticed_and_made_again(
    copy: Site, reference: dict[str, Any]
) -> None:
    """A result, the newest manifest, an overlay, its base and a snapshot, each damaged in its
    own way, or no file at all: the run ends as if they were whole."""
    named = [_overlay(copy), _base(copy), _snapshot(copy), _result(copy), _manifest(copy)]
    for path, damage in zip(named, (_flip, _hole, _pipe, _cut, _flip), strict=True):
        damage(path)

    said = _ends_well(copy)

    for path in named:
        if path != named[2]:
            assert list(path.parent.glob(f"{path.name}.corrupt-*")), f"{path.name} put aside"
            assert path.stem in said
    assert copy.outcome() == reference


@pytest.mark.slow
@pytest.mark.parametrize("damage", [_flip, _cut, _empty])
@pytest.mark.parametrize("which", [_result, _manifest, _overlay, _base, _snapshot])
def test_one_damaged_file_is_noticed_and_made_again(
    copy: Site,
    reference: dict[str, Any],
    which: Callable[[Site], Path],
    damage: Callable[[Path], None],
) -> None:
    """Whatever the file and the damage, it is never used and the run ends the same."""
    path = which(copy)
    damage(path)

    _ends_well(copy)

    assert copy.outcome() == reference


@pytest.mark.slow
@pytest.mark.parametrize("sort", SORTS)
def test_what_is_no_file_is_put_aside(copy: Site, reference: dict[str, Any], sort: str) -> None:
    """Pipes, sockets, links and holes in the place of records stop no process."""
    for path in (_result(copy), _manifest(copy), copy.run_dir / paths.HEAD):
        plant(path, sort)

    _ends_well(copy)

    assert copy.outcome() == reference


@pytest.mark.slow
@pytest.mark.parametrize("which", [_result, _manifest, _overlay, _base, _snapshot])
def test_one_deleted_file_is_made_again(
    copy: Site, reference: dict[str, Any], which: Callable[[Site], Path]
) -> None:
    """A file that somebody has removed is computed again to the same bits."""
    which(copy).unlink()

    _ends_well(copy)

    assert copy.outcome() == reference
