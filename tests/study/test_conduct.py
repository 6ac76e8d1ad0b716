"""Beginning with a study, and going on with one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbtnas.config import EngineConfig, PlannedRun, from_json, load
from pbtnas.study.conduct import ChangedStudy, make_study
from tests.system.site import Site


def test_a_study_goes_on_with_its_own_engine_settings(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """As one does that was begun when a default was another; what decides outcomes is refused."""
    caplog.set_level("INFO")
    begun, root = load(site.config), site.directory / "study"
    make_study(root, [PlannedRun("a", 5, begun)])
    later = replace(begun, engine=EngineConfig())
    other = replace(begun, search=replace(begun.search, epochs=3))

    (run,) = make_study(root, [PlannedRun("a", 5, later)]).runs
    with pytest.raises(ChangedStudy, match=r"a-s5: search\.epochs: stored 2, given 3"):
        make_study(root, [PlannedRun("a", 5, other)])

    assert from_json(run.config) == begun
    assert "engine.hang_s: stored 60.0, given 600.0: the study goes on with what is stored" in (
        caplog.text
    )
