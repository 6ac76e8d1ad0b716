"""A run that is pinned to instructions, whatever its processes are told by their environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pbtnas.records import paths
from tests.system.site import TASK, Site

FLAGS = Path("/proc/cpuinfo").read_text().split()
FEWER = {"ATEN_CPU_CAPABILITY": "default"}


def _capability(file: Path) -> str:
    meta = json.loads(file.read_text())["meta"]
    assert meta["processor"]
    return str(meta["cpu_capability"])


@pytest.mark.slow
@pytest.mark.skipif("avx2" not in FLAGS, reason="a processor without AVX2")
def test_every_process_of_a_pinned_run_computes_with_its_instructions(site: Site) -> None:
    """Coordinator, training and final evaluation; another run takes what the environment says,
    and its evaluation elsewhere says in one line that bits may differ."""
    text = site.config.read_text().replace("generations: 4", "generations: 1")
    site.config.write_text(text)
    plain = site.run(1, **FEWER)
    assert plain.ends() == 0, plain.said()
    assert _capability(site.run_dir / paths.CONFIG) == "DEFAULT"
    evaluation = ("evaluate", "--task", TASK, "--device", "cpu")
    elsewhere = site.start(*evaluation, str(site.run_dir), ATEN_CPU_CAPABILITY="avx2")
    assert elsewhere.ends() == 0, elsewhere.said()
    assert elsewhere.said().count("the run was started with DEFAULT instructions") == 1

    site.run_dir = site.directory / "pinned"
    pinned = site.run(1, "--set", "run.cpu_capability=avx2", **FEWER)
    assert pinned.ends() == 0, pinned.said()
    again = site.start(*evaluation, str(site.run_dir), **FEWER)
    assert again.ends() == 0, again.said()

    files = [paths.CONFIG, paths.result(0, 0)]
    assert {_capability(site.run_dir / name) for name in files} == {"AVX2"}
    (final, *_) = (site.run_dir / paths.evaluation("x")).parent.glob("*.json")
    assert _capability(final) == "AVX2"
    assert "the run was started with" not in pinned.said() + again.said()
