"""What the page shows of a run: the numbers of the other commands, and only what is new."""

from __future__ import annotations

import json
import math
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pbtnas.analysis.compare.observations import curve, evolution
from pbtnas.analysis.history.outline import outline
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.evolution import (
    best_scores,
    mean_entropy,
    option_shares,
    origin_shares,
    tree_order,
)
from pbtnas.analysis.plots.mean_curves import mean_curve
from pbtnas.dashboard.followed_run import FollowedRun
from pbtnas.dashboard.json_text import to_text
from pbtnas.dashboard.member import member_data
from pbtnas.engine.views import write_views
from pbtnas.monitoring.run_screen import render, status, to_json
from pbtnas.records import paths
from pbtnas.records.envelope import ForeignRecord
from pbtnas.records.names import Name
from pbtnas.store.posix import PosixStore
from pbtnas.store.previews import PreviewRoom, keep_preview
from pbtnas.store.reader import RunReader
from tests.analysis import made_runs
from tests.analysis.made_runs import (
    LADDERS,
    TRACEBACK,
    Story,
    beat,
    claim,
    record,
    search,
    story,
    study,
    write,
)
from tests.dashboard.asking import NOW, Asking, page_of

STORY = story(search(space=LADDERS))
PICTURE = b"GIF8" + bytes(96)
ASKED: tuple[dict[str, Any], ...] = (
    {"action": "pause"},
    {"action": "resume"},
    {"action": "stop", "after_generation": 2},
    {"action": "extend", "generations": 5},
    {"action": "stop", "after_generation": 6},
    {"action": "stop", "after_generation": 5},
    {"action": "pin", "generation": 1, "member": 4, "checkpoint": "c0ffee"},
    {"action": "note", "text": "mind the fan"},
    {"action": "drain", "worker": "host-7-w"},
    {"action": "drain", "worker": "host-8-w"},
    {"action": "pause"},
)


def until(name: str) -> Story:
    """The story up to and with the write of that name."""
    return STORY[: [n for n, _ in STORY].index(name) + 1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run in its generation 2, with members 0 and 1 done and 2 in work."""
    root = tmp_path / "run"
    write(root, until(paths.result(2, 1)))
    write(root, [claim(paths.job_slot(2, 2), 1, "host-7-w")])
    beat(root, paths.beat(paths.job_slot(2, 2), 1), NOW - 2, phase="training", done=40)
    beat(root, paths.worker("host-7-w"), NOW - 2, phase="training g0002 m02", done=40)
    return root


@pytest.fixture
def page(root: Path) -> Asking:
    return page_of(root)


def columns(answer: Any) -> list[int]:
    return [column["generation"] for column in answer["columns"]]


def test_the_numbers_are_those_of_status(page: Asking, root: Path) -> None:
    """The page and `pbtnas status --json` tell the same of the same moment."""
    told = page.look("/data/run/0")["status"]

    assert told == json.loads(json.dumps(to_json(status(root, now=NOW))))
    assert told["members"] == {"done": 2, "in_work": 1, "put_back": 0, "pending": 3}


def test_the_population_is_that_of_the_records(page: Asking, root: Path) -> None:
    """Scores, states and parents of every member; those in work and waiting too."""
    history = History.read(root)
    told = page.look("/data/run/0")["columns"]

    assert [column["generation"] for column in told] == [0, 1, 2]
    assert told[1]["states"][2:4] == ["failed", "diverged"]
    assert told[2]["states"] == ["ok", "ok", "in work", "waiting", "waiting", "waiting"]
    for column in told:
        generation = history.generations[column["generation"]]
        scores = [
            generation.results[m].result.score if m in generation.results else None
            for m in column["members"]
        ]
        born = [history.birth(generation.number, m) for m in column["members"]]
        assert column["scores"] == scores
        assert column["bases"] == [None if b is None else b.birth.base for b in born]
        assert column["donors"] == [None if b is None else b.birth.donor for b in born]


def test_figures_have_the_numbers_of_plot(tmp_path: Path) -> None:
    """Tree, options, diversity and best scores are those that `pbtnas plot` draws."""
    write(tmp_path, STORY)
    seen = evolution(History.read(tmp_path), tuple(LADDERS))
    told = page_of(tmp_path).look("/data/run/0")["columns"]

    assert [column["order"] for column in told] == tree_order(seen)
    assert [column["best"] for column in told] == list(best_scores(seen))
    assert [column["work"] for column in told] == list(curve(History.read(tmp_path)).epochs)
    assert [column["entropy"] for column in told] == pytest.approx(mean_entropy(seen), abs=1e-4)
    for variable, shares in enumerate(option_shares(seen)):
        drawn = [column["options"][variable] for column in told]
        assert drawn == [pytest.approx(row, abs=1e-4) for row in shares]


@pytest.mark.parametrize("writes", range(3, len(STORY), 7))
def test_an_outline_draws_what_the_whole_history_does(tmp_path: Path, writes: int) -> None:
    """Two records of a generation are enough for all that is drawn, at every moment of a run."""
    write(tmp_path, STORY[:writes])
    whole, short = History.read(tmp_path), outline(tmp_path)

    assert [g.ranking for g in short.generations] == [g.ranking for g in whole.generations]
    results = [
        [{m: r.result for m, r in g.results.items()} for g in h.generations] for h in (whole, short)
    ]
    assert results[0] == results[1]
    if whole.generations and whole.generations[0].ranking:
        assert evolution(short, tuple(LADDERS)) == evolution(whole, tuple(LADDERS))
    # What an earlier look has found is taken over, and makes no difference.
    again = outline(tmp_path, short)
    assert again.generations == short.generations
    assert all(
        a is b for a, b in zip(again.generations, short.generations, strict=True) if b.ranking
    )


def test_only_what_is_new_is_sent_and_read(
    page: Asking, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that knows a look gets what changed since; old generations are not read again."""
    first = page.look("/data/run/0")
    known = f"/data/run/0?run={first['run']}&since={first['look']}"
    assert columns(page.look(known)) == []

    write(root, until(paths.manifest(3)))
    (root / "metrics").mkdir()
    with PosixStore(root, "views", primitive="link") as store:
        write_views(store)  # as a coordinator has done by then
    read: list[str] = []
    get = RunReader.get

    def noted(self: RunReader, name: Name, **how: bool) -> bytes | None:
        read.append(name)
        return get(self, name, **how)

    monkeypatch.setattr(RunReader, "get", noted)
    answer = page.look(known)

    assert columns(answer) == [2, 3]
    assert answer["count"] == 4 and "variables" not in answer
    assert [name for name in read if name.startswith(paths.generation(0))] == []
    assert columns(page.look("/data/run/0?run=another&since=9")) == [0, 1, 2, 3]


def test_pictures_are_named_as_they_come_and_go(page: Asking, root: Path) -> None:
    """Which members of which generation have one; later looks tell what is new and what is gone."""
    for generation, member in ((0, 1), (0, 4), (1, 0)):
        with PosixStore(root, "w") as store:
            keep_preview(store, generation, member, PICTURE)
    first = page.look("/data/run/0")
    assert first["pictures"] == {"0": [1, 4], "1": [0]}

    write(root, until(paths.manifest(3)))
    with PosixStore(root, "w") as store:
        keep_preview(store, 3, 5, PICTURE)
    with PosixStore(root, "w") as store:
        PreviewRoom(store).trim(3 * len(PICTURE))
    known = f"/data/run/0?run={first['run']}&since={first['look']}"
    second = page.look(known)
    assert second["pictures"] == {"0": [4], "3": [5]}
    known = f"/data/run/0?run={first['run']}&since={second['look']}"
    assert page.look(known)["pictures"] == {}


def test_what_operators_asked_is_on_the_page(page: Asking, root: Path) -> None:
    """What holds is told apart from what does not any more, each with who asked for it."""
    meta = {"by": "host-1-o", "at": "2033-05-18T03:33:20+00:00"}
    for number, core in enumerate(ASKED, start=1):
        write(root, [record(paths.control(number), "control", core, meta)])
    told = page.look("/data/run/0")["status"]

    assert [(c["text"], c["holds"]) for c in told["controls"]] == [
        ("pause", False),
        ("resume", False),
        ("stop after generation 2", False),
        ("extend by 5 generations, to 8", True),
        ("stop after generation 6", False),
        ("stop after generation 5", True),
        ("pin generation 1 m04", True),
        ("note: mind the fan", False),
        ("drain host-7-w", True),
        ("drain host-8-w", False),
        ("pause", True),
    ]
    assert {c["by"] for c in told["controls"]} == {"by host-1-o at 2033-05-18T03:33:20+00:00"}
    assert told["pinned"] == [{"generation": 1, "member": 4}]
    assert told["paused"] and told["generations"] == 6
    text = render(status(root, now=NOW))
    assert "asked       extend by 5 generations, to 8; stop after generation 5" in text
    assert "pinned g0001-m04" in text and "paused by host-1-o at 2033" in text


def test_a_page_outlives_the_server(root: Path) -> None:
    """A page that knows looks of a server that was ended gets everything from the next one."""
    old, new = FollowedRun(root, lambda: NOW), FollowedRun(root, lambda: NOW + 60)
    for _ in range(9):
        old.look(now=True)
    new.look()
    known = json.loads(old.data("", 0))

    assert columns(json.loads(new.data(known["run"], known["look"]))) == [0, 1, 2]


def test_looks_are_rationed(page: Asking, root: Path) -> None:
    """However many pages are open, the directory is not read more often than once a second."""
    page.look("/data/run/0")
    write(root, until(paths.manifest(3)))

    assert page.get("/data/run/0").json["count"] == 3


def test_a_run_may_be_still_to_come(tmp_path: Path) -> None:
    """The page says what it waits for, and shows the run as soon as it begins."""
    page = page_of(tmp_path / "later")
    assert "there is no such directory" in page.look("/data/run/0")["sentence"]

    write(tmp_path / "later", STORY[:3])
    assert page.look("/data/run/0")["sentence"] == ""
    assert page.look("/data/run/0")["status"]["task"] == "tiny"


def test_a_run_that_is_made_anew_is_another_one(
    page: Asking, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the old run is left on the page when its directory is emptied and used again."""
    first = page.look("/data/run/0")
    shutil.rmtree(root)
    gone = page.look("/data/run/0")
    assert gone["sentence"] and gone["count"] == first["count"], "what was there is shown still"

    monkeypatch.setattr(made_runs, "RUN", "fedcba9876543210")
    write(root, story(search(seed=8))[:5])
    answer = page.look(f"/data/run/0?run={first['run']}&since={first['look']}")
    assert (answer["run"], answer["status"]["seed"]) == ("fedcba9876543210", 8)
    assert answer["count"] == len(answer["columns"]) == 1


def bad_files() -> list[str]:
    """The files of a generation that is over and of one of its members, and of the whole run."""
    names = [name for name, _ in STORY[:-1] if name != paths.FORMAT]
    others = (*map(paths.generation, (0, 2, 3)),)
    names = [name for name in names if not name.startswith(others)]
    return [n for n in names if paths.member_number(n.rpartition("/")[2]) in (None, 2)]


@pytest.mark.parametrize("how", ["torn", "a directory", "another kind"])
def test_no_bad_file_kills_the_page(tmp_path: Path, how: str) -> None:
    """Whatever record is bad, the page says which, and shows what the other records tell."""
    write(tmp_path, STORY[:-1])
    contents = dict(STORY)
    for name in bad_files():
        bad, content = tmp_path / name, contents[name]
        bad.unlink()
        if how == "a directory":
            bad.mkdir()
        else:
            other = record(name, "unheard-of", {})[1]
            bad.write_bytes(content[: len(content) // 2] if how == "torn" else other)
        run = FollowedRun(tmp_path, lambda: NOW)
        run.look()
        answer = json.loads(run.data("", 0))
        told = [answer["sentence"], *(answer.get("status") or {"problems": []})["problems"]]
        if not any(name in text for text in told):
            # Of generations that are over, what a selection has a copy of is read on request.
            directory, _, leaf = name.rpartition("/")
            later, member = 1 + directory.endswith("/births"), paths.member_number(leaf)
            assert run.history is not None and member is not None, (name, told)
            with suppress(ForeignRecord):  # the server answers with its sentence
                found = member_data(run.history, run.evolution, later, member)
                assert found is not None and name in "".join(found["problems"]), name
        if how != "another kind":
            assert answer["count"] == 4, name
        if how == "a directory":
            bad.rmdir()
        bad.write_bytes(content)


def test_a_member_with_a_foreign_record_is_told_so(page: Asking, root: Path) -> None:
    """The sentence names the file in place of the member; the page goes on."""
    name = paths.result(1, 4)
    (root / name).write_bytes(record(name, "unheard-of", {})[1])
    page.look("/data/run/0")

    assert name in page.look("/data/run/0/1/4")["sentence"]
    assert page.look("/data/run/0")["count"] == 3


def test_numbers_that_json_lacks_become_null() -> None:
    """A browser's parser stops at NaN; the page shows that there is no number."""
    assert to_text({"a": [math.nan, math.inf, 1.5], "b": (1, None, True)}) == (
        '{"a":[null,null,1.5],"b":[1,null,true]}'
    )


def test_a_member_is_shown_with_all_that_is_known(page: Asking, root: Path) -> None:
    """Its result, its traceback, its attempts, its log and where it comes from."""
    log = root / paths.attempt_log(1, 2, 1)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(f'{{"step": {i}}}\n' for i in range(300)))
    page.look("/data/run/0")
    failed = page.get("/data/run/0/1/2").json

    assert failed["outcome"] == "failed" and failed["traceback"] == TRACEBACK
    assert failed["log"]["lines"][-1] == '{"step": 299}'
    assert (failed["log"]["before"], len(failed["log"]["lines"])) == (100, 200)
    history = History.read(root)
    child = next(iter(history.generations[0].births))
    found = page.get(f"/data/run/0/1/{child}").json
    birth = history.generations[0].births[child].birth
    assert (found["born"], found["base"], found["donor"]) == (1, birth.base, birth.donor)
    given = ["donor" if i in birth.inherited else "base" for i in range(len(LADDERS))]
    for i in birth.explored:
        given[i] = "moved"
    assert [row["origin"] for row in found["architecture"]] == given
    roots = [[0, birth.donor if i in birth.inherited else birth.base] for i in range(len(LADDERS))]
    assert found["roots"] == roots
    options = [variable.options[o] for variable, o in zip(LADDERS, birth.architecture, strict=True)]
    assert [row["option"] for row in found["architecture"]] == [str(option) for option in options]
    assert [(a["generation"], a["member"]) for a in found["ancestors"]] == [
        (0, birth.base),
        (1, child),
    ]


def test_origins_of_layers_are_those_of_plot(tmp_path: Path) -> None:
    """Counting where the layers of all members began gives the shares of the figure `origins`."""
    write(tmp_path, STORY)
    page = page_of(tmp_path)
    page.look("/data/run/0")
    shares = origin_shares(evolution(History.read(tmp_path), tuple(LADDERS)))
    for generation in range(4):
        found = [page.get(f"/data/run/0/{generation}/{m}").json for m in range(6)]
        roots = [
            root[1]
            for each in found
            for row, root in zip(each["architecture"], each["roots"], strict=True)
            if row["layer"]
        ]
        counted = [roots.count(start) / len(roots) for start in range(6)]
        assert [*counted, 0.0] == pytest.approx(list(shares[generation]))


def test_pictures_of_a_final_evaluation_are_named(tmp_path: Path) -> None:
    """A member that was evaluated shows its numbers and its pictures."""
    write(tmp_path, STORY)
    best = History.read(tmp_path).final
    assert best is not None and best.best_ever is not None
    top = best.best_ever
    leaf = paths.artifact_of(top.checkpoint, "grid.png")
    core = {"score": 2.5, "metrics": {"fid": 3.5}, "artifacts": ["grid.png"]}
    write(tmp_path, [record(paths.evaluation(top.checkpoint), "evaluation", core), (leaf, b"png")])
    page = page_of(tmp_path)
    page.look("/data/run/0")
    found = page.get(f"/data/run/0/{top.generation}/{top.member}").json

    assert found["evaluation"] == {"score": 2.5, "fid": 3.5}
    assert found["pictures"] == [leaf.rpartition("/")[2]]
    assert page.get(f"/data/run/0/picture/{found['pictures'][0]}").body == b"png"


def test_workers_are_shown_with_their_attempts(page: Asking, root: Path) -> None:
    """Attempts and failures of the newest generations are counted for each worker."""
    rows = {row["name"]: row for row in page.look("/data/run/0")["workers"]}
    assert rows["host-7-w"]["attempts"] == 1 and rows["host-7-w"]["live"]

    end = {"class": "error", "counted": True, "text": TRACEBACK, "worker": "host-7-w"}
    write(root, [record(paths.end(paths.job_slot(2, 2), 1), "end", end)])
    rows = {row["name"]: row for row in page.look("/data/run/0")["workers"]}
    assert rows["host-7-w"]["failures"] == 1


def test_the_disk_is_measured(page: Asking, root: Path) -> None:
    """Bytes used by the run and bytes free."""
    told = page.get("/data/run/0/disk").json
    (root / "artifacts").mkdir(exist_ok=True)
    (root / "artifacts" / "film.mp4").write_bytes(b"x" * 3_000_000)

    assert page.get("/data/run/0/disk").json["used"] - told["used"] >= 3_000_000
    assert told["free"] > 0
    shutil.rmtree(root)
    assert "No such file" in page.get("/data/run/0/disk").json["sentence"]


def test_runs_of_a_study_stand_side_by_side(tmp_path: Path) -> None:
    """A mean curve for each name, over seeds, as `pbtnas plot` draws it; a bad run is named."""
    study(tmp_path / "s", unbegun=["pbt-nas-s3"])
    told = page_of(tmp_path / "s").look("/data/runs")

    assert [run["label"] for run in told["runs"]][:2] == ["pbt-nas-s1", "random-search-s1"]
    assert told["studies"][0]["status"]["waiting"] == ["pbt-nas-s3"]
    [figure] = told["comparison"]["figures"]
    seeds = {drawn["name"]: drawn["seeds"] for drawn in figure["curves"]}
    assert seeds == {"pbt-nas": 2, "random-search": 3}
    curves = [
        curve(History.read(tmp_path / "s" / "runs" / f"random-search-s{s}")) for s in (1, 2, 3)
    ]
    mean = mean_curve(curves)
    drawn = next(d for d in figure["curves"] if d["name"] == "random-search")
    assert drawn["mean"] == pytest.approx(list(mean.mean)) and mean.std is not None
    assert drawn["std"] == pytest.approx(list(mean.std))

    foreign = tmp_path / "s" / "runs" / "pbt-nas-s1" / paths.RUN
    foreign.write_bytes(record(paths.RUN, "unheard-of", {})[1])
    told = page_of(tmp_path / "s").look("/data/runs")
    assert paths.RUN in told["runs"][0]["sentence"]
    [figure] = told["comparison"]["figures"]
    assert {d["name"]: d["seeds"] for d in figure["curves"]} == {"pbt-nas": 1, "random-search": 3}


def test_runs_named_one_by_one_stand_side_by_side(tmp_path: Path) -> None:
    """Two directories are compared as a study's are; one still to come takes no part."""
    for seed in (1, 2):
        write(tmp_path / f"r{seed}", story(search(seed=seed)))
    page = page_of(tmp_path / "r1", tmp_path / "r2", tmp_path / "r3")
    told = page.look("/data/runs")

    assert [run["state"] for run in told["runs"]] == ["finished", "finished", None]
    [figure] = told["comparison"]["figures"]
    assert [(d["name"], d["seeds"]) for d in figure["curves"]] == [("pbt-nas", 2)]


def test_a_run_that_cannot_be_compared_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    """Its configuration is intact and lacks what runs are compared by."""
    for seed in (1, 2):
        write(tmp_path / f"r{seed}", story(search(seed=seed)))
    path = tmp_path / "r1" / paths.CONFIG
    core = dict(json.loads(path.read_bytes())["core"])
    path.write_bytes(record(paths.CONFIG, "config", {"run": core["run"]})[1])
    told = page_of(tmp_path / "r1", tmp_path / "r2").look("/data/runs")

    assert [run["state"] for run in told["runs"]] == ["finished", "finished"]
    sentence = f"{tmp_path / 'r1'}: its configuration has no task.name, so it cannot be compared"
    assert told["comparison"]["sentence"].startswith(sentence)
