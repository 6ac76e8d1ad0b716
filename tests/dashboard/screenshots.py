"""Takes the screenshots of docs/seeing.md: of a running search of digits, in an installed Chromium.

    python -m tests.dashboard.screenshots [RUN_DIR]

Without a directory it searches first, for some minutes; with one, it shows the run that is there.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from PIL import Image

from pbtnas.dashboard.followed_runs import FollowedRuns
from pbtnas.dashboard.server import application
from pbtnas.monitoring.run_screen import status
from tests.dashboard.browser import DESKTOP, PHONE, chromium, look_like, missing, photograph

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
SETS = ("task.images=300", "search.first_epochs=2")
COLOURS = 256  # of a file, which makes it small


def main() -> None:
    if missing():
        sys.exit(f"no screenshots: {missing()}")
    with TemporaryDirectory() as directory:
        root = Path(sys.argv[1]) if len(sys.argv) > 1 else _searched(Path(directory) / "digits")
        app = application(FollowedRuns([root]), "127.0.0.1")
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.1)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
        best = status(root, now=time.time()).best_ever
        assert best is not None, "somebody has a score"
        chosen = f"{address}#run=0&generation={best.generation}&member={best.member}"
        try:
            with chromium() as driver:
                _take(driver, chosen, IMAGES / "dashboard.png", DESKTOP, "light", 2250)
                _take(driver, chosen, IMAGES / "dashboard-phone.png", PHONE, "dark", 1500)
        finally:
            server.should_exit = True
            thread.join()


def _searched(root: Path) -> Path:
    config = ROOT / "configs" / "digits.yaml"
    command = [sys.executable, "-m", "pbtnas", "run", str(config), str(root), "--workers", "1"]
    subprocess.run([*command, *(w for s in SETS for w in ("--set", s))], check=True)
    return root


def _take(
    driver: Any, address: str, path: Path, size: tuple[int, int], scheme: str, most: int
) -> None:
    look_like(driver, size, scheme)
    driver.get("about:blank")
    driver.get(address)
    drawn = "return document.querySelectorAll('.figure .main-svg').length >= 8"
    while not driver.execute_script(drawn):
        time.sleep(0.5)
    time.sleep(2.0)  # the strips and the disk
    photograph(driver, path, width=size[0], most=most)
    image = Image.open(path).convert("RGB").quantize(COLOURS)
    image.save(path, optimize=True)


if __name__ == "__main__":
    main()
