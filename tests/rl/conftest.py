"""Whether this machine can simulate and render."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from pbtnas.rl.rendering import NoRenderer, choose_renderer


@pytest.fixture(scope="session")
def renderer() -> str:
    """What renders here; tests that ask for it are skipped where nothing does."""
    if find_spec("dm_control") is None:
        pytest.skip("dm_control is not installed")
    if os.environ.get("MUJOCO_GL") in ("disable", "disabled", "off"):
        pytest.skip("MUJOCO_GL switches rendering off")
    try:
        return choose_renderer()
    except NoRenderer as error:
        pytest.skip(str(error))
