"""Takes the screenshots of docs/seeing.md: of a running search of digits, in an installed Chromium.

    python -m tests.dashboard.screenshots

A worker of the search is killed, the run is paused, resumed and extended; the page is photographed
after each.  It takes some minutes.  `make test-browser` says what has to be installed.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from PIL import Image

from pbtnas.dashboard.followed_runs import FollowedRuns
from pbtnas.dashboard.server import application
from pbtnas.errors import PbtnasError
from pbtnas.monitoring.run_screen import Status, status
from tests.dashboard.browser import PHONE, chromium, look_like, missing, only, photograph

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "digits.yaml"
IMAGES = ROOT / "docs" / "images"
SETS = (
    "task.images=300",
    "search.population=8",
    "search.generations=12",
    "search.first_epochs=4",
    "engine.beat_s=2",
    "engine.lease_s=10",
)
WIDE, NARROW = (1100, 800), (700, 800)
COLOURS = 256  # of a file, which makes it small
MOST_BYTES = 150 << 10
PATIENCE_S = 900.0
PBTNAS = (sys.executable, "-m", "pbtnas", "--quiet")


def main() -> None:
    if missing():
        sys.exit(f"no screenshots: {missing()}")
    with TemporaryDirectory() as directory:
        root = Path(directory) / "digits"
        with _served(root) as address, _searching(root) as workers, chromium() as driver:
            _story(_Page(driver, address, root), workers)


class _Page:
    """The page of a run in a browser."""

    def __init__(self, driver: Any, address: str, root: Path) -> None:
        self.driver = driver
        self.address = address
        self.root = root

    def until(self, holds: Callable[[Status], bool]) -> Status:
        """The status of the run as soon as that holds of it, and the page shows no older one."""
        end_s = time.monotonic() + PATIENCE_S
        while True:
            assert time.monotonic() < end_s, "waited in vain"
            try:
                found = status(self.root, now=time.time())
                if holds(found):
                    return found
            except PbtnasError:
                pass  # the run is still to begin
            time.sleep(0.2)

    def shows(self, script: str) -> None:
        """Wait until a script that is run on the page returns something true."""
        end_s = time.monotonic() + PATIENCE_S
        while not self.driver.execute_script(f"return {script}"):
            assert time.monotonic() < end_s, f"waited in vain: {script}"
            time.sleep(0.2)

    def opened(self, size: tuple[int, int], scheme: str, chosen: str = "") -> None:
        look_like(self.driver, size, scheme)
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}#run=0{chosen}")
        self.shows("document.querySelector('#heat .main-svg') !== null")
        self.shows("document.querySelector('#tile-disk') !== null")

    def take(self, leaf: str, *sections: str, width: int = WIDE[0], most: int = 6000) -> None:
        """A screenshot of those sections, or of all."""
        only(self.driver, sections)
        images = "[...document.images].every((image) => image.complete)"
        self.shows(images)
        time.sleep(1.0)  # figures fit their new places
        path = IMAGES / leaf
        photograph(self.driver, path, width=width, most=most)
        image = Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        image.save(path, optimize=True)
        assert path.stat().st_size <= MOST_BYTES, f"{path} has {path.stat().st_size} bytes"
        only(self.driver, ())


def _story(page: _Page, workers: list[subprocess.Popen[bytes]]) -> None:
    page.until(lambda seen: (seen.generation or 0) >= 3 and seen.members.in_work >= 2)
    page.opened(WIDE, "light")
    page.take("seeing-running.png", "#tiles", "#population", "#workers")

    workers[-1].kill()
    gone = "[...document.querySelectorAll('#workers tr.gone')].length"
    page.shows(f"{gone} === 1")
    page.take("seeing-killed.png", "#tiles", "#workers")

    _command("pause", page.root)
    page.until(lambda seen: seen.paused and not seen.members.in_work)
    best = page.until(lambda seen: seen.best_last is not None).best_last
    assert best is not None, "a generation is complete"
    _command("pin", page.root, f"g{best.generation:04d}-m{best.member:02d}")
    _command("note", page.root, "the fan of host-7 is replaced")
    page.shows("document.querySelector('#state').textContent === 'paused'")
    page.shows("document.querySelectorAll('#controls ul li').length === 2")
    page.take("seeing-paused.png", "#trouble", "#controls", "#tiles", "#workers")

    _command("resume", page.root)
    _command("extend", page.root, "--generations", "3")
    workers.append(_begun("worker", str(page.root)))
    page.until(lambda seen: not seen.paused and seen.members.in_work >= 2)
    page.shows("document.querySelector('#tile-generations').textContent.includes('of 15')")
    page.shows("document.querySelector('#tile-workers-live').textContent.includes('2 live')")
    page.take("seeing-extended.png", "#controls", "#tiles", "#population")

    found = page.until(lambda seen: seen.finished)
    best = found.best_ever
    assert best is not None, "somebody has a score"
    chosen = f"&generation={best.generation}&member={best.member}"
    page.opened(NARROW, "dark", chosen)
    page.shows("document.querySelector('#curve .main-svg') !== null")
    page.take("seeing-member.png", "#member", width=NARROW[0])
    page.opened(WIDE, "light")
    page.driver.execute_script(
        "const slider = document.querySelector('#pictures-of'); slider.value = 4;"
        "slider.dispatchEvent(new Event('input'))"
    )
    page.take("seeing-pictures.png", "#pictures")
    page.opened(WIDE, "light")
    page.take("dashboard.png", most=2400)
    page.opened(PHONE, "dark")
    page.take("dashboard-phone.png", width=PHONE[0], most=1500)


def _command(*words: str | Path) -> None:
    subprocess.run([*PBTNAS, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def _begun(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*PBTNAS, *words], stdout=subprocess.DEVNULL)


@contextmanager
def _searching(root: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """A coordinator and two workers; the workers."""
    sets = [word for override in SETS for word in ("--set", override)]
    coordinator = _begun("coordinator", str(CONFIG), str(root), *sets)
    workers: list[subprocess.Popen[bytes]] = []
    try:
        while not (root / "run.json").exists():
            assert coordinator.poll() is None, "the coordinator has ended"
            time.sleep(0.2)
        workers += [_begun("worker", str(root)) for _ in range(2)]
        yield workers
    finally:
        for process in (coordinator, *workers):
            process.kill()
            process.wait()


@contextmanager
def _served(root: Path) -> Iterator[str]:
    """The address of the page of a run, which may be still to come."""
    app = application(FollowedRuns([root]), "127.0.0.1")
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.1)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main()
