"""One of several processes that carry out the toy search with NePS in a shared directory.

Each generation is a root directory.  An optimizer of ours, as NePS lets its users write them,
hands out the members: first those that nobody has started, then those that nobody has finished.
States of members are files of ours.  Each process computes the selection for itself.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import neps
import toy
import yaml
from neps.optimizers.optimizer import SampledConfig

KEY = f"SAMPLING__Resolvable.member::integer__0_{toy.MEMBERS - 1}_False"  # as NePS writes it


class Space(neps.PipelineSpace):
    """Which member to train."""

    member = neps.Integer(0, toy.MEMBERS - 1)


class Members:
    """Hands out the members of a generation."""

    def __init__(self, pipeline_space: Any) -> None:
        del pipeline_space

    def __call__(self, trials: Mapping[str, Any], budget_info: Any, n: int | None = None) -> Any:
        """The next configuration."""
        started = [trial.config[KEY] for trial in trials.values()]
        finished = {t.config[KEY] for t in trials.values() if t.report is not None}
        members = range(toy.MEMBERS)
        left = [m for m in members if m not in finished]
        member = min(left or members, key=lambda m: (started.count(m), m))
        config = SampledConfig(id=str(len(trials) + 1), config={KEY: member})
        return config if n is None else [config]


def main() -> None:
    """Work until the last generation is done."""
    parents = {member: member for member in range(toy.MEMBERS)}
    for generation in range(toy.GENERATIONS):
        root = Path(sys.argv[1]) / f"generation-{generation}"
        while len(scores := scores_in(root)) < toy.MEMBERS:
            carry_out(root, generation, parents)
            time.sleep(0.05)
        parents = toy.parents(scores)
    print("outcome", toy.outcome(), flush=True)


def carry_out(root: Path, generation: int, parents: dict[int, int]) -> None:
    """Train what is left of a generation."""

    def evaluate_pipeline(member: int) -> float:
        return -toy.begin_and_train(generation, member, parents[member])

    neps.run(
        evaluate_pipeline,
        Space(),
        root_directory=root,
        optimizer=Members,
        total_evaluations_to_spend=toy.MEMBERS,
        continue_until_max_evaluation_completed=True,
    )


def scores_in(root: Path) -> dict[int, float]:
    """The scores that NePS has recorded; `neps.status` shows those of the root that ran first."""
    scores = {}
    for path in (root / "configs").glob("config_*/report.yaml"):
        report = yaml.safe_load(path.read_text())
        config = yaml.safe_load((path.parent / "config.yaml").read_text())
        if report is None or "reported_as" not in report:
            continue  # not yet written
        if report["reported_as"] == "success":
            scores[config[KEY]] = -float(report["objective_to_minimize"])
        else:
            scores.setdefault(config[KEY], math.nan)
    return scores


if __name__ == "__main__":
    main()
