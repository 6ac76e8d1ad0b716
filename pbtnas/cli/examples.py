"""Examples of every command, which its `--help` ends with.

They tell one story: of the folder that `pbtnas new my_search` writes, typed inside it.
"""

from __future__ import annotations

from collections.abc import Mapping

import click

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "pbtnas new my_search",
        "pbtnas run config.yaml runs/first --task my_search.py:MySearch",
    ),
    "algorithm": ("pbtnas algorithm list",),
    "algorithm check": ("pbtnas algorithm check pbt-nas",),
    "algorithm list": ("pbtnas algorithm list",),
    "cancel": ("pbtnas cancel runs/first",),
    "compare": (
        "pbtnas compare studies/digits",
        "pbtnas compare studies/digits --claims 'pbt-nas>random-search' -o tables",
        "pbtnas compare runs/seed0 runs/seed1 runs/other0 runs/other1 --format markdown",
    ),
    "config": ("pbtnas config",),
    "controls": ("pbtnas controls runs/first",),
    "coordinator": (
        "pbtnas coordinator config.yaml runs/first --task my_search.py:MySearch --dry-run",
        "pbtnas coordinator config.yaml /shared/runs/first --task my_search.py:MySearch",
    ),
    "dashboard": (
        "pbtnas dashboard runs/first",
        "pbtnas dashboard studies/digits runs/first --port 9000",
    ),
    "data": ("pbtnas data get cifar10",),
    "data get": (
        "pbtnas data get cifar10",
        "pbtnas data get stl10 --from stl10_binary.tar.gz",
    ),
    "doctor": ("pbtnas doctor /shared/runs", "pbtnas doctor /shared/runs --with 2"),
    "drain": ("pbtnas drain runs/first node3-17390-w-84a96d",),
    "estimate": (
        "pbtnas estimate config.yaml --task my_search.py:MySearch",
        "pbtnas estimate config.yaml --device cuda --workers 16 --set search.population=24",
    ),
    "evaluate": (
        "pbtnas evaluate runs/first --task my_search.py:MySearch",
        "pbtnas evaluate runs/first --which g0003-m02 --task my_search.py:MySearch",
    ),
    "export": (
        "pbtnas export runs/first -o network --task my_search.py:MySearch",
        "pbtnas export runs/first -o other --which g0003-m02 --task my_search.py:MySearch",
    ),
    "extend": ("pbtnas extend runs/first --generations 5 --task my_search.py:MySearch",),
    "fsck": ("pbtnas fsck runs/first", "pbtnas fsck runs/first --repair"),
    "log": ("pbtnas log runs/first --to tensorboard",),
    "logs": ("pbtnas logs runs/first", "pbtnas logs runs/first --member 07 -f"),
    "member": ("pbtnas member runs/first best", "pbtnas member runs/first g0003-m02 --json"),
    "members": ("pbtnas members runs/first", "pbtnas members runs/first --generation 2"),
    "launch": (
        "pbtnas launch slurm config.yaml /shared/runs/first --workers 16 --time 4:00:00",
        "pbtnas launch list /shared/runs/first",
    ),
    "launch k8s": (
        "pbtnas launch k8s config.yaml /shared/runs/first --image pbtnas --workers 16 --claim runs",
    ),
    "launch list": ("pbtnas launch list /shared/runs/first",),
    "launch scale": ("pbtnas launch scale 32 /shared/runs/first",),
    "launch slurm": (
        "pbtnas launch slurm config.yaml /shared/runs/first --workers 16 --dry-run",
        "pbtnas launch slurm config.yaml /shared/runs/first --workers 16 --time 4:00:00 "
        "--sbatch partition=gpu",
    ),
    "launch ssh": (
        "pbtnas launch ssh config.yaml /shared/runs/first --host gpu1:4 --host gpu2:4",
        "pbtnas launch ssh config.yaml /shared/runs/first --hosts hosts.txt --coordinator first",
    ),
    "launch stop": ("pbtnas launch stop /shared/runs/first",),
    "new": ("pbtnas new my_search", "pbtnas new my_gan --kind gan"),
    "note": ("pbtnas note runs/first 'disk replaced'",),
    "pause": ("pbtnas pause runs/first",),
    "pin": ("pbtnas pin runs/first g0003-m02",),
    "play": (
        "pbtnas play runs/walker",
        "pbtnas play exports/walker -o walker.mp4 --episodes 3 --seed 7",
    ),
    "plot": ("pbtnas plot runs/first", "pbtnas plot studies/digits -o figures"),
    "ranks": (
        "pbtnas ranks cell64-table supernet0.csv supernet1.csv",
        "pbtnas ranks truth.csv rows.csv --last 32 --format markdown",
    ),
    "replay": ("pbtnas replay runs/first --member best --task my_search.py:MySearch",),
    "report": ("pbtnas report runs/first", "pbtnas report studies/digits -o report.html"),
    "resume": ("pbtnas resume runs/first",),
    "run": (
        "pbtnas run config.yaml runs/first --task my_search.py:MySearch",
        "pbtnas run config.yaml runs/seed1 --workers 2 --set run.seed=1",
        "pbtnas run --schedule-of runs/first runs/alone --task my_search.py:MySearch",
    ),
    "retry": ("pbtnas retry runs/first 07",),
    "show": (
        "pbtnas show runs/first",
        "pbtnas show runs/first g0003-m02",
        "pbtnas show runs/first --csv > members.csv",
    ),
    "soup": ("pbtnas soup runs/first --task my_search.py:MySearch",),
    "space": ("pbtnas space my_search.py:MySearch", "pbtnas space gan-hard"),
    "status": (
        "pbtnas status runs/first",
        "pbtnas status runs/first --watch 5",
        "pbtnas status runs/first --json",
    ),
    "stop": ("pbtnas stop runs/first --after-generation 10",),
    "study": (
        "pbtnas study study.yaml studies/digits --dry-run",
        "pbtnas study study.yaml studies/digits --workers 2",
    ),
    "subnets": (
        "pbtnas subnets runs/shared",
        "pbtnas subnets runs/shared --finetune 100 --at 0,50,100",
    ),
    "task": ("pbtnas task check my_search.py:MySearch", "pbtnas task list"),
    "task check": (
        "pbtnas task check my_search.py:MySearch",
        "pbtnas task check my_search.py:MySearch --device cuda:0",
        "pbtnas task check digits --set learning_rate=0.01",
    ),
    "task list": ("pbtnas task list",),
    "watch": ("pbtnas watch runs/first",),
    "worker": ("pbtnas worker /shared/runs/first --device cuda:0 --task my_search.py:MySearch",),
    "worker-alive": (
        "pbtnas worker-alive runs/first",
        "pbtnas worker-alive /shared/runs/first node3-17390-w-84a96d",
    ),
    "workers": ("pbtnas workers runs/first",),
}


def examples_of(path: str) -> str:
    """The end of a command's help; "" if there are none.

    Args:
        path: the words by which it is called, without `pbtnas`.
    """
    if path not in EXAMPLES:
        return ""
    # click keeps the lines of a paragraph that begins so.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in EXAMPLES[path])])


def with_examples(command: click.Command, path: str) -> click.Command:
    """The command of that path, whose help ends with its examples; so do those of a group."""
    command.epilog = examples_of(path)
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            with_examples(below, f"{path} {name}")
    return command
