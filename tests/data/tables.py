"""Small tables of ground truth and accuracies, made up, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pbtnas.data.ground_truth import CELL64

SMALL = """\
arch,acc_mean,acc_std,gt_rank,weightless
a,0.75,0.01,2,0
b,0.5,0.02,3,1
c,0.875,0.0,1,0
"""


def write(directory: Path, text: str, name: str = "table.csv") -> Path:
    file = directory / name
    file.write_text(text, encoding="utf-8")
    return file


def cell64_table(directory: Path, seed: int = 0) -> Path:
    """A table of the 64 architectures with means and deviations drawn at random."""
    rng = np.random.default_rng(seed)
    rows = [f"{name},{rng.uniform(0.7, 0.9):.5f},0.00400" for name in CELL64.names]
    return write(directory, "\n".join(["arch,acc_mean,acc_std", *rows]), "truth.csv")


def accuracy_file(
    directory: Path, values: np.ndarray, names: Sequence[str] | None = None, name: str = "rows.csv"
) -> Path:
    """Accuracies [R, n] as a file, with a column for each name or number."""
    header = names if names is not None else [str(i) for i in range(values.shape[1])]
    rows = [
        ",".join([str(step), *(f"{value:.6f}" for value in row)]) for step, row in enumerate(values)
    ]
    return write(directory, "\n".join([",".join(["step", *header]), *rows]), name)


def nb201_table(
    directory: Path, names: Sequence[str], seed: int = 0, name: str = "nb201.csv"
) -> Path:
    """A table of some architectures of NAS-Bench-201, with accuracies drawn at random."""
    rng = np.random.default_rng(seed)
    sets = ("c10", "c100", "in16")
    header = ["arch_index", "ops_10_20_21_30_31_32"]
    header += [f"{each}_{kind}" for kind in ("val_12ep", "test_200ep") for each in sets]
    rows = [
        ",".join([str(i), each, *(f"{value:.3f}" for value in rng.uniform(10, 95, 6))])
        for i, each in enumerate(names)
    ]
    return write(directory, "\n".join([",".join(header), *rows]), name)
