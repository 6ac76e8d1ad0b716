"""A search on a Ray cluster: a task for the coordinator, an actor for each worker.

    python examples/ray_workers.py configs/digits.yaml /shared/runs/digits --workers 16 --gpus 1

The run directory is one that all nodes see.  Ray restarts what dies; the same command goes on
with a run that was begun.
"""

import argparse
import os
import subprocess
import sys

import ray

import pbtnas


@ray.remote(num_cpus=1, max_retries=-1)
def coordinate(*arguments: str) -> int:
    """The exit code of `pbtnas coordinator ARGUMENTS`; Ray calls it again if its node dies."""
    command = [sys.executable, "-P", "-m", "pbtnas", "coordinator", *arguments]
    return subprocess.run([*command, "--parent", str(os.getpid())], check=False).returncode


@ray.remote(max_restarts=-1, max_task_retries=-1)
class Worker:
    """Works on what Ray has assigned to this actor; restarted, it calls `work` again."""

    def work(self, run: str, task: str | None) -> bool:
        """Whether the run is finished; False if this worker was stopped before."""
        return pbtnas.work(run, task=task, machine=ray.get_runtime_context().get_node_id())


def main() -> int:
    """Search, and return the exit code of the coordinator."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("run")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--gpus", type=float, default=0, help="of each worker")
    parser.add_argument("--task", help="FILE.py:Class, at the same path on all nodes")
    given = parser.parse_args()

    ray.init()
    task = [] if given.task is None else ["--task", given.task]
    coordinator = coordinate.remote(given.config, given.run, *task)
    workers = [
        Worker.options(num_cpus=1, num_gpus=given.gpus).remote() for _ in range(given.workers)
    ]
    working = {worker.work.remote(given.run, given.task): worker for worker in workers}
    while working:
        (done,), _ = ray.wait([coordinator, *working], num_returns=1)
        if done == coordinator:
            break
        worker = working.pop(done)
        try:
            if not ray.get(done):  # stopped before the end: go on
                working[worker.work.remote(given.run, given.task)] = worker
        except ray.exceptions.RayTaskError as error:  # its machine is unfit, or the task is wrong
            print(error.cause, file=sys.stderr)
    return ray.get(coordinator)


if __name__ == "__main__":
    sys.exit(main())
