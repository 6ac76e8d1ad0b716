"""The toy search as population based training of Ray Tune, synchronous, with fault tolerance.

A trial that fails goes on from its last checkpoint (`FailureConfig`), as often as it may take; a
driver that is started again restores the experiment (`Tuner.restore`).  A copy explores one rate,
so that only the choice of its parent is left to chance, whose seed is set.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import ray
import toy
from ray import tune
from ray.tune.schedulers import PopulationBasedTraining


def train(config: dict[str, Any]) -> None:
    """A member: trains a generation, reports it with a checkpoint, and so on."""
    member = int(tune.get_context().get_trial_id().rpartition("_")[2])
    state, generation = toy.initial(member), 0
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as directory:
            kept = json.loads((Path(directory) / "state.json").read_text())
        state, generation = kept["state"], kept["generation"] + 1
    if config["rate"] is not None:  # explored: this is a copy
        state["rate"] = config["rate"]
    while generation < toy.GENERATIONS:
        state, score = toy.train(generation, member, state)
        with tempfile.TemporaryDirectory() as directory:
            kept = {"state": state, "generation": generation}
            (Path(directory) / "state.json").write_text(json.dumps(kept))
            tune.report(
                {"score": score, "generation": generation + 1, "rate": state["rate"]},
                checkpoint=tune.Checkpoint.from_directory(directory),
            )
        generation += 1


def main() -> None:
    """Begin or go on, and print what the last generation is like."""
    storage, temporary = Path(sys.argv[1]), sys.argv[2]
    random.seed(0)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 2**20,
        _temp_dir=temporary,
        runtime_env={
            "env_vars": {
                "PYTHONPATH": str(Path(__file__).parent),
                **{name: text for name, text in os.environ.items() if name.startswith("TOY_")},
            }
        },
    )
    trainable = tune.with_resources(train, {"cpu": 1})
    if tune.Tuner.can_restore(str(storage / "toy")):
        tuner = tune.Tuner.restore(str(storage / "toy"), trainable, resume_errored=True)
    else:
        tuner = tune.Tuner(
            trainable,
            param_space={"rate": None},
            tune_config=tune.TuneConfig(
                num_samples=toy.MEMBERS,
                reuse_actors=True,
                scheduler=PopulationBasedTraining(
                    time_attr="generation",
                    metric="score",
                    mode="max",
                    perturbation_interval=1,
                    quantile_fraction=toy.REPLACED / toy.MEMBERS,
                    hyperparam_mutations={"rate": [0.5]},
                    synch=True,
                    log_config=False,
                ),
            ),
            run_config=tune.RunConfig(
                name="toy",
                storage_path=str(storage),
                stop={"generation": toy.GENERATIONS},
                failure_config=tune.FailureConfig(max_failures=-1),
                verbose=0,
            ),
        )
    results = tuner.fit()
    scores = [result.metrics.get("score") if result.metrics else None for result in results]
    digest = hashlib.sha256(json.dumps(sorted(map(str, scores))).encode()).hexdigest()[:12]
    if results.errors:
        sys.exit(f"{len(results.errors)} trials ended with errors: {results.errors[0]}")
    print("outcome", digest, flush=True)


if __name__ == "__main__":
    main()
