"""One of several processes that carry out the toy search with Optuna on a journal file.

Each generation is a study, and each member a point of a grid: Optuna's `GridSampler` starts a
point again that somebody has started and not finished, once all others have been started.  States
of members are files of ours.  Each process computes the selection for itself.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import optuna
import toy
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState


def main() -> None:
    """Work until the last generation is done."""
    storage = JournalStorage(JournalFileBackend(str(Path(sys.argv[1]) / "journal.log")))
    parents = {member: member for member in range(toy.MEMBERS)}
    for generation in range(toy.GENERATIONS):
        scores = carry_out(storage, generation, parents)
        parents = toy.parents(scores)
    print("outcome", toy.outcome(), flush=True)


def carry_out(
    storage: JournalStorage, generation: int, parents: dict[int, int]
) -> dict[int, float]:
    """Train what is left of a generation; the scores of all members."""
    sampler = optuna.samplers.GridSampler({"member": list(range(toy.MEMBERS))})
    study = optuna.create_study(
        storage=storage,
        sampler=sampler,
        study_name=f"generation {generation}",
        direction="maximize",
        load_if_exists=True,
    )

    def objective(trial: optuna.Trial) -> float:
        member = trial.suggest_int("member", 0, toy.MEMBERS - 1)
        return toy.begin_and_train(generation, member, parents[member])

    if not sampler.is_exhausted(study):
        study.optimize(objective)
    while True:
        trials = study.get_trials(states=(TrialState.COMPLETE, TrialState.FAIL))
        scores = {
            trial.params["member"]: float("nan") if trial.value is None else trial.value
            for trial in sorted(trials, key=lambda trial: trial.value is not None)
        }
        if len(scores) == toy.MEMBERS:
            return scores
        time.sleep(0.05)


if __name__ == "__main__":
    main()
