"""Commands that change what becomes of the generation in work: what they record, and refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pbtnas.analysis.history.outline import outline
from pbtnas.analysis.history.run import History
from pbtnas.analysis.report.tables import state_of
from pbtnas.monitoring.progress import status
from pbtnas.monitoring.run_screen import render
from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode, encode
from pbtnas.records.schema import Result
from pbtnas.store.control_giving import give_control
from pbtnas.store.finished import champions
from pbtnas.store.fsck import check, repair
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import NotARun, open_run
from tests.cli.test_control import asked_of, begun, begun_once, call, core_of, ended, refused
from tests.store.simulated_run import SimulatedRun, fingerprint

__all__ = ["begun", "begun_once", "ended"]


def cancelled(root: Path) -> Path:
    """The run, cancelled and ended by its coordinator."""
    assert call("cancel", root).exit_code == 0
    assert SimulatedRun(root).carry_on() == "the run was cancelled"
    return root


def test_a_cancelled_run_ends_in_the_midst_of_its_generation(begun: Path) -> None:
    """What was finished stays, with its best member; who cancelled it is told everywhere, and the
    directory is whole."""
    newest = len(History.read(begun).generations) - 1
    before = status(begun, now=0.0)
    assert call("cancel", begun).exit_code == 0
    assert "is cancelled already" in call("cancel", begun).stdout
    assert status(begun, now=0.0).trouble[0].startswith("cancelled by ")
    assert "asked" not in call("status", begun).stdout  # it is told among the troubles

    assert SimulatedRun(begun).carry_on() == "the run was cancelled"

    seen = status(begun, now=0.0)
    assert (seen.state, seen.over, seen.finished) == ("cancelled", True, False)
    assert (seen.best_ever, seen.generations) == (before.best_last, before.generations)
    assert seen.ended.startswith("cancelled by ") and seen.problems == ()
    words = render(seen)
    assert "cancelled by" in words and f"{newest} of {before.generations}" in words
    final = core_of(begun, paths.FINAL, "final")
    assert (final["ended"], final["generations"]) == ("cancelled", newest)
    with RunReader(begun) as files:
        best = champions(files, open_run(begun)).values()
        assert all(files.exists(paths.checkpoint(b.generation, b.checkpoint)) for b in best)
    for history in (History.read(begun), outline(begun)):
        assert len(history.generations) == newest and history.problems == ()
        assert state_of(history).startswith(f"cancelled after {newest} of 5 generations by ")
    assert check(begun) == []
    assert asked_of(begun) == ["cancel"]


def test_a_run_is_cancelled_before_its_first_generation_is_over(tmp_path: Path) -> None:
    """It has no best member, and says so in a sentence instead of failing."""
    root = tmp_path / "run"
    SimulatedRun(root, limit_s=1.0).carry_on()
    assert not (root / paths.selection(0)).exists()

    cancelled(root)

    seen = status(root, now=0.0)
    assert (seen.state, seen.best_ever, seen.problems) == ("cancelled", None, ())
    assert "cancelled" in render(seen)
    with RunReader(root) as files, pytest.raises(NotARun, match="in its first generation"):
        champions(files, open_run(root))
    assert check(root) == []
    assert state_of(History.read(root)).startswith("cancelled after 0 of 5 generations by ")
    for command in ("status", "members", "workers", "logs", "controls"):
        shown = call(command, root)
        assert shown.exit_code == 0 and "Traceback" not in shown.output, (command, shown.output)


def fail(root: Path, generation: int, member: int) -> Path:
    """Let a member have failed in the generation in work, as its worker would record it."""
    name = paths.result(generation, member)
    assert not (root / name).exists() and not (root / paths.selection(generation)).exists()
    core = Result(member, "failed", None, {}, None).to_json()
    meta = {"worker": "w", "class": "error", "traceback": "ValueError: always"}
    record = Record("result", open_run(root).id, core, meta, "planted")
    (root / name).write_bytes(encode(record, name))
    return root


def test_a_failed_member_is_tried_again(begun: Path, ended: Path) -> None:
    """What comes of it counts, in the fingerprint too; and until then it has no result."""
    fail(begun, 1, 2)
    asked = call("retry", begun, "02")
    assert asked.exit_code == 0 and "retry generation 1 m02" in asked.stdout, asked.output
    assert "is to be tried again already" in call("retry", begun, "m02").stdout
    assert 2 not in History.read(begun).generations[1].results
    assert status(begun, now=0.0).members.done == 2

    assert SimulatedRun(begun).carry_on() == "the run is finished"

    selected = core_of(begun, paths.selection(1), "selection")
    assert selected["retried"] == {"2": 1}
    assert selected["results"][2]["outcome"] == "ok"
    assert fingerprint(begun) != fingerprint(ended)
    for history in (History.read(begun), outline(begun)):
        reported = history.generations[1].results[2]
        assert (reported.result.outcome, reported.retry) == ("ok", 1)
        assert history.problems == ()
    assert status(begun, now=0.0).failed_in_all == 0
    assert check(begun) == []
    assert asked_of(begun) == ["retry"]


def test_a_member_whose_attempts_fail_may_be_promised_more(begun: Path, ended: Path) -> None:
    """From the first counted failure on: when the last has failed, the generation may be selected
    from at once."""
    slot = paths.job_slot(1, 2)
    for attempt, counted in ((1, False), (2, True)):
        core = {"class": "error", "counted": counted, "text": "ValueError", "worker": "w"}
        for name, kind, content in (
            (paths.claim(slot, attempt), "claim", {"holder": {"worker": "w"}}),
            (paths.end(slot, attempt), "end", core),
        ):
            record = Record(kind, open_run(begun).id, content, {}, f"planted-{attempt}")
            (begun / name).write_bytes(encode(record, name))
        if not counted:
            refused(call("retry", begun, "02"), "generation 1 m02 has not failed: it has no result")

    assert call("retry", begun, "02").exit_code == 0
    assert "is to be tried again already" in call("retry", begun, "02").stdout
    assert SimulatedRun(begun).carry_on() == "the run is finished"

    assert asked_of(begun) == ["retry"]
    assert core_of(begun, paths.selection(1), "selection")["retried"] == {"2": 1}
    assert fingerprint(begun) != fingerprint(ended)
    assert check(begun) == []


def test_a_member_that_fails_once_more_is_failed(begun: Path, ended: Path) -> None:
    """Its retries are recorded, so that the run is not taken for one without them."""
    fail(begun, 1, 2)
    for _ in range(2):
        assert call("retry", begun, "g0001-m02").exit_code == 0
        name = paths.result(1, 2, asked_of(begun).count("retry"))
        record = decode(
            (begun / paths.result(1, 2)).read_bytes(), paths.result(1, 2), kind="result"
        )
        (begun / name).write_bytes(encode(record, name))

    assert SimulatedRun(begun).carry_on() == "the run is finished"

    assert asked_of(begun) == ["retry", "retry"]
    assert core_of(begun, paths.selection(1), "selection")["retried"] == {"2": 2}
    assert fingerprint(begun) != fingerprint(ended)
    assert check(begun) == []


@pytest.mark.parametrize("retry", [0, 1])
def test_lost_results_of_a_retried_job_are_restored(begun: Path, retry: int) -> None:
    """The failed one as well as the one that counts, from the selection."""
    call("retry", fail(begun, 1, 2), "02")
    SimulatedRun(begun).carry_on()
    name = paths.result(1, 2, retry)
    right = core_of(begun, name, "result")
    (begun / name).unlink()
    assert [fault.name for fault in check(begun)] == [name]

    repair(begun, check(begun))

    assert core_of(begun, name, "result") == right
    assert check(begun) == []


def test_a_lost_selection_with_a_retried_member_is_decided_as_it_was(begun: Path) -> None:
    """Also when somebody has asked for one more retry since, which came too late."""
    call("retry", fail(begun, 1, 2), "02")
    SimulatedRun(begun).carry_on()
    before = fingerprint(begun)
    right = core_of(begun, paths.selection(1), "selection")
    late = {"action": "retry", "generation": 1, "member": 0, "retry": 1}
    give_control(begun, open_run(begun), late)
    (begun / paths.selection(1)).unlink()

    assert SimulatedRun(begun).carry_on() == "the run is finished"

    assert core_of(begun, paths.selection(1), "selection") == right
    assert fingerprint(begun) == before


def test_only_a_failed_member_of_the_generation_in_work_is_tried_again(
    begun: Path, ended: Path
) -> None:
    """All else is refused in one sentence, and nothing is recorded."""
    in_work = History.read(begun).generations[1]
    done = next(iter(in_work.results))
    refused(call("retry", begun, f"{done:02d}"), f"generation 1 m{done:02d} has not failed: its sc")
    refused(call("retry", begun, "m02"), "generation 1 m02 has not failed: it has no result yet")
    refused(call("retry", begun, "m09"), "generation 1 m09: there is no such member")
    refused(call("retry", begun, "g0000-m02"), "generation 0 is not in work, but 1")
    typo = call("retry", begun, "best")
    assert typo.exit_code == 2 and "expected a name such as 07, m07 or g0012-m07" in typo.stderr
    refused(call("retry", ended, "m02"), "the run is finished; nothing is tried again in it")
    assert asked_of(begun) == asked_of(ended) == []

    selection = (ended / paths.selection(1)).read_bytes()
    fail(begun, 1, 2)
    (begun / paths.selection(1)).write_bytes(selection)
    refused(call("retry", begun, "m02"), "generation 1 is selected from already")


def test_nothing_takes_a_cancellation_back(begun: Path) -> None:
    """Before its end and after it, what else is asked of the run is refused in a sentence."""
    give_control(begun, open_run(begun), {"action": "cancel"})
    for over in (False, True):
        if over:
            cancelled(begun)
        for command in (
            ("pause",),
            ("resume",),
            ("stop", "--after-generation", 3),
            ("extend", "--generations", 1),
            ("drain", "w"),
        ):
            name, *options = command
            refused(call(name, begun, *options), "the run was cancelled by ")


def test_a_finished_run_is_not_cancelled(ended: Path) -> None:
    """There is nothing in work, and nothing is recorded."""
    refused(call("cancel", ended), "the run is finished; there is nothing to cancel")
    assert asked_of(ended) == []


@pytest.mark.parametrize("name", [paths.FINAL, paths.selection(1), paths.manifest(1)])
def test_a_damaged_record_of_a_cancelled_run_is_decided_again(begun: Path, name: str) -> None:
    """To the same bytes, also when the cancelled generation has had all its results since."""
    newest = len(History.read(begun).generations) - 1
    cancelled(begun)
    name = name.replace("0001", f"{newest:04d}")
    right = json.loads((begun / name).read_bytes())["core"]
    other = (begun / paths.manifest(0)).read_bytes()
    (begun / name).write_bytes(other)
    assert [fault.name for fault in check(begun)][:1] == [name]

    repair(begun, check(begun))
    assert SimulatedRun(begun).carry_on() == "the run was cancelled"

    assert json.loads((begun / name).read_bytes())["core"] == right
    assert check(begun) == []


def test_an_extension_that_was_asked_for_is_cancelled_with_the_run(
    ended: Path, tmp_path: Path
) -> None:
    """The run is over then, though more had been asked for, and another than the finished one."""
    root = Path(shutil.copytree(ended, tmp_path / "run"))
    give_control(root, open_run(root), {"action": "extend", "generations": 2})
    give_control(root, open_run(root), {"action": "extend", "generations": 2})

    cancelled(root)

    seen = status(root, now=0.0)
    assert (seen.state, seen.generations, seen.problems) == ("cancelled", 9, ())
    assert core_of(root, paths.final(1), "final")["generations"] == 5
    assert fingerprint(root) != fingerprint(ended)
    assert check(root) == []
    assert len(History.read(root).generations) == 5


def test_the_best_member_is_shown_by_that_word(ended: Path) -> None:
    """Whoever wants to see it need not look up its number first."""
    best = core_of(ended, paths.FINAL, "final")["best_ever"]
    name = f"g{best['generation']:04d}-m{best['member']:02d}"
    shown = call("member", ended, "best")
    assert shown.exit_code == 0 and name in shown.stdout, shown.output
