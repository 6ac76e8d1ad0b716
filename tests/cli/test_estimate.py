"""`pbtnas estimate`: what it prints of a run and of a study, and what it refuses."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbtnas.cli.cost_lines import lines, size_text, time_text
from pbtnas.tasks.estimating.costs import Costs, of_run
from tests.cli.test_cli import call
from tests.system.site import TASK, Site
from tests.tasks.estimating.test_costs import CHEAP, CONFIG, COSTS, RUN, TWO


def estimated(path: Path, *more: str) -> dict[str, Any]:
    options = ("--task", TASK, "--device", "cpu", "--workers", "2", "--members", "2", "--json")
    result = call("--quiet", "estimate", path, *options, *more)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_run_and_a_study_are_estimated(site: Site) -> None:
    """Two runs that begin alike cost less than twice one, and their task is measured once."""
    study = site.directory / "study.yaml"
    other = "{search.algorithm: random-search}"
    study.write_text(f"config: {site.config.name}\nseeds: [1]\nruns:\n  a: {{}}\n  b: {other}\n")
    one, two = estimated(site.config), estimated(study)

    assert (one["runs"], two["runs"]) == (1, 2)
    for found in (one, two):
        (measured,) = found["measured"]
        assert {each["steps"] for each in measured["members"]} == {5}
        assert len({each["member"] for each in measured["members"]}) == 2
        for name in ("wall_s", "device_s", "checkpoint_bytes", "disk_bytes", "left_bytes"):
            spread = found[name]
            assert 0 < spread["low"] <= spread["likely"] <= spread["high"]
    assert two["disk_bytes"]["low"] < 2 * one["disk_bytes"]["low"]  # random search has no child
    assert not site.run_dir.exists()


def test_what_cannot_be_estimated_is_a_sentence(site: Site) -> None:
    """Exit code 2 for a device that is not here, and for --set with a study."""
    study = site.directory / "study.yaml"
    study.write_text(f"config: {site.config.name}\nseeds: [1]\nruns: {{a: {{}}}}\n")
    result = call("estimate", site.config, "--task", TASK, "--device", "cuda:7")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)

    result = call("estimate", study, "--task", TASK, "--device", "cpu", "--set", "run.seed=1")
    assert result.exit_code == 2
    assert "--set is for the configuration of one run, not for a study" in result.stderr


def test_instructions_are_pinned_as_in_the_run(site: Site) -> None:
    """Measured with other instructions, an estimate would be that of another run."""
    result = call("estimate", site.config, "--task", TASK, "--set", "run.cpu_capability=avx512")
    assert result.exit_code == 2
    assert result.stderr.startswith("pbtnas: run.cpu_capability is avx512")  # too late, or cannot


def test_a_full_disk_is_no_bug(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the directory of temporary files is full, the sentence says which that is, and 69."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pbtnas.tasks.estimating.measuring.write", full)
    result = call("--quiet", "estimate", site.config, "--task", TASK, "--device", "cpu")
    assert result.exit_code == 69
    assert result.stderr == (
        "pbtnas: the directory of temporary files, which TMPDIR names: No space left on device\n"
    )


def test_the_text_has_every_number_with_a_unit() -> None:
    """Members, the range from the cheapest to the dearest, and what is not in it."""
    gpu = Costs((replace(CHEAP, gpu_bytes=4 * 10**9),), 0.0, 7.0, 10**9)
    found = of_run(RUN, **TWO)
    text = "\n".join(lines([CONFIG], [COSTS, gpu], found, workers=2, device="cpu"))

    for words in ("1 run, 12 jobs, 28 epochs", "m03", "1.0 s", "GPU memory", "4.0 GB", "2 workers"):
        assert words in text
    assert "if all were cheapest" in text and "not in it: failures" in text
    assert [time_text(s) for s in (0.0052, 3, 90, 7200, 3.6e6)] == [
        *("5.2 ms", "3.0 s", "1.5 min", "2.0 h", "1,000 h")
    ]
    assert [size_text(b) for b in (800, 2.5e6, 3e12)] == ["0.8 kB", "2.5 MB", "3.0 TB"]
