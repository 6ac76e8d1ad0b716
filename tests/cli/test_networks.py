"""`pbtnas export` and `pbtnas play` as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pbtnas.cli.app import cli
from tests.networks.finished import finished
from tests.networks.test_networks import FACTS

STATE = {
    "environment": "cartpole_swingup",
    "observations": "state",
    "hidden": 8,
    "action_repeat": 100,
}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="pbtnas")


def test_export_lists_its_files(tmp_path: Path) -> None:
    """Exit 0 with a line for each, and 2 with a sentence when they would replace others."""
    finished(tmp_path / "run", "digits", {})

    result = call("export", tmp_path / "run", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "model.safetensors" in result.stdout

    result = call("export", tmp_path / "run", "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "is no export" in result.stderr


def test_what_cannot_be_played_is_told(tmp_path: Path) -> None:
    """A generator has no episodes; a GIF is not made; both before anything is rendered."""
    finished(tmp_path / "run", "digits", {})

    result = call("play", tmp_path / "run")
    assert result.exit_code == 2
    assert "a DigitsTask has no episodes to play" in result.stderr

    result = call("play", tmp_path / "run", "-o", tmp_path / "play.gif")
    assert result.exit_code == 2
    assert "ends in .webp or .mp4, not in '.gif'" in result.stderr


@pytest.mark.usefixtures("renderer")
def test_an_agent_that_sees_states_is_filmed(tmp_path: Path) -> None:
    """Two episodes of ten steps each, with a return for each, from run and export alike."""
    facts = {name: data.replace(b'"actions": 2', b'"actions": 1') for name, data in FACTS.items()}
    finished(tmp_path / "run", "drqv2", STATE, products=facts)
    call("export", tmp_path / "run", "-o", tmp_path / "out")

    results = [
        call("play", tmp_path / place, "--episodes", 2, "-o", tmp_path / f"{place}.webp")
        for place in ("run", "out")
    ]

    told = [result.stdout.splitlines()[:2] for result in results]
    assert [result.exit_code for result in results] == [0, 0], results[0].output
    assert told[0] == told[1] and told[0][0] != told[0][1]
    assert all(line.startswith("return ") and "in 10 steps" in line for line in told[0])
    with Image.open(tmp_path / "out.webp") as video:
        assert video.size == (192, 192)
        assert getattr(video, "n_frames", 1) > 10
