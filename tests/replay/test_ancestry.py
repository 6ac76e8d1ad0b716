"""What has to be trained again for one member, by the records alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pbtnas.analysis.history.run import History
from pbtnas.cli.app import cli
from pbtnas.replay.ancestry import NothingToReplay, ancestry_of, schedule_of
from tests.analysis.made_runs import search, story, write


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, of which member 2 failed in generation 1 and member 3 diverged."""
    directory = tmp_path_factory.mktemp("replay") / "run"
    write(directory, story(search()))
    return directory


def test_every_ancestor_is_trained_again_and_nobody_else(root: Path) -> None:
    """What a job begins with comes from the step before: its own member, or a birth whose base and
    donor are trained there; what is made there is wanted in the next step."""
    history = History.read(root)
    for member in history.generations[-1].results:
        steps = ancestry_of(history, 3, member)

        assert [job.member for job, _ in steps[-1].jobs] == [member]
        assert steps[-1].births == ()
        for step, following in zip(steps, steps[1:], strict=False):
            checkpoints = {result.checkpoint for _, result in step.jobs}
            made = {child.overlay for _, child in step.births}
            wanted = {digest for job, _ in following.jobs for digest in job.inputs}
            assert wanted <= checkpoints | made
            parents = {p for birth, _ in step.births for p in (birth.base, birth.donor)}
            going_on = {job.member for job, _ in following.jobs if len(job.inputs) == 1}
            assert {job.member for job, _ in step.jobs} == parents | going_on
        assert len(schedule_of(steps)) == 4
    assert any(step.births for m in range(6) for step in ancestry_of(history, 3, m))


def test_a_member_without_a_checkpoint_has_nothing_to_replay(root: Path) -> None:
    """One that failed is named."""
    with pytest.raises(NothingToReplay, match="generation 1 m02: no job and checkpoint"):
        ancestry_of(History.read(root), 1, 2)


@pytest.mark.parametrize(
    ("which", "sentence"),
    [
        ("the-best", "--member the-best: expected best, best-last or a member such as"),
        ("m77", "has no member 'm77' with a score"),
        ("g0001-m02", "has no member 'g0001-m02' with a score"),
    ],
)
def test_a_member_that_there_is_not_is_refused(root: Path, which: str, sentence: str) -> None:
    """One sentence, and exit code 2, before anything is trained."""
    result = CliRunner().invoke(cli, ["replay", str(root), "--member", which])

    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr
