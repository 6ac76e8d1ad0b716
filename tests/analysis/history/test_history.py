"""Reading a run directory: everything is found, and what is damaged is named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.analysis.history.run import History, metrics_lines
from pbtnas.protocol import generations
from pbtnas.records import paths
from pbtnas.records.envelope import ForeignRecord, Record, decode, digest, encode
from pbtnas.records.schema import Manifest, Selected
from pbtnas.search import SearchSpace, ladder
from pbtnas.search.exploring import Exploration
from pbtnas.store.run_directory import NotARun, NotYetARun
from tests.analysis.made_runs import RUN, TRACEBACK, claim, outcome_of, search, story, write

SEARCH = search()
STORY = story(SEARCH)
CONTENT = dict(STORY)
RECORDS = sorted(name for name in CONTENT if name != paths.FORMAT)


def _dispensable(name: str) -> bool:
    """Claims only save work; a run without its end looks like one that is about to end."""
    return "/claims/" in name or name.startswith(paths.TERM) or name == paths.FINAL


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests that change it restore it."""
    root = tmp_path_factory.mktemp("run")
    write(root, STORY)
    return root


@pytest.fixture(scope="module")
def history(finished_run: Path) -> History:
    """The finished run, read."""
    return History.read(finished_run)


def _manifest(number: int) -> Manifest:
    name = paths.manifest(number)
    return Manifest.from_json(decode(CONTENT[name], name, kind="manifest").core)


def _selected(number: int) -> Selected:
    name = paths.selection(number)
    return Selected.from_json(decode(CONTENT[name], name, kind="selection").core)


def test_a_finished_run_is_read_as_it_was_written(history: History) -> None:
    """Jobs, results, rankings, births and the end come out as the pure functions made them."""
    assert not history.problems
    assert (history.run, history.about["seed"]) == (RUN, 7)
    assert history.config["search"]["generations"] == SEARCH.generations == len(history.generations)
    for generation in history.generations:
        manifest, selected = _manifest(generation.number), _selected(generation.number)
        assert tuple(generation.jobs.values()) == manifest.jobs
        assert {m: r.result for m, r in generation.results.items()} == {
            job.member: outcome_of(job) for job in manifest.jobs
        }
        assert generation.ranking == selected.ranking
        assert tuple(born.birth for born in generation.births.values()) == selected.births
        assert all(born.child is not None for born in generation.births.values())
        assert generation.best is not None
        assert generation.best.member == selected.ranking[0]
    assert history.final is not None
    assert history.final.fingerprint == generations.fingerprint(_selected(SEARCH.generations - 1))


def test_the_chain_of_selections_leads_to_the_fingerprint(history: History) -> None:
    """The digest of the last selection is what the fingerprint is made of."""
    assert history.final is not None
    assert history.final.fingerprint == digest(["pbtnas", history.generations[-1].selection])


def test_attempts_tell_how_they_ended(history: History) -> None:
    """A hand-back, failures and the attempt that brought the result are told apart."""
    attempts = history.generations[1].attempts

    assert [a.ended for a in attempts[0]] == ["released", "result"]
    assert [a.ended for a in attempts[1]] == ["result"]
    assert [a.ended for a in attempts[2]] == ["error", "error", "oom", "result"]
    assert attempts[2][0].end is not None
    assert attempts[2][0].end["text"] == TRACEBACK
    assert attempts[1][0].holder["worker"] == "host-1-w"


def test_a_claim_that_was_taken_over_is_superseded(tmp_path: Path) -> None:
    """Only the newest claim without end and result is open."""
    slot = paths.job_slot(0, 0)
    write(tmp_path, [*STORY[:5], claim(slot, 1, "gone"), claim(slot, 2, "here")])

    attempts = History.read(tmp_path).generations[0].attempts[0]

    assert [(a.holder["worker"], a.ended) for a in attempts] == [
        ("gone", "superseded"),
        ("here", "open"),
    ]


def test_the_best_so_far_never_falls(history: History) -> None:
    """Best-so-far rises to the run's best ever, with the earliest of equals."""
    best = [b for b in history.best_so_far() if b is not None]

    assert len(best) == SEARCH.generations
    assert [b.score for b in best] == sorted(b.score for b in best)
    assert history.final is not None and history.final.best_ever is not None
    assert (best[-1].generation, best[-1].member) == (
        history.final.best_ever.generation,
        history.final.best_ever.member,
    )


def test_metrics_lines_tell_a_member_generation_by_generation(history: History) -> None:
    """One JSON line a result, with the parents where the member was born."""
    lines = [json.loads(line) for line in metrics_lines(history, 2)]

    assert [line["generation"] for line in lines] == list(range(SEARCH.generations))
    assert [line["epochs"] for line in lines] == [4, 2, 2, 2]
    assert (lines[1]["outcome"], lines[1]["score"], lines[1]["attempt"]) == ("failed", None, None)
    assert (lines[0]["outcome"], lines[0]["metrics"]) == ("ok", {"loss": 0.5})
    assert (lines[0]["worker"], lines[0]["train_s"]) == ("host-0-w", 2.5)
    # It failed in generation 1, so a child has its slot in generation 2.
    birth = next(birth for birth in _selected(1).births if birth.member == 2)
    assert (lines[2]["base"], lines[2]["donor"]) == (birth.base, birth.donor)
    assert lines[2]["inherited"] == list(birth.inherited)
    assert lines[2]["architecture"] == list(birth.architecture)
    assert "base" not in lines[0]


def test_a_run_with_ladders_tells_which_have_moved(tmp_path: Path) -> None:
    """Births are read back with their moves, and the metrics of a child name them."""
    space = SearchSpace([ladder("rate", 0.01, 1, 9)])
    write(tmp_path, story(replace(SEARCH, space=space, exploration=Exploration("step", 2))))
    history = History.read(tmp_path)
    explored = {slot: born.birth.explored for slot, born in history.generations[0].births.items()}

    assert history.problems == () and (0,) in explored.values()
    for slot, moved in explored.items():
        lines = [json.loads(line) for line in metrics_lines(history, slot)]
        assert [line.get("explored", []) for line in lines[:2]] == [[], list(moved)]


def test_a_run_is_read_at_every_moment_of_its_life(tmp_path: Path) -> None:
    """After each single write the directory reads without a problem: nothing is missing yet."""
    for written in STORY:
        write(tmp_path, [written])
        assert History.read(tmp_path).problems == ()


@pytest.mark.parametrize("head", [None, b"0\n", b"1\n", b"2\n", b"3\n", b"999\n", b"two\n"])
def test_a_run_has_as_many_generations_whatever_its_hint_says(
    tmp_path: Path, history: History, head: bytes | None
) -> None:
    """HEAD spares a listing; it may be lost, late, ahead or garbage, and a manifest lost too."""
    write(tmp_path, [(name, data) for name, data in STORY if name != paths.FINAL])
    if head is not None:
        (tmp_path / paths.HEAD).write_bytes(head)
    number = len(history.generations)
    assert number == 4

    assert len(History.read(tmp_path).generations) == number

    (tmp_path / paths.manifest(2)).unlink()
    assert len(History.read(tmp_path).generations) == number


def test_records_published_as_directories_are_read(tmp_path: Path, history: History) -> None:
    """A file system without hard links gives the same history."""
    write(tmp_path, STORY, primitive="directory")

    found = History.read(tmp_path)

    assert (found.generations, found.final) == (history.generations, history.final)


@pytest.mark.parametrize("name", RECORDS)
def test_a_cut_off_record_is_named_and_the_rest_is_read(finished_run: Path, name: str) -> None:
    """A torn or empty record is the one and only problem, and costs nothing but itself."""
    for data in (CONTENT[name][:-20], b""):
        with _changed(finished_run / name, data):
            history = History.read(finished_run)
            _still_tells(history, name)
            assert len(history.problems) == 1
            assert history.problems[0].startswith(f"{name}: ")


@pytest.mark.parametrize("name", [name for name in RECORDS if not _dispensable(name)])
def test_a_missing_record_is_named_and_the_rest_is_read(finished_run: Path, name: str) -> None:
    """What must be there because later records rest on it is missed; claims are not."""
    with _changed(finished_run / name, None):
        history = History.read(finished_run)
        _still_tells(history, name)
        assert len(history.problems) == 1
        assert history.problems[0].startswith(f"{name}: missing")


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_a_flipped_bit_anywhere_is_noticed(finished_run: Path, data: st.DataObject) -> None:
    """No bit of a record can change without its file being named."""
    name = data.draw(st.sampled_from(RECORDS))
    content = bytearray(CONTENT[name])
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    with _changed(finished_run / name, bytes(content)):
        problems = History.read(finished_run).problems

    assert [problem.partition(":")[0] for problem in problems] == [name]


def test_an_unreadable_record_is_a_problem(finished_run: Path) -> None:
    """A record that the disk does not give is named with the reason, and the rest is read."""
    name = paths.result(0, 1)
    path = finished_run / name
    path.unlink()
    path.mkdir()  # as a directory it should hold a record
    try:
        problems = History.read(finished_run).problems
    finally:
        path.rmdir()
        path.write_bytes(CONTENT[name])

    assert problems == (f"{name}: cannot be read (a directory without a record)",)


def test_directories_that_are_no_runs_are_refused(tmp_path: Path) -> None:
    """Missing, empty, foreign and not a directory at all: each gets its own sentence."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").touch()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / paths.FORMAT).write_bytes(b"something else\n")

    with pytest.raises(NotYetARun, match="there is no such directory"):
        History.read(tmp_path / "missing")
    with pytest.raises(NotYetARun, match="no run has been started here yet"):
        History.read(tmp_path / "empty")
    with pytest.raises(NotARun, match="has no file FORMAT"):
        History.read(tmp_path / "foreign")
    with pytest.raises(NotARun, match="not a run directory"):
        History.read(tmp_path / "foreign" / "thesis.tex")
    with pytest.raises(NotARun, match="says 'something else'"):
        History.read(tmp_path / "odd")


def test_newer_and_foreign_records_are_refused(tmp_path: Path) -> None:
    """A newer format and a record of another run end the reading with one clear error."""
    write(tmp_path, STORY)
    stranger = Record("config", "another run", {}, {}, "")
    write(tmp_path, [(paths.CONFIG, encode(stranger))])
    with pytest.raises(ForeignRecord, match="belongs to run another run"):
        History.read(tmp_path)

    (tmp_path / paths.FORMAT).write_bytes(b"pbtnas/2\n")
    with pytest.raises(ForeignRecord, match="says 'pbtnas/2'; this pbtnas reads 'pbtnas/1'"):
        History.read(tmp_path)


def test_reading_needs_neither_torch_nor_numpy() -> None:
    """A status screen starts in a fraction of a second because nothing heavy is imported."""
    code = (
        "import sys, pbtnas.monitoring.run_screen\n"
        "sys.exit({'torch', 'numpy'} & set(sys.modules) or None)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (ended.returncode, ended.stderr) == (0, "")


@contextmanager
def _changed(path: Path, data: bytes | None) -> Iterator[None]:
    """Another content of a file, or none, for a while."""
    before = path.read_bytes()
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def _still_tells(history: History, name: str) -> None:
    """Whatever single record is gone, all generations are there and every member has lines."""
    last = SEARCH.generations - 1
    assert len(history.generations) == SEARCH.generations
    assert history.best_so_far()[-1] is not None
    for member in history.generations[last].results:
        assert all(json.loads(line) for line in metrics_lines(history, member))
