"""Which figures of weight sharing a study has: each only where its data are."""

from __future__ import annotations

from pathlib import Path

from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.plots.supernet_figures import supernet_figures
from tests.analysis.test_supernets import (
    NAMES,
    alone,
    dense_member,
    history,
    supernet,
    tuned,
)


def test_each_figure_needs_its_data(tmp_path: Path) -> None:
    """No supernet, no figure; S-Tau needs two instances; all others need ground truth."""
    truth = NamedRun("truth", alone(tmp_path, (0.1, 0.2, 0.3, 0.4)))
    first = NamedRun("shared", supernet(tmp_path, (0.1, 0.2, 0.3, 0.4), (0.2, 0.1, 0.4, 0.3)))
    again = NamedRun("shared", supernet(tmp_path, (0.4, 0.3, 0.2, 0.1), (0.2, 0.1, 0.3, 0.4)))
    for run in (first, again):
        run.history.root.mkdir(exist_ok=True)

    assert supernet_figures([truth]) == {}
    assert supernet_figures([first]) == {}
    assert set(supernet_figures([first, again])) == {"stability"}
    assert set(supernet_figures([truth, first, again])) == {"stability", "rank-boxes"}


def test_tuned_subnets_and_dense_rows_are_drawn(tmp_path: Path) -> None:
    """From the records of `pbtnas subnets --finetune`, and from the rows in checkpoints."""
    import torch

    result = dense_member(tmp_path / "run", 0, NAMES, torch.rand(3, 4))
    made = history(tmp_path / "run", [[result]], [(0,)])
    assert result.checkpoint is not None
    tuned(tmp_path / "run", result.checkpoint, {name: (0.1, 0.2) for name in NAMES})
    options = {"sharing": "groups", "groups": 1, "grouping": "random"}
    made.config["task"].update(options)
    runs = [NamedRun("truth", alone(tmp_path, (0.1, 0.2, 0.3, 0.4))), NamedRun("shared", made)]

    figures = supernet_figures(runs)

    assert set(figures) == {"rank-boxes", "finetune", "last-steps", "sharing"}


def test_groups_begin_with_the_variant_that_shares_all(tmp_path: Path) -> None:
    """One group is all subnets: the variant most like those with groups stands for it, by name."""
    import torch

    def made(name: str, **options: object) -> NamedRun:
        root = tmp_path / f"{name}-s1"
        result = dense_member(root, 0, NAMES, torch.rand(3, 4))
        found = history(root, [[result]], [(0,)])
        found.config["task"].update(options)
        return NamedRun(name, found)

    groups = {"sharing": "groups", "groups": 2, "grouping": "random", "order": "cycle"}
    runs = [
        NamedRun("truth", alone(tmp_path, (0.1, 0.2, 0.3, 0.4))),
        made("random-2", **groups),
        made("decoy", sharing="all", order="permuted"),
        made("shared", sharing="all", order="cycle"),
    ]

    figure = supernet_figures(runs)["sharing"]()

    ticks = [tick.get_text() for tick in figure.axes[1].get_xticklabels()]
    assert ticks == ["1\n(shared)", "2"]
