"""The server of the page: what it serves, to whom, and what a browser may do with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pbtnas.dashboard.hosts import is_loopback, is_own, own_names
from pbtnas.dashboard.server import FILES
from pbtnas.records import paths
from pbtnas.store.posix import PosixStore
from pbtnas.store.previews import keep_preview
from tests.analysis.made_runs import search, story, write
from tests.dashboard.asking import Asking, page_of

PLACE = Path(__file__).parents[2] / "pbtnas" / "dashboard" / "files"


@pytest.fixture
def page(tmp_path: Path) -> Asking:
    """The page of a finished run."""
    write(tmp_path / "run", story(search()))
    return page_of(tmp_path / "run")


def test_whatever_the_page_loads_is_served_from_here(page: Asking) -> None:
    """It works without a network: its scripts and styles are files of installed packages."""
    document = page.get("/").body.decode()
    wanted = re.findall(r'(?:src|href)="([^"]+)"', document)
    for leaf in PLACE.glob("*.js"):
        wanted += [f.removeprefix("./") for f in re.findall(r'from "([^"]+)"', leaf.read_text())]
    local = [name for name in wanted if not name.startswith("data:")]

    assert "plotly.js" in local
    assert {name: page.get(f"/{name}", method="HEAD").status for name in local} == dict.fromkeys(
        local, 200
    )
    assert [f.name for f in PLACE.iterdir() if re.search(r"https?://|//cdn", f.read_text())] == []
    assert {f.name for f in PLACE.iterdir()} == {leaf for leaf, _ in FILES.values()}


@pytest.mark.parametrize("target", ["/", "/page.js", "/data/runs", "/data/run/0", "/nothing"])
def test_the_browser_is_told_to_execute_nothing_else(page: Asking, target: str) -> None:
    """A strict policy comes with every answer, and no answer is taken for something it is not."""
    headers = page.get(target).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy and "*" not in policy and "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_page_has_no_script_or_style_in_it() -> None:
    """What the policy forbids is not there: neither in the document nor put into it as HTML."""
    document = (PLACE / "page.html").read_text()
    scripts = "".join(file.read_text() for file in PLACE.glob("*.js"))

    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", document)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", scripts)


@pytest.mark.parametrize("target", ["/", "/data/runs", "/data/run/0", "/plotly.js"])
def test_a_foreign_name_is_refused(page: Asking, target: str) -> None:
    """A page of somebody else that leads its own name to this machine reads nothing."""
    for host in ("evil.example", "evil.example:8585", "192.168.1.5:8585", "localhost.evil.example"):
        assert page.get(target, host=host, method="HEAD").status == 421, host
    for host in ("localhost", "localhost:9", "127.0.0.1:8585", "[::1]:8585", "LOCALHOST:80"):
        assert page.get(target, host=host, method="HEAD").status == 200, host


def test_a_server_that_others_reach_has_names_of_its_own() -> None:
    """By its address or the name it was given it may be asked, by any other name it may not."""
    names = own_names("node7.example")

    assert not is_loopback("node7.example") and not is_loopback("0.0.0.0")
    assert is_own("node7.example:8585", "node7.example", names)
    assert is_own("192.168.1.5:8585", "0.0.0.0", own_names("0.0.0.0"))
    assert is_own("[2001:db8::7]:8585", "::", own_names("::"))
    assert not is_own("evil.example:8585", "0.0.0.0", own_names("0.0.0.0"))
    assert not is_own("", "127.0.0.1", own_names("127.0.0.1"))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(page: Asking, method: str) -> None:
    """The page only reads."""
    targets = ("/", "/data/runs", "/data/run/0", "/data/run/0/1/2", "/data/run/0/disk")
    assert {page.get(target, method=method).status for target in targets} == {405}


def test_only_pictures_of_a_run_are_served(page: Asking, tmp_path: Path) -> None:
    """Nothing that a browser would execute, and no file beside the artifacts."""
    artifacts = tmp_path / "run" / paths.ARTIFACTS
    artifacts.mkdir(exist_ok=True)
    for leaf in ("grid.png", "report.html", "drawing.svg", "weights.safetensors"):
        (artifacts / leaf).write_bytes(b"content")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (artifacts / "link.png").symlink_to(tmp_path / "secret.png")

    found = page.get("/data/run/0/picture/grid.png")
    assert (found.status, found.headers["content-type"], found.body) == (
        200,
        "image/png",
        b"content",
    )
    refused = ("report.html", "drawing.svg", "weights.safetensors", "link.png", "none.png")
    refused += ("..%2f..%2fsecret.png", "../../secret.png", "..", "run.json")
    for leaf in refused:
        assert page.get(f"/data/run/0/picture/{leaf}").status == 404, leaf


def test_a_preview_is_served_as_the_picture_that_it_is(page: Asking, tmp_path: Path) -> None:
    """By its first bytes, whatever its name says; what is no picture is not shown."""
    run = tmp_path / "run"
    with PosixStore(run, "w") as store:
        keep_preview(store, 1, 2, b"GIF89a content")
    found = page.get("/data/run/0/1/2/preview")
    assert (found.status, found.headers["content-type"], found.body) == (
        200,
        "image/gif",
        b"GIF89a content",
    )

    directory = run / paths.previews(1)
    (directory / "m03.png").write_bytes(b"<script>alert(1)</script>")
    (directory / "m04.png").symlink_to(directory / "m02.gif")
    (directory / "m05.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2 << 20))
    (directory / "m00.png").mkdir()
    for member in (0, 1, 3, 4, 5):
        assert page.get(f"/data/run/0/1/{member}/preview").status == 404, member


def test_what_is_not_there_is_told(page: Asking) -> None:
    """Runs, members and generations that do not exist are not found, and break nothing."""
    page.look("/data/run/0")
    for target in (
        "/data/run/1",
        "/data/run/0/99/0",
        "/data/run/0/0/99",
        "/data/run/x",
        "/nothing",
    ):
        assert page.get(target).status == 404, target
    assert page.get("/data/run/0?run=x&since=nonsense").status == 200
