"""Breaks weight sharing: what is private, what idles, whose turn it is, and how subnets are rated."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_SHARING = "pbtnas/supernet/sharing.py"
_STATISTICS = "pbtnas/supernet/statistics.py"
_TASKS = "pbtnas/tasks/weight_sharing"
_MEMBER = f"{_TASKS}/sharing_member.py"
_RATER = f"{_TASKS}/rater.py"
_PIECES = "pbtnas/protocol/subnets.py"
_PRIVATE_TESTS = ("tests/supernet/test_sharing.py",)
_EXACT = "tests/tasks/test_weight_sharing.py"


def _exact(test: str) -> tuple[str, ...]:
    return (f"{_EXACT}::{test}",)


MUTANTS = (
    Mutant(
        "private-tensors-are-aliases",
        _SHARING,
        "used[leaf].detach().clone()",
        "used[leaf].detach()",
        _PRIVATE_TESTS,
    ),
    Mutant(
        "private-tensors-stay-in-place",
        _SHARING,
        "        for places in self._private.values():\n            for place in places:\n",
        "        for places in self._private.values():\n            for place in places[:0]:\n",
        _PRIVATE_TESTS,
    ),
    Mutant(
        "scoring-keeps-its-estimates",
        _STATISTICS,
        "            norm._buffers.update(estimates)\n",
        "",
        _PRIVATE_TESTS,
    ),
    Mutant(
        "recalibration-forgets-early-batches",
        _STATISTICS,
        "        norm.momentum = None\n",
        "        norm.momentum = 0.1\n",
        _PRIVATE_TESTS,
    ),
    Mutant(
        "one-shuffle-for-all-periods",
        "pbtnas/supernet/orders.py",
        "_permutation(count, seed, turn)[place]",
        "_permutation(count, seed, 0)[place]",
        ("tests/supernet/test_orders.py",),
    ),
    Mutant(
        "groups-are-numbered-by-label",
        "pbtnas/search/partition.py",
        "tuple(map(tuple, groups.values()))",
        "tuple(map(tuple, reversed(groups.values())))",
        ("tests/supernet/test_parts.py",),
    ),
    Mutant(
        "untrained-operations-decay",
        _MEMBER,
        "give_zero_gradients(self._parameters, self._moving)",
        "give_zero_gradients(self._parameters, self._parameters)",
        _exact("test_idle_operations_decay_as_published_or_are_frozen"),
    ),
    Mutant(
        "what-decays-is-forgotten-between-jobs",
        _MEMBER,
        "for step in range(self.steps):",
        "for step in range(0):",
        _exact("test_an_interruption_anywhere_changes_nothing"),
    ),
    Mutant(
        "rows-begin-anew-with-a-job",
        _MEMBER,
        "Rows.of(self.scored, state.extra)",
        "Rows(self.scored)",
        _exact("test_an_interruption_anywhere_changes_nothing"),
    ),
    Mutant(
        "a-row-too-many",
        _MEMBER,
        "dense_rows < self.steps <= total",
        "dense_rows <= self.steps <= total",
        _exact("test_rows_go_on_from_job_to_job"),
    ),
    Mutant(
        "the-schedule-begins-anew-with-a-job",
        f"{_TASKS}/classifier.py",
        "schedule.rate(self.steps)",
        "schedule.rate(step)",
        _exact("test_training_is_a_function_of_the_steps_done"),
    ),
    Mutant(
        "the-images-begin-anew-with-a-job",
        f"{_TASKS}/classifier.py",
        "batches.at(seed, self.steps)",
        "batches.at(seed, step)",
        _exact("test_training_is_a_function_of_the_steps_done"),
    ),
    Mutant(
        "the-last-shared-cell-is-private",
        f"{_TASKS}/supernet.py",
        "range(cells, self.options.cells)",
        "range(max(cells - 1, 0), self.options.cells)",
        _exact("test_a_prefix_shares_its_cells_and_no_more"),
    ),
    Mutant(
        "tuning-begins-with-the-first-rate",
        _RATER,
        "schedule.rate(self.steps)",
        "schedule.rate(0)",
        _exact("test_a_rater_tunes_with_the_rate_where_training_stopped"),
    ),
    Mutant(
        "tuning-goes-on-from-the-subnet-before",
        _RATER,
        "tensors = self.supernet.extract(name)",
        "tensors = self.supernet.extract(self._rated[0])",
        _exact("test_a_rater_tunes_each_subnet_alone"),
    ),
    Mutant(
        "a-piece-is-named-without-its-weights",
        _PIECES,
        'paths.subnets(digest(["subnets", core]))',
        'paths.subnets(digest(["subnets", {**core, "checkpoint": ""}]))',
        ("tests/protocol/test_subnets.py",),
    ),
    Mutant(
        "a-subnet-without-a-score-is-the-best",
        _PIECES,
        "(True, 0.0) if score is None",
        "(False, -9e9) if score is None",
        ("tests/protocol/test_subnets.py",),
    ),
    Mutant(
        "published-training-holds-images-out",
        f"{_TASKS}/image_options.py",
        "return total if self.as_published else total - self.held_out",
        "return total - self.held_out",
        _exact("test_scores_are_of_images_that_do_not_train"),
    ),
)
