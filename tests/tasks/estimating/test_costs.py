"""What members cost, multiplied by what a configuration asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbtnas.config.schema import Config, EngineConfig, RunConfig, SearchConfig, TaskConfig
from pbtnas.tasks.estimating.costs import (
    Costs,
    MemberCosts,
    Priced,
    Spread,
    makespan,
    of_run,
    of_study,
)

CHEAP = MemberCosts(
    member=3,
    weights=1_000,
    steps=10,
    create_s=1.0,
    epoch_s=10.0,
    evaluate_s=5.0,
    save_s=1.0,
    load_s=1.0,
    checkpoint_bytes=1_000_000,
    gpu_bytes=None,
)
DEAR = replace(CHEAP, member=0, weights=3_000, epoch_s=20.0, checkpoint_bytes=3_000_000)
COSTS = Costs((CHEAP, DEAR), child_s=3.0, prepare_s=7.0, rss_bytes=10**9)
CONFIG = Config(
    TaskConfig("toy"),
    SearchConfig(population=4, generations=3, first_epochs=5, epochs=1),
    RunConfig(),
    EngineConfig(poll_s=0.01),  # so that nothing is noticed late
)


RUN = Priced(CONFIG, COSTS, children=2)


def test_a_run_is_the_sum_of_its_jobs() -> None:
    """Each member trains first_epochs and then epochs twice, is scored and saved each time."""
    found = of_run(RUN, workers=2, start_s=0.0)

    cheap_s, dear_s = 58 + 2 * 18, 108 + 2 * 28
    assert found.device_s == Spread(4 * cheap_s, 2 * cheap_s + 2 * dear_s, 4 * dear_s)


def test_a_generation_waits_for_its_slowest_member() -> None:
    """So two workers are not twice as fast as one, and more workers than members are no faster."""
    wall_s = {
        workers: of_run(RUN, workers=workers, start_s=0.0).wall_s.likely for workers in (1, 2, 4, 8)
    }

    assert wall_s[1] > wall_s[2] > wall_s[4] == wall_s[8]
    assert makespan([1, 2, 2, 1], 2) == 3 and makespan([4, 1, 1, 1], 2) == 4


def test_what_is_paid_once_is_counted_once() -> None:
    """A coordinator starts, then its workers; children are made between generations."""
    slow = of_run(RUN, workers=4, start_s=100.0).wall_s
    childless = replace(RUN, costs=replace(COSTS, prepare_s=0.0), children=0)
    quick = of_run(childless, workers=4, start_s=0.0).wall_s

    assert slow.high - quick.high == pytest.approx(2 * 100 + 7 + 2 * 2 * 3)


def test_disk_is_that_of_the_generations_that_are_kept() -> None:
    """Three generations and one in the trash, with an overlay for each child, and the best."""
    long = replace(CONFIG, search=replace(CONFIG.search, generations=9))
    found = of_run(replace(RUN, config=long), **TWO)

    assert found.checkpoint_bytes == Spread(1e6, 2e6, 3e6)
    assert found.disk_bytes.low == 1e6 * (4 * (4 + 2) + 1)
    assert found.left_bytes.high == 3e6 * (3 * (4 + 2) + 1)


TWO = {"workers": 2, "start_s": 0.0}


def test_runs_of_a_study_that_begin_alike_pay_for_generation_0_once() -> None:
    """Not so with another seed; and its workers are busy all the time at best."""
    other = replace(CONFIG, search=replace(CONFIG.search, algorithm="random-search"))
    seed = replace(CONFIG, run=RunConfig(seed=1))
    one = of_run(RUN, **TWO)
    alike = of_study([RUN, replace(RUN, config=other)], **TWO)
    apart = of_study([RUN, replace(RUN, config=seed)], **TWO)

    assert apart.device_s == one.device_s.times(2)
    assert one.device_s.low * 2 - alike.device_s.low == 4 * CHEAP.job_s(5)
    assert apart.wall_s.low == one.device_s.low
    assert apart.left_bytes == one.left_bytes.times(2)
