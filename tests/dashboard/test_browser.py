"""The page in a browser: the numbers of the command line, wide and narrow, light and dark."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image

from pbtnas.dashboard.followed_runs import FollowedRuns
from pbtnas.dashboard.server import application
from pbtnas.records import paths
from pbtnas.store.posix import PosixStore
from pbtnas.store.previews import keep_preview
from tests.analysis.made_runs import LADDERS, record, search, story, study, write
from tests.dashboard.browser import DESKTOP, PHONE, chromium, look_like, missing

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:selenium"),
]
CONFIG = Path(__file__).parents[2] / "configs" / "digits.yaml"
SMALL = ("task.images=200", "search.population=4", "search.generations=6", "search.first_epochs=1")
PATIENCE_S = 400.0


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with chromium() as made:
        yield made


@pytest.fixture
def serve(driver: Any) -> Iterator[Callable[..., str]]:
    """Serves directories while a test lasts; gives the address."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def begin(*directories: Path) -> str:
        app = application(FollowedRuns(directories), "127.0.0.1")
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run)
        thread.start()
        servers.append((server, thread))
        until(lambda: server.started, "the server starts")
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"

    yield begin
    # A page that is still open would complain, in the log of the next test, that nobody answers.
    driver.get("about:blank")
    driver.get_log("browser")
    for server, thread in servers:
        server.should_exit = True
        thread.join()


def until(true: Callable[[], Any], what: str) -> Any:
    """What `true` returns as soon as that is true."""
    end_s = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < end_s, f"waited in vain: {what}"
        time.sleep(0.2)
    return found


def words(driver: Any, selector: str) -> list[str]:
    """The texts of all elements that a selector finds."""
    script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
    return list(driver.execute_script(script, selector))


def figures(driver: Any) -> int:
    return len(words(driver, ".figure .main-svg"))


def shown(driver: Any) -> dict[str, list[str]]:
    """The words of every tile, by its id."""
    ids = driver.execute_script(
        "return [...document.querySelectorAll('#tiles > div')].map(e=>e.id)"
    )
    return {tile.removeprefix("tile-"): words(driver, f"#{tile} dd") for tile in ids}


def expected(told: Any) -> dict[str, str]:
    """What the tiles have to say of a status as `pbtnas status --json` prints it."""
    members, best = told["members"], told["best_ever"]
    complete = (told["generation"] or 0) + (told["state"] == "finished")
    return {
        "generations": f"{complete} of {told['generations']}",
        "members": f"{members['done']} of {sum(members.values())} done",
        "best-ever": "none yet" if best is None else f"{best['score']:.6g}",
        "workers-live": f"{sum(worker['live'] for worker in told['workers'])} live",
        "failed": str(sum(told["failures"].values())),
    }


def status_of(root: Path) -> Any:
    command = [sys.executable, "-m", "pbtnas", "status", "--json", str(root)]
    return json.loads(subprocess.check_output(command))


def without_overflow(driver: Any) -> bool:
    script = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    return bool(driver.execute_script(script))


def errors(driver: Any) -> list[str]:
    """What the browser complained of, but for plotly's attributes, which the policy refuses."""
    logged = [entry["message"] for entry in driver.get_log("browser")]
    return [m for m in logged if not ("plotly.js" in m and "inline style" in m)]


def test_the_page_follows_a_running_search(
    driver: Any, serve: Callable[..., str], tmp_path: Path
) -> None:
    """While digits are searched, the page says what `pbtnas status --json` says; a member opens."""
    root = tmp_path / "digits"
    sets = [word for override in SMALL for word in ("--set", override)]
    command = [sys.executable, "-m", "pbtnas", "--quiet", "run", str(CONFIG), str(root)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*command, "--workers", "1", *sets], env=environment) as searching:
        look_like(driver, DESKTOP, "light")
        driver.get(serve(root))
        until(lambda: words(driver, "#trouble li"), "the page says that there is no run yet")
        seen: set[str] = set()

        def agrees() -> bool:
            if not (root / paths.CONFIG).exists() or not words(driver, "#tile-generations dd"):
                return False
            before = expected(status_of(root))
            tiles = shown(driver)
            same = before == {name: tiles[name][0] for name in before}
            if same:
                seen.add(before["generations"])
            return same and before == expected(status_of(root))

        until(agrees, "the page and the command line say the same of the running search")
        until(lambda: figures(driver) >= 3, "figures are drawn")
        assert searching.wait() == 0
    until(lambda: words(driver, "#state") == ["finished"], "the page sees the end")
    until(agrees, "the numbers of the end are the same")
    assert words(driver, "#tile-fingerprint dd") == [status_of(root)["fingerprint"]]
    assert len(seen) > 1

    # A click on the last cell of the first row.
    driver.execute_script(
        "const e = document.getElementById('heat');e.emit('plotly_click', {points: [{x: 5, y: 0}]})"
    )
    until(lambda: words(driver, "#member h2"), "the member opens")
    assert words(driver, "#member h2")[0].startswith("m00 in generation 5")
    assert words(driver, "#ancestors button") and words(driver, "#architecture tbody tr")
    assert words(driver, "#log")[0].startswith('{"step"')
    assert len(words(driver, "#line-of-pictures button")) == 6  # one of each generation
    assert errors(driver) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_is_readable_on_every_screen(
    driver: Any, serve: Callable[..., str], tmp_path: Path, size: tuple[int, int], scheme: str
) -> None:
    """Nothing is wider than the screen, figures fill it, and texts stand out from their paper."""
    write(tmp_path / "run", story(search(space=LADDERS)))
    look_like(driver, size, scheme)
    driver.get(f"{serve(tmp_path / 'run')}#run=0&generation=1&member=2")
    until(lambda: figures(driver) >= 5 and words(driver, "#traceback"), "all is drawn")

    assert without_overflow(driver)
    colours = driver.execute_script(
        "const s = getComputedStyle(document.querySelector('#tiles div'));"
        "return [s.color, s.backgroundColor].map(c => Number(c.match(/\\d+/)[0]))"
    )
    assert (colours[0] > 150 > 100 > colours[1]) == (scheme == "dark")
    widths = driver.execute_script(
        "return [...document.querySelectorAll('.figure')].filter(e => e.offsetWidth)"
        ".map(e => [e.querySelector('.main-svg').getBoundingClientRect().width, e.offsetWidth])"
    )
    assert all(abs(drawn - room) < 2 for drawn, room in widths)
    assert errors(driver) == []


def test_names_and_texts_of_the_directory_are_only_text(
    driver: Any, serve: Callable[..., str], tmp_path: Path
) -> None:
    """What reads like HTML in a name, an option or a traceback is shown as it reads."""
    evil = "<img src=x onerror=\"document.title='taken'\">"
    root = tmp_path / "<b>bold<b>"
    made = story(search(space=LADDERS))
    write(root, made)
    slot = paths.result(1, 2)
    core = {"member": 2, "outcome": "failed", "score": None, "metrics": {}, "checkpoint": None}
    meta = {"worker": evil, "class": evil, "traceback": f"ValueError: {evil}"}
    write(root, [record(slot, "result", core, meta)])
    look_like(driver, DESKTOP, "light")
    driver.get(f"{serve(root)}#run=0&generation=1&member=2")
    until(lambda: words(driver, "#traceback"), "the member is shown")

    assert words(driver, "#title") == ["<b>bold<b>"]
    assert words(driver, "#traceback") == [f"ValueError: {evil}"]
    assert words(driver, "img") == [] and driver.title.startswith("<b>bold<b>")
    assert errors(driver) == []


def picture(generation: int, member: int) -> bytes:
    made = io.BytesIO()
    Image.new("L", (10 + generation, 10 + member)).save(made, "PNG")
    return made.getvalue()


def sizes(driver: Any) -> list[list[int]]:
    """Widths and heights of the pictures of the grid, as the browser has loaded them."""
    script = (
        "return [...document.querySelectorAll('#picture-grid img')]"
        ".map((image) => [image.naturalWidth, image.naturalHeight])"
    )
    return list(driver.execute_script(script))


def test_a_slider_leads_through_the_pictures_of_all_generations(
    driver: Any, serve: Callable[..., str], tmp_path: Path
) -> None:
    """It begins with the newest; a film shows one generation after the other; a click on a picture
    opens its member, with the pictures of its ancestors."""
    made = story(search(space=LADDERS))
    write(tmp_path / "run", made)
    for generation in range(4):
        for member in range(generation, 6):
            data = picture(generation, member)
            with PosixStore(tmp_path / "run", "w") as store:
                keep_preview(store, generation, member, data)
    look_like(driver, PHONE, "light")
    driver.get(serve(tmp_path / "run"))
    until(lambda: sizes(driver) == [[13, 10 + m] for m in (3, 4, 5)], "the newest are shown")
    assert words(driver, "#pictures-at") == ["3, the newest is 3"]

    driver.execute_script(
        "const slider = document.getElementById('pictures-of'); slider.value = 1;"
        "slider.dispatchEvent(new Event('input'))"
    )
    until(lambda: sizes(driver) == [[11, 10 + m] for m in range(1, 6)], "the slider moves")
    driver.execute_script("document.getElementById('play').click()")
    until(lambda: sizes(driver) == [[13, 10 + m] for m in (3, 4, 5)], "the film ends")
    until(lambda: words(driver, "#play") == ["play"], "and stops there")

    driver.execute_script("document.querySelector('#picture-grid button').click()")
    until(lambda: words(driver, "#line-of-pictures button"), "the member opens")
    assert words(driver, "#member h2")[0].startswith("m03 in generation 3")
    assert without_overflow(driver)
    assert errors(driver) == []


def test_the_page_says_what_operators_asked(
    driver: Any, serve: Callable[..., str], tmp_path: Path
) -> None:
    """Who has paused the run, where it will end, and what is pinned; all of it is text."""
    evil = "<b>now</b>"
    root = tmp_path / "run"
    write(root, story(search(space=LADDERS))[:-1])
    asked: list[dict[str, Any]] = [
        {"action": "extend", "generations": 3},
        {"action": "pin", "generation": 1, "member": 4, "checkpoint": "c0ffee"},
        {"action": "note", "text": evil},
        {"action": "pause"},
    ]
    for number, core in enumerate(asked, start=1):
        meta = {"by": "host-1-o", "at": "2033-05-18"}
        write(root, [record(paths.control(number), "control", core, meta)])
    look_like(driver, DESKTOP, "light")
    driver.get(f"{serve(root)}#run=0&generation=1&member=4")
    until(lambda: words(driver, "#member dd"), "all is drawn")

    assert words(driver, "#state") == ["paused"]
    assert words(driver, "#trouble li")[0].startswith("paused by host-1-o at 2033-05-18")
    by = "by host-1-o at 2033-05-18"
    assert words(driver, "#controls ul li") == [
        f"extend by 3 generations, to 7 {by}",
        f"pin generation 1 m04 {by}",
        f"note: {evil} {by}",
    ]
    assert len(words(driver, "#controls ol li")) == 4
    assert "pinned" in words(driver, "#member dd")
    stars = "return document.getElementById('heat').data.filter(t => t.marker?.symbol === 'star')"
    (star,) = driver.execute_script(f"{stars}.map(t => [[...t.x], [...t.y]])")
    assert star == [[1], [4]]
    assert errors(driver) == []


def test_runs_of_a_study_are_chosen_from_a_table(
    driver: Any, serve: Callable[..., str], tmp_path: Path
) -> None:
    """A study shows its runs and their mean curves; a click shows another run."""
    look_like(driver, DESKTOP, "light")
    driver.get(serve(study(tmp_path / "s")))
    until(lambda: len(words(driver, "#runs tbody tr")) == 6, "the runs are listed")
    until(lambda: words(driver, "#comparison .legendtext"), "the comparison is drawn")
    assert words(driver, "#comparison .legendtext") == [
        "pbt-nas (3 seeds)",
        "random-search (3 seeds)",
    ]

    driver.execute_script("document.querySelectorAll('#runs button')[3].click()")
    until(lambda: words(driver, "#title") == ["random-search-s2"], "the other run is shown")
    assert errors(driver) == []
