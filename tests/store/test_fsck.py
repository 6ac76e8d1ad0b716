"""`pbtnas fsck` of whole directories; `test_damage_matrix` does it file by file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pbtnas.cli import cli
from pbtnas.protocol.operations import Discard
from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode, digest, encode
from pbtnas.records.kinds import ASIDE, PRIVATE, RUN_KINDS, STUDY_KINDS
from pbtnas.store.fsck import check, check_study, repair
from pbtnas.store.posix import PosixStore
from tests.store.damage_matrix import RUN, in_run, make_study, plan_study, subjects
from tests.store.simulated_run import SimulatedRun, fingerprint, leave_snapshot


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that is over, made once."""
    return make_study(tmp_path_factory.mktemp("made") / "study")


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(made, tmp_path / "study"))


@pytest.fixture
def run(study: Path) -> Path:
    return study / RUN


def _best_ever(run: Path) -> Path:
    core = decode((run / paths.FINAL).read_bytes(), paths.FINAL, kind="final").core
    best = core["best_ever"]
    assert 0 < best["generation"] < core["generations"] - 3, "an old one, with garbage for inputs"
    return run / paths.checkpoint(best["generation"], best["checkpoint"])


def test_every_file_of_a_run_and_of_a_study_is_of_a_known_kind(study: Path, run: Path) -> None:
    """After a search with failures, soups, evaluations, garbage and a repair there is no file
    that the list of kinds does not have."""
    _best_ever(run).write_bytes(b"damaged")
    repair(run, check(run))
    assert SimulatedRun(run).carry_on() == "the run is finished"
    (run / paths.results(1) / ".tmp-host-1-w-x-7").touch()
    leave_snapshot(run / paths.attempt(3, 1, 1))

    names = [str(path.relative_to(study)) for path in study.rglob("*") if path.is_file()]
    of_study = {name for name in names if name == in_run(name)}
    of_run = {in_run(name) for name in names} - of_study
    found = {RUN_KINDS.of(name) for name in of_run} | {STUDY_KINDS.of(n) for n in of_study}

    assert None not in found
    assert not [fault for fault in check_study(study) if "unknown" in fault.what]
    assert {*RUN_KINDS, *STUDY_KINDS} - found == {
        kind for kind in (*RUN_KINDS, *STUDY_KINDS) if kind.name in NOT_MADE_HERE
    }


NOT_MADE_HERE = {
    "generations/0012/extension.json",
    "final.0001.json",
    "generations/0012/previews/...",
    "log/...",
    "launch/0001.json",
    "launch/...",
    "generations/0012/claims/m07.001.beat",
    "generations/0012/claims/m07-repair.001.beat",
    "artifacts/DIGEST.subnets.json",
    "claims/ITEM.001.beat",
    "claims/ITEM.001.end.json",
    "study.lock",
    "runs/...",
}
"""What only an extended run has, what a simulated run has no time for or no subnets, and what
stands for the runs of a study."""


def test_nothing_is_wrong_with_an_unfinished_run(tmp_path: Path) -> None:
    """What is still to come is not missing, and a dead coordinator's run goes on as it would."""
    begun = SimulatedRun(tmp_path / "begun", limit_s=3.0)
    assert begun.carry_on() == "waits for ever"

    assert check(begun.root) == []
    assert SimulatedRun(begun.root).carry_on() == "the run is finished"
    assert SimulatedRun(tmp_path / "whole").carry_on() == "the run is finished"
    assert fingerprint(begun.root) == fingerprint(tmp_path / "whole")


def test_an_unknown_file_is_named_and_no_damage(run: Path) -> None:
    """Somebody's notes in a run directory are no fault of the run."""
    (run / "notes.txt").touch()
    (run / "generations" / "0001" / "plots").mkdir()

    faults = check(run)

    assert [fault.name for fault in faults] == ["generations/0001/plots", "notes.txt"]
    assert all(fault.notice and "unknown" in fault.what for fault in faults)
    result = CliRunner().invoke(cli, ["fsck", str(run)])
    assert result.exit_code == 0
    assert "note: " in result.stdout and "as it was written" in result.stdout


def test_a_damaged_rating_of_subnets_is_found(run: Path) -> None:
    """Torn, of another piece, or with a score too few: `pbtnas subnets` makes it again."""
    piece = {
        "checkpoint": "c",
        "generation": 1,
        "member": 0,
        "subnets": ["a", "b"],
        "at": [0, 3],
        "statistics": None,
    }
    name = paths.subnets(digest(["subnets", piece]))
    manifest = paths.manifest(0)
    of = decode((run / manifest).read_bytes(), manifest, kind="manifest").run

    def record(core: dict[str, Any]) -> bytes:
        return encode(Record("subnets", of, core, {}, "0"), name)

    whole = record({**piece, "scores": {"a": [0.1, 0.2], "b": [0.3, None]}})
    other = record({**piece, "member": 1, "scores": {"a": [0.1, 0.2], "b": [0.3, None]}})
    few = record({**piece, "scores": {"a": [0.1, 0.2], "b": [0.3]}})
    (run / "artifacts").mkdir(exist_ok=True)
    found = []
    for content in (whole, whole[:50], other, few):
        (run / name).write_bytes(content)
        found.append([(fault.name, "by the same command" in fault.what) for fault in check(run)])
    assert found == [[], *[[(name, True)]] * 3]


def test_the_garbage_collector_takes_what_the_list_says(run: Path) -> None:
    """Of an old generation, exactly the kinds go that the list lets age."""
    directory = run / paths.generation(4)
    before = {str(p.relative_to(run)) for p in directory.rglob("*") if p.is_file()}
    with PosixStore(run, "collector") as store:
        store.execute(Discard(4, frozenset()))

    after = {str(p.relative_to(run)) for p in directory.rglob("*") if p.is_file()}

    ageing = {name for name in before if (kind := RUN_KINDS.of(name)) and kind.ages}
    assert before - after == ageing and ageing


def test_a_lost_best_member_is_computed_again_from_the_first_generation_on(run: Path) -> None:
    """Without any command: a coordinator does not say "finished" while the file is gone that
    `final.json` names, and workers compute what it was made from, though that was garbage."""
    path = _best_ever(run)
    content = path.read_bytes()
    kept = set(run.glob("generations/*/checkpoints/*"))
    path.unlink()
    resumed = SimulatedRun(run)

    assert resumed.carry_on() == "the run is finished"

    assert path.read_bytes() == content
    assert set(run.glob("generations/*/checkpoints/*")) == kept
    assert any(path.name in said and "lost, the best member's" in said for said in resumed.said)
    assert check(run) == []


class Said(list[str]):
    """Messages; when the first comes that holds a text, something is done."""

    def __init__(self, act: Callable[[], None], on: str) -> None:
        self._act, self._on = act, on

    def append(self, text: str) -> None:
        super().append(text)
        if self._on in text:
            self._act()


def test_a_record_lost_while_the_best_member_is_computed_again_is_made_again(run: Path) -> None:
    """The coordinator that waits for the best member does so itself: workers go by the manifests
    of all its ancestors, and nobody has to start another coordinator."""
    path = _best_ever(run)
    content = path.read_bytes()
    path.unlink()
    older = run / paths.manifest(1)
    body = older.read_bytes()

    resumed = SimulatedRun(run, said=Said(older.unlink, "lost, the best member's"))

    assert resumed.carry_on() == "the run is finished"

    assert path.read_bytes() == content
    assert json.loads(older.read_bytes())["core"] == json.loads(body)["core"]
    assert check(run) == []


def test_a_selection_lost_while_the_run_goes_on_is_made_again(tmp_path: Path) -> None:
    """The coordinator knows it: no overlay could be mixed again without it, and no run resumed
    whose results have aged."""
    selection = tmp_path / "run" / paths.selection(2)
    begun = SimulatedRun(
        tmp_path / "run", said=Said(selection.unlink, "generation 2 done"), generations=4
    )

    assert begun.carry_on() == "the run is finished"

    assert selection.exists() and check(tmp_path / "run") == []


def test_a_lost_best_member_is_found_by_fsck(run: Path) -> None:
    """It is named, and `final.json` is put aside, so that workers do not leave at once."""
    path = _best_ever(run)
    path.unlink()

    faults = check(run)
    repair(run, faults)

    assert {fault.name for fault in faults} == {str(path.relative_to(run)), paths.FINAL}
    assert not (run / paths.FINAL).exists()
    assert SimulatedRun(run).carry_on() == "the run is finished"
    assert check(run) == []


def test_a_forged_end_of_a_run_is_not_adopted(run: Path, study: Path) -> None:
    """A coordinator compares `final.json` with what the last selection comes to."""
    subject = subjects(study)["final"]
    (study / subject.name).write_bytes(subject.forged)

    said = SimulatedRun(run).carry_on()

    assert said.startswith(f"{paths.FINAL}: does not say what")


def test_records_of_versions_that_did_not_state_names_are_accepted(made: Path, run: Path) -> None:
    """A directory of version 0.1.0 is sound, and a result in another member's place is not."""
    for path in run.rglob("*.json"):
        name = str(path.relative_to(run))
        kind = RUN_KINDS.of(name)
        if kind is not None and kind.record:
            path.write_bytes(encode(decode(path.read_bytes(), name, kind=kind.record)))
    assert check(run) == []

    shutil.copy(run / paths.result(3, 1), run / paths.result(3, 0))
    shutil.copy(run / paths.result(2, 2), run / paths.result(3, 2))

    assert [fault.name for fault in check(run)] == [paths.result(3, 0), paths.result(3, 2)]
    assert fingerprint(run) == fingerprint(made / RUN)


def test_every_record_states_its_name(run: Path) -> None:
    """Whoever publishes a record says where it belongs."""
    for path in run.rglob("*.json"):
        name = str(path.relative_to(run))
        kind = RUN_KINDS.of(name)
        if kind is not None and kind.record:
            with pytest.raises(Exception, match="holds another record"):
                decode(path.read_bytes(), "elsewhere", kind=kind.record)


def test_a_study_without_its_first_record_is_the_same_study_again(study: Path) -> None:
    """`study.json` is written again with the id that its end has, and fsck finds what is gone."""
    (study / paths.STUDY).unlink()

    result = CliRunner().invoke(cli, ["fsck", str(study)])
    assert result.exit_code == 1
    assert f"{study / paths.STUDY}: missing" in result.stdout

    assert plan_study(study).ended() is not None
    assert check_study(study) == []


def test_a_study_is_not_over_while_one_of_its_runs_has_to_go_on(study: Path) -> None:
    """With the end of a run, fsck puts the end of the study aside, or nobody would work on it."""
    _best_ever(study / RUN).unlink()

    result = CliRunner().invoke(cli, ["fsck", str(study), "--repair"])

    assert result.exit_code == 1
    assert not (study / paths.STUDY_ENDED).exists()
    assert not (study / RUN / paths.FINAL).exists()


def test_private_files_and_those_put_aside_are_no_faults(run: Path) -> None:
    """They are litter that a dead process or a repair leaves."""
    litter = [".tmp-w-1", "generations/0003/results/m00.json.corrupt-w-1", "claims/.tmp-w-2"]
    for name in litter:
        (run / name).touch()

    assert [RUN_KINDS.of(name) for name in litter] == [PRIVATE, ASIDE, PRIVATE]
    assert check(run) == []


def test_what_should_be_a_directory_and_is_none_is_made_again(run: Path) -> None:
    """Otherwise everybody would wait for what cannot be reached, or nothing would be written."""
    shutil.rmtree(run / paths.WORKERS)
    (run / paths.WORKERS).symlink_to(paths.WORKERS)
    results = (run / paths.result(1, 0)).parent
    shutil.rmtree(results)
    results.write_text("x")

    found = {fault.name: fault for fault in check(run) if not fault.notice}
    assert found[str(results.relative_to(run))].what == "not a directory; made again"
    repair(run, check(run))
    repair(run, check(run))
    assert [fault for fault in check(run) if not fault.notice] == []


def test_a_selection_that_is_lost_with_a_result_is_not_promised(run: Path) -> None:
    """Nobody trains for a generation that is over; both records say so."""
    (run / paths.selection(1)).unlink()
    result = run / paths.result(1, 0)
    result.unlink()
    result.mkdir()
    (result / "x").touch()

    found = {fault.name: fault.what for fault in check(run)}

    assert found[paths.selection(1)].startswith(
        f"cannot be decided again without {paths.result(1, 0)}"
    )
    assert found[paths.result(1, 0)].endswith("nobody can restore it")
