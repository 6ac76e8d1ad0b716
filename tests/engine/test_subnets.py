"""`pbtnas subnets` on a finished run of supernets, by one process and by several."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from pbtnas import load
from pbtnas.cli import app as cli
from pbtnas.engine.subnets import rate_subnets
from pbtnas.models.edges import only
from pbtnas.networks.loading import load_from_run
from pbtnas.protocol import subnets
from pbtnas.protocol.subnets import Rating, Tuning
from pbtnas.records.envelope import decode
from pbtnas.tasks.base import Context, Evaluation
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.weight_sharing import SupernetTask
from pbtnas.tasks.weight_sharing.rater import SubnetRater
from tests.networks.finished import add_member, finished

OPTIONS: dict[str, Any] = {
    "width": 4,
    "cells": 1,
    "stem_factor": 1,
    "data": "gratings",
    "side": 8,
    "held_out": 440,
    "validation_images": 60,
    "batch_size": 32,
    "steps_per_epoch": 4,
    "sharing": "groups",
    "groups": 16,
    "grouping": "similar",
}
NAMES = ["441", "442", "443", "444"]  # the last group's
TUNED = Tuning((0, 3))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run with two members that hold the last group; two subnets are a piece."""
    monkeypatch.setattr(subnets, "PIECE", 2)
    root = tmp_path / "run"
    finished(root, "supernet", OPTIONS)
    add_member(root, task().create((15,), 2), (15,))
    return root


def task() -> SupernetTask:
    made: SupernetTask = load_task("supernet", OPTIONS)
    return made


def rated(root: Path, how: Tuning = TUNED) -> list[Rating]:
    return rate_subnets(root, task(), how, device="cpu", scratch=root.parent / "scratch")


def pieces(root: Path) -> dict[str, dict[str, Any]]:
    """What the records hold, by name."""
    return {
        path.name: dict(decode(path.read_bytes(), f"artifacts/{path.name}", kind="subnets").core)
        for path in (root / "artifacts").glob("*.subnets.json")
    }


def forget(root: Path) -> None:
    """Take the records away, and the claims, which would be waited for."""
    for path in (*(root / "artifacts").glob("*.subnets.json"), *(root / "claims").iterdir()):
        path.unlink()


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, [str(a) for a in arguments], prog_name="pbtnas")


def test_each_subnet_of_each_member_is_rated_and_a_lost_piece_is_rated_again(run: Path) -> None:
    """With the member's own weights, tuned alone from them; to the same bits by whoever does it,
    and without work where all is known."""
    first = rated(run)
    before = pieces(run)
    kept = {name: (run / "artifacts" / name).read_bytes() for name in before}
    assert [(rating.member, rating.subnet) for rating in first] == [
        (member, name) for member in (0, 1) for name in NAMES
    ]
    assert len(before) == 4
    assert all(None not in rating.scores for rating in first)
    assert [r.scores for r in first[:4]] != [r.scores for r in first[4:]]
    assert any(shared != tuned for shared, tuned in (rating.scores for rating in first))

    forget(run)
    for name in list(before)[1:]:
        (run / "artifacts" / name).write_bytes(kept[name])
    assert rated(run) == first
    assert pieces(run) == before


def test_a_subnet_is_rated_alike_whatever_else_is(run: Path, monkeypatch: Any) -> None:
    """How the work is cut decides nothing."""
    first = rated(run)
    monkeypatch.setattr(subnets, "PIECE", 16)
    forget(run)
    assert rated(run) == first
    assert len(pieces(run)) == 2


def test_a_subnet_whose_outputs_are_not_finite_has_no_score(run: Path, monkeypatch: Any) -> None:
    """It is listed last, as "-"; the others keep theirs."""
    evaluate = SubnetRater.evaluate

    def broken(self: SubnetRater, context: Context) -> Evaluation:
        found = evaluate(self, context)
        return replace(found, metrics={**found.metrics, "443@0": math.nan})

    expected = rated(run, Tuning())
    forget(run)
    monkeypatch.setattr(SubnetRater, "evaluate", broken)
    for found, whole in zip(rated(run, Tuning()), expected, strict=True):
        assert found.scores == ((None,) if found.subnet == "443" else whole.scores)
    said = call("subnets", run, "--device", "cpu")
    assert said.exit_code == 0, said.output
    assert [line.split()[1:] for line in said.output.splitlines()[-2:]] == [
        ["443", "m00", "-"],
        ["443", "m01", "-"],
    ]


def test_the_ranking_can_be_read_by_programs(run: Path) -> None:
    """Rank, subnet, member and the score after each number of steps."""
    said = call("subnets", run, "--device", "cpu", "--finetune", 3, "--json")
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout.splitlines()[-1])
    assert [line["rank"] for line in found] == list(range(1, 9))
    assert {(line["member"], line["subnet"]): tuple(line["scores"]) for line in found} == {
        (rating.member, rating.subnet): rating.scores for rating in rated(run)
    }


def test_what_cannot_be_rated_is_a_sentence(tmp_path: Path) -> None:
    """Before anything is made: exit code 2."""
    finished(tmp_path / "digits", "digits", {"images": 100})
    for arguments, sentence in (
        ((), "the networks of this run's task have no subnets"),
        (("--at", "0,1"), "--at: give --finetune STEPS, too"),
        (("--finetune", "3", "--at", "0,5"), "expected at most the 3 steps of --finetune, not 5"),
        (("--finetune", "3", "--at", "2,1"), "numbers of steps in ascending order, such as 0,1,5"),
    ):
        said = call("subnets", tmp_path / "digits", "--device", "cpu", *arguments)
        assert said.exit_code == 2, said.output
        assert sentence in said.output


def test_unknown_statistics_are_refused_before_a_piece_is_taken(run: Path) -> None:
    """Exit code 2, and the run directory is as it was."""
    before = sorted(run.rglob("*"))
    said = call("subnets", run, "--device", "cpu", "--statistics", "none")
    assert said.exit_code == 2, said.output
    assert "statistics 'none': expected one of running, batch, recalibrated" in said.output
    assert sorted(run.rglob("*")) == before


def test_a_subnet_is_exported_as_a_plain_network(run: Path, tmp_path: Path) -> None:
    """It has the shared weights, is loaded without the run, and is named in its card; `pbtnas
    export` says which subnets there are when it is another."""
    said = call("export", run, "-o", tmp_path / "443", "--subnet", "443")
    assert said.exit_code == 0, said.output
    network = load(tmp_path / "443").eval()

    supernet = load_from_run(run, "best-ever", None, "443").network
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(images), supernet(images))
    assert sum(p.numel() for p in network.parameters()) == sum(
        p.numel() for p in task().network(only((3, 3, 2)), seed=0).parameters()
    )
    card = (tmp_path / "443" / "README.md").read_text()
    assert "Subnet 443, with the shared weights of member" in card
    for edge, operation in task().choices.decode((3, 3, 2)).items():
        assert f"| `{edge}` | {operation} |" in card

    said = call("export", run, "-o", tmp_path / "no", "--subnet", "343")
    assert (said.exit_code, "has no subnet '343', but 441 to 444" in said.output) == (2, True)
