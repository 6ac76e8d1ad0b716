"""A directory without space or permission: everybody waits, says so, and goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbtnas.records import paths
from tests.system.site import Site, close_site, make_site


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    disk = tmp_path / "site" / "disk"
    disk.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "pbtnas-test", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave not a byte of space."""
    filler = disk / ".filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            while True:
                try:
                    file.write(b"x" * size)
                except OSError:
                    break
    return filler


def test_a_full_disk_is_waited_out(
    tmp_path: Path, small_disk: Path, reference: dict[str, Any]
) -> None:
    """Full before the run begins, and full again in the middle of it with a coordinator that is
    restarted meanwhile: nobody gives up, and the outcome is the usual one."""
    site = make_site(tmp_path / "site", small_disk / "run")
    fill(small_disk)
    first = site.coordinator()
    first.until_it_says("waiting: .*No space left on device")
    (small_disk / ".filler").unlink()
    worker = site.worker(PBTNAS_TEST_STEP_S="0.02")
    site.until(lambda: site.has(paths.manifest(1)), "generation 1 to begin")
    fill(small_disk)
    worker.until_it_says("waiting: .*No space left on device")
    first.kill()
    second = site.coordinator()
    second.until_it_says(r"generation \d of 4; \d of 6 members done|waiting: .*No space left")
    (small_disk / ".filler").unlink()

    assert (second.ends(), worker.ends()) == (0, 0), second.said() + worker.said()
    assert "writing works again" in worker.said()
    assert site.outcome() == reference
    close_site(site)


@pytest.mark.slow
def test_a_directory_without_permission_is_refused_or_waited_out(
    site: Site, reference: dict[str, Any]
) -> None:
    """Not writable from the start: exit 2 and a sentence.  Lost in the middle: wait and say so."""
    prefix: list[str] = []
    if os.geteuid() == 0:  # root may write anywhere, unless it gives that up
        if shutil.which("setpriv") is None:
            pytest.skip("root cannot give up its right to write without setpriv")
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    site.run_dir.mkdir()
    site.run_dir.chmod(0o555)
    refused = site.coordinator(prefix=prefix)
    code = refused.ends()
    site.run_dir.chmod(0o755)
    coordinator = site.coordinator(prefix=prefix)
    worker = site.worker(prefix=prefix, PBTNAS_TEST_STEP_S="0.02")
    site.until(lambda: site.has(paths.manifest(1)), "generation 1 to begin")
    kept = [site.run_dir / paths.results(1), site.run_dir / paths.checkpoints(1)]
    for directory in kept:
        directory.chmod(0o555)
    worker.until_it_says("waiting: .*Permission denied")
    for directory in kept:
        directory.chmod(0o755)

    assert code == 2
    assert f"pbtnas: {site.run_dir}" in refused.said() and "Permission denied" in refused.said()
    assert "Traceback" not in refused.said()
    assert (coordinator.ends(), worker.ends()) == (0, 0), coordinator.said() + worker.said()
    assert site.outcome() == reference
