"""A search with Optuna whose training only loads and saves: the other side of `beside_optuna.py`.

    python optuna_steps.py DIRECTORY MEGABYTES WORKERS MEMBERS GENERATIONS

One process imports torch and Optuna and forks the workers, which share a journal file.  Each
generation is a study, and the number of a trial is the member; every worker waits until all trials
are complete, and then makes the same selection: the worst quarter goes on from checkpoints of the
best quarter.  Checkpoints are written by `torch.save` under a private name and renamed, as a user
would do; nothing is hashed, mixed or made durable.  A file `began-GENERATION` appears with the
first trial of each generation.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

POLL_S = 0.02
TENSORS = 32  # as many as `noop_task.py` has


def main() -> None:
    """Fork the workers and wait for them."""
    directory, megabytes = Path(sys.argv[1]), float(sys.argv[2])
    workers, members, generations = map(int, sys.argv[3:])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.set_num_threads(1)
    children = []
    for worker in range(workers):
        pid = os.fork()
        if pid == 0:
            work(directory, megabytes, worker, members, generations)
            os._exit(0)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    sys.exit(max(map(abs, codes)))


def work(directory: Path, megabytes: float, worker: int, members: int, generations: int) -> None:
    """One worker, from the first generation to the last."""
    storage = JournalStorage(JournalFileBackend(str(directory / "journal.log")))
    parents = list(range(members))
    for generation in range(generations):
        sampler = optuna.samplers.RandomSampler(seed=generation * 1000 + worker)
        study = optuna.create_study(
            study_name=f"generation {generation}",
            storage=storage,
            load_if_exists=True,
            direction="maximize",
            sampler=sampler,
        )
        while (trial := study.ask()).number < members:
            (directory / f"began-{generation}").touch()
            trial.suggest_float("lr", 1e-4, 1e-1, log=True)
            step(directory, megabytes, generation, trial.number, parents[trial.number])
            study.tell(trial, score(generation, trial.number))
        study.tell(trial, state=TrialState.FAIL)
        while True:
            trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if len(trials) == members:
                break
            time.sleep(POLL_S)
        scores = {trial.number: trial.value for trial in trials}
        parents = selected(scores, generation)
        if generation > 1 and worker == 0:
            for member in range(members):
                checkpoint(directory, generation - 2, member).unlink()


def checkpoint(directory: Path, generation: int, member: int) -> Path:
    return directory / f"{generation}-{member}.pt"


def step(directory: Path, megabytes: float, generation: int, member: int, parent: int) -> None:
    """Load the parent's checkpoint, or begin, and save the member's own."""
    if generation:
        state = torch.load(checkpoint(directory, generation - 1, parent), weights_only=True)
    else:
        size = round(megabytes * 1e6 / 4 / TENSORS)
        state = {f"tensors.{i}": torch.zeros(size) for i in range(TENSORS)}
    state["jobs"] = generation
    path = checkpoint(directory, generation, member)
    private = path.with_suffix(f".{os.getpid()}")
    torch.save(state, private)
    private.replace(path)


def score(generation: int, member: int) -> float:
    return random.Random(generation * 1_000_003 + member).random()


def selected(scores: dict[int, float], generation: int) -> list[int]:
    """From which member each one goes on."""
    order = sorted(scores, key=lambda member: scores[member])
    quarter, chance = len(order) // 4, random.Random(generation)
    parents = list(range(len(order)))
    for member in order[:quarter]:
        parents[member] = chance.choice(order[-quarter:])
    return parents


if __name__ == "__main__":
    main()
