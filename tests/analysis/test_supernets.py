"""Rankings of runs beside ground truth: dense rows, generations, groups, refusals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.history.generation import Generation, ResultWithMeta
from pbtnas.analysis.history.run import FinalRecord, History
from pbtnas.analysis.plots.supernet_figures import supernet_figures
from pbtnas.analysis.rank_study import Truth, rank_tables, read_runs, truth_of
from pbtnas.analysis.rated_subnets import ratings_table, true_ranks
from pbtnas.analysis.supernets import single_trainings, subnet_rows
from pbtnas.checkpoints import files
from pbtnas.protocol.subnets import Rating
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record, encode
from pbtnas.records.schema import Champion, Job, Result
from pbtnas.state import State
from pbtnas.store.arrays import read_arrays

NAMES = ("11", "12", "21", "22")
ARCHITECTURES = ((0, 0), (0, 1), (1, 0), (1, 1))
NONE: Mapping[str, Any] = {}


def history(
    root: Path,
    outcomes: Sequence[Sequence[Result]],
    architectures: Sequence[tuple[int, ...]],
    *,
    start: str = "stratified",
    space: str = "s",
) -> History:
    """A finished run with the results of each generation."""
    generations = [
        Generation(
            number=number,
            jobs={
                r.member: Job(number, r.member, architectures[r.member], (), 0, 2, 1)
                for r in results
            },
            results={r.member: ResultWithMeta(r) for r in results},
            attempts={},
            repairs={},
            ranking=tuple(r.member for r in results),
            births={},
            selection="x",
        )
        for number, results in enumerate(outcomes)
    ]
    last = [r for r in outcomes[-1] if r.score is not None]
    best = max(last, key=lambda r: r.score or 0)
    champion = Champion(
        len(outcomes) - 1, best.member, best.score or 0, architectures[best.member], "c"
    )
    return History(
        root=root,
        run="r",
        about={"hash": "sha256", "space": space},
        config={"search": {"start": start}, "run": {"seed": 1}, "task": {}},
        generations=tuple(generations),
        terms=(),
        final=FinalRecord("f", len(outcomes), champion, champion),
        problems=(),
    )


def alone(root: Path, scores: Sequence[float | None], **more: Any) -> History:
    """A run that has trained every architecture alone."""
    results = [
        Result(i, "diverged" if score is None else "ok", score, {}, None)
        for i, score in enumerate(scores)
    ]
    return history(root, [results], ARCHITECTURES, start="every", **more)


def metrics(values: Mapping[str, float]) -> dict[str, float]:
    return {f"subnet.{name}": value for name, value in values.items()}


def supernet(root: Path, *rows: Sequence[float], names: Sequence[str] = NAMES) -> History:
    """A run of one supernet that keeps no rows, a generation each."""
    results = [
        [Result(0, "ok", 0.5, metrics(dict(zip(names, row, strict=True))), None)] for row in rows
    ]
    return history(root, results, [(0,)])


def dense_member(root: Path, member: int, names: Sequence[str], rows: torch.Tensor) -> Result:
    """The result of a supernet whose checkpoint, which is written, has rows."""
    file = root / "new"
    file.parent.mkdir(parents=True, exist_ok=True)
    state = State(
        extra={
            "rows.accuracy": rows,
            "rows.steps": torch.arange(len(rows)) + 10,
            "rows.trained": torch.zeros(len(rows), dtype=torch.int64),
        },
        info={"subnets": list(names)},
    )
    digest = files.write(file, state, algorithm="sha256")
    home = root / paths.checkpoint(0, digest)
    home.parent.mkdir(parents=True, exist_ok=True)
    file.rename(home)
    last = {name: float(value) for name, value in zip(names, rows[-1], strict=True)}
    return Result(member, "ok", 0.5, metrics(last), digest)


def test_dense_rows_are_read_from_the_checkpoint(tmp_path: Path) -> None:
    """Rows of groups are joined in the order of the ground truth, to the bit."""
    first = torch.tensor([[0.1, 0.4], [0.2, math.nan]])
    other = torch.tensor([[0.7, 0.6], [0.9, 0.8]])
    results = [
        dense_member(tmp_path, 0, ("22", "11"), first),
        dense_member(tmp_path, 1, ("12", "21"), other),
    ]
    found = subnet_rows(history(tmp_path, [results], [(0,), (1,)]), NAMES)

    expected = np.array([[0.4, 0.7, 0.6, 0.1], [math.nan, 0.9, 0.8, 0.2]], np.float32)
    np.testing.assert_array_equal(found.values.astype(np.float32), expected)
    assert (found.at, found.trained, found.dense) == ((10, 11), None, True)


def test_the_subnet_just_trained_has_its_column(tmp_path: Path) -> None:
    """Of one supernet it is known which subnet each mini-batch has trained."""
    result = dense_member(tmp_path, 0, ("22", "11", "12", "21"), torch.rand(2, 4))

    found = subnet_rows(history(tmp_path, [[result]], [(0,)]), NAMES)

    assert found.trained == (3, 3)


def test_a_damaged_checkpoint_is_not_read(tmp_path: Path) -> None:
    """A changed byte is told, and never becomes an accuracy."""
    result = dense_member(tmp_path, 0, NAMES, torch.rand(2, 4))
    assert result.checkpoint is not None
    file = tmp_path / paths.checkpoint(0, result.checkpoint)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)

    with pytest.raises(CorruptRecord, match="expected the digest"):
        read_arrays(file, result.checkpoint, (), algorithm="sha256")


def test_without_dense_rows_generations_are_rows(tmp_path: Path) -> None:
    """The metrics of results are read; a subnet without a finite accuracy has none."""
    run = supernet(tmp_path, (0.1, 0.2, 0.3, 0.4), (0.4, 0.3, 0.2, 0.1))
    del run.generations[0].results[0].result.metrics["subnet.21"]  # type: ignore[attr-defined]

    found = subnet_rows(run, NAMES)

    np.testing.assert_array_equal(found.values, [[0.1, 0.2, math.nan, 0.4], [0.4, 0.3, 0.2, 0.1]])
    assert (found.at, found.dense) == ((2, 4), False)


def test_subnets_of_a_group_that_diverged_rank_last(tmp_path: Path) -> None:
    """They have no accuracy, and the other groups are compared still."""
    results = [
        Result(0, "ok", 0.5, metrics({"11": 0.1, "22": 0.2}), None),
        Result(1, "diverged", None, {}, None),
    ]
    found = subnet_rows(history(tmp_path, [results], [(0,), (1,)]), NAMES)

    np.testing.assert_array_equal(found.values, [[0.1, math.nan, math.nan, 0.2]])


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("11", "12", "21", "23"), "has a subnet 23, expected the 4 architectures"),
        (("11", "12", "21"), "of 3 subnets, expected those of all 4 .* there is none of 22"),
    ],
)
def test_other_architectures_are_refused(tmp_path: Path, names: Sequence[str], told: str) -> None:
    """Rankings of another space are no rankings of this one."""
    with pytest.raises(ComparisonError, match=told):
        subnet_rows(supernet(tmp_path, [0.5] * len(names), names=names), NAMES)
    named = NamedRun("a", supernet(tmp_path, [0.5] * len(names), names=names))
    table = Truth("gt.csv", NAMES, np.array([0.1, 0.2, 0.3, 0.4]))
    with pytest.raises(ComparisonError, match="architectures of the ground truth gt.csv[,;]"):
        read_runs([named], table)


def test_truth_that_lacks_architectures_is_told_as_lacking_them(tmp_path: Path) -> None:
    """Not as a run that has too many."""
    told = "^the ground truth has no architecture 22, expected all 4 of which run .* has a subnet$"
    with pytest.raises(ComparisonError, match=told):
        subnet_rows(supernet(tmp_path, [0.5] * 4), NAMES[:3])


def test_a_run_that_rates_a_subnet_twice_is_left_out_and_named(tmp_path: Path) -> None:
    """The other runs of the study are compared and drawn all the same."""
    row = dict(zip(NAMES, (0.1, 0.2, 0.3, 0.4), strict=True))
    twice = [Result(i, "ok", 0.5, metrics(row), None) for i in range(2)]
    bad = NamedRun("bad", history(tmp_path / "bad", [twice], [(0,), (0,)]))
    good = NamedRun("good", supernet(tmp_path / "good", tuple(row.values()), tuple(row.values())))
    truth = Truth("gt.csv", NAMES, np.array([0.1, 0.2, 0.3, 0.4]))

    tables = rank_tables(read_runs([bad, good], truth), truth)

    told = "Left out: run bad has 2 members with a subnet 11, expected one."
    assert told in tables["ranks"].notes
    assert [row[0] for row in tables["ranks"].rows] == ["good", "random"]
    assert supernet_figures([bad, good]).keys() == supernet_figures([good]).keys()


def test_more_rows_than_a_supernet_has_are_refused(tmp_path: Path) -> None:
    """Else its means would be missing without a reason."""
    run = NamedRun("arm", supernet(tmp_path, (0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4)))
    truth = Truth("gt.csv", NAMES, np.array([0.1, 0.2, 0.3, 0.4]))
    ranked = read_runs([run], truth)

    assert rank_tables(ranked, truth, k=2)
    with pytest.raises(ComparisonError, match="^arm has 2 rows, --last needs 3$"):
        rank_tables(ranked, truth, k=3)


def test_ground_truth_is_the_mean_over_trainings(tmp_path: Path) -> None:
    """Each seed's scores are kept, for S-Tau and GT-Tau of ground truth itself."""
    runs = [
        NamedRun("truth", alone(tmp_path, (0.1, 0.2, 0.3, 0.4))),
        NamedRun("truth", alone(tmp_path, (0.3, 0.2, 0.3, 0.6))),
    ]
    truth = truth_of("truth", runs)

    assert truth.names == NAMES
    np.testing.assert_allclose(truth.means, [0.2, 0.2, 0.3, 0.5])
    assert truth.seeds is not None and truth.seeds.shape == (2, 4)


def test_what_is_no_ground_truth_is_refused(tmp_path: Path) -> None:
    """Supernets, architectures without a score, and runs of two spaces."""
    good = NamedRun("truth", alone(tmp_path, (0.1, 0.2, 0.3, 0.4)))
    shared = NamedRun("shared", supernet(tmp_path / "shared", (0.1, 0.2, 0.3, 0.4)))
    hole = NamedRun("truth", alone(tmp_path / "hole", (0.1, None, 0.3, 0.4)))
    other = NamedRun("truth", alone(tmp_path, (0.1, 0.2, 0.3, 0.4), space="t"))

    assert single_trainings(shared.history) is None
    with pytest.raises(ComparisonError, match="run shared is no ground truth"):
        truth_of("truth", [shared])
    with pytest.raises(ComparisonError, match="run hole: 12 has no score"):
        truth_of("truth", [hole])
    with pytest.raises(ComparisonError, match="different spaces"):
        truth_of("truth", [good, other])
    with pytest.raises(ComparisonError, match="another search space"):
        read_runs([other], truth_of("truth", [good]))


def test_tables_have_each_variant_and_what_searches_picked(tmp_path: Path) -> None:
    """One instance has a row whose S-Tau is absent; a search is ranked by what it ended with."""
    truth = truth_of(
        "truth",
        [
            NamedRun("truth", alone(tmp_path, (0.1, 0.2, 0.3, 0.4))),
            NamedRun("truth", alone(tmp_path, (0.2, 0.1, 0.3, 0.4))),
        ],
    )
    results = [Result(0, "ok", 0.9, {}, None), Result(1, "ok", 0.8, {}, None)]
    search = history(tmp_path, [results], [(1, 0), (0, 0)])
    runs = [
        NamedRun("shared", supernet(tmp_path, (0.4, 0.3, 0.2, 0.1), (0.1, 0.2, 0.3, 0.4))),
        NamedRun("search", search),
    ]
    tables = rank_tables(read_runs(runs, truth), truth)

    rows = {row[0]: row for row in tables["ranks"].rows}
    assert [rows["truth"][1], rows["shared"][1]] == [2, 1]
    assert math.isnan(float(str(rows["shared"][2])))  # S-Tau
    assert rows["shared"][5].mean == pytest.approx(5 / math.sqrt(30))  # type: ignore[union-attr]
    assert "random" in rows
    assert [row[0] for row in tables["intervals"].rows] == ["truth"]
    picks = {row[0]: row for row in tables["picked"].rows}
    assert (picks["search"][3], picks["search"][2].mean) == ("21", 2.0)  # type: ignore[union-attr]


def test_rated_subnets_have_true_ranks(tmp_path: Path) -> None:
    """Each column of scores is a ranking; a subnet without a score ranks last."""
    runs = [NamedRun("truth", alone(tmp_path, (0.1, 0.2, 0.3, 0.4)))]
    truth = truth_of("truth", runs)
    rated = [
        Rating("22", 0, (0.1, 0.4)),
        Rating("11", 0, (None, 0.1)),
        Rating("12", 0, (0.3, 0.2)),
        Rating("21", 0, (0.2, 0.3)),
    ]

    assert true_ranks(rated, truth) == {"11": 4, "12": 3, "21": 2, "22": 1}
    table = ratings_table(rated, ["shared", "after 8"], truth)
    assert [row[0] for row in table.rows] == ["shared", "after 8", "random"]
    assert table.rows[0][1:] == (pytest.approx(0.0), 3, 1)
    assert table.rows[1][1:] == (pytest.approx(1.0), 1, 1)
    with pytest.raises(ComparisonError, match="the run has no subnet 22 of the ground truth"):
        true_ranks(rated[1:], truth)


def tuned(root: Path, checkpoint: str, scores: Mapping[str, tuple[float, ...]]) -> None:
    """Write the record of tuned subnets, as `pbtnas subnets --finetune` does."""
    core = {
        "checkpoint": checkpoint,
        "generation": 0,
        "member": 0,
        "subnets": list(scores),
        "at": [0, 8],
        "statistics": None,
        "scores": {name: list(each) for name, each in scores.items()},
    }
    name = paths.subnets("0" * 32)
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode(Record("subnets", "r", core, {}, "nonce"), name))
