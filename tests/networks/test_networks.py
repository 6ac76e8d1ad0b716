"""Trained networks out of runs and exports: the same bits, or one sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import pbtnas
from pbtnas.checkpoints.files import CorruptCheckpoint
from pbtnas.config import load as load_config
from pbtnas.config import to_json
from pbtnas.models.digits.networks import digits_space
from pbtnas.networks.export import export
from pbtnas.networks.export_directory import CONFIG, MODEL, SEARCH, STATE, NotAnExport
from pbtnas.records import paths
from pbtnas.records.envelope import decode
from pbtnas.rl.episodes import Array
from pbtnas.store.run_directory import NotARun, open_run
from pbtnas.tasks.base import TaskError
from tests.checkpoints.plain import read
from tests.networks.finished import FINGERPRINT, add_evaluation, add_soup, finished, last_options

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_task.py"
OWN = f"{EXAMPLE}:OwnTask"
FACTS = {"drqv2-environment.json": b'{"actions": 2, "features": 5}'}
GAN = {"width": 4, "latent": 6, "discriminator_width": 4, "side": 16, "space": "gan-hard"}
AGENT = {"environment": "cartpole_swingup", "hidden": 8, "channels": 2, "size": 16}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of the digits."""
    finished(tmp_path / "run", "digits", {"images": 100})
    return tmp_path / "run"


def exported(run: Path, name: str = "out", which: str = "best-ever", **more: Any) -> Path:
    directory = run.parent / name
    export(run, directory, which, **{"task_file": None, "whole": False, **more})
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def equal(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


# -- what is loaded ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "options", "image"),
    [("digits", {}, (1, 8, 8)), ("gan", GAN, (3, 16, 16))],
    ids=["digits", "gan"],
)
def test_a_generator_samples_the_same_from_a_run_and_from_its_export(
    tmp_path: Path, task: str, options: dict[str, Any], image: tuple[int, ...]
) -> None:
    """Neither data nor an extractor is there; fewer images are the first of many."""
    trainee: Any = finished(tmp_path / "run", task, options)
    of_run = pbtnas.load(tmp_path / "run")
    directory = exported(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    of_export = pbtnas.load(str(directory))

    assert equal(of_run, trainee.trained_network())
    assert equal(of_run, of_export)
    images = of_export.sample(3, seed=4)
    assert images.dtype == torch.uint8 and images.shape == (3, *image)
    assert torch.equal(images, of_run.sample(3, seed=4))
    assert not torch.equal(images, of_run.sample(3, seed=5))
    close = (images[:2].int() - of_run.sample(2, seed=4).int()).abs()
    assert close.max() <= 1  # batches of other sizes may round otherwise
    assert of_export(torch.zeros(2, of_export.latent)).abs().max() <= 1


def test_samples_come_in_batches(run: Path) -> None:
    """More than fit into one batch are asked for, and less than one are refused."""
    network = pbtnas.load(run)

    many = network.sample(2300, seed=1)

    assert many.shape == (2300, 1, 8, 8)
    assert torch.equal(many[:5], network.sample(5, seed=1))
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        network.sample(0)


@pytest.mark.parametrize(
    ("observations", "shape", "dtype"),
    [("pixels", (9, 16, 16), np.uint8), ("state", (15,), np.float32)],
)
def test_an_agent_acts_without_a_simulator(
    tmp_path: Path, observations: str, shape: tuple[int, ...], dtype: type
) -> None:
    """The action is the trainee's; a wrong observation is told with what is expected."""
    options = {**AGENT, "observations": observations}
    trainee: Any = finished(tmp_path / "run", "drqv2", options, products=FACTS)
    directory = exported(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    agent = pbtnas.load(directory)
    observation: Array = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)

    action = agent.act(observation)

    assert action.dtype == np.float32 and action.shape == (2,)
    assert np.array_equal(action, trainee.agent.act(observation))
    assert not any(name.startswith("critic") for name in agent.state_dict())
    with pytest.raises(ValueError, match="an observation of this agent is"):
        agent.act(observation[:1])
    with pytest.raises(ValueError, match="not float64"):
        agent.act(observation.astype(np.float64))


def test_a_network_of_the_users_own_is_a_module(tmp_path: Path) -> None:
    """It needs its file, on the command line or in the call: no directory names code."""
    trainee: Any = finished(tmp_path / "run", "OwnTask", {}, task_file=OWN)
    directory = exported(tmp_path / "run", task_file=OWN)

    network = pbtnas.load(directory, task=OWN)

    assert equal(network, trainee.network)
    assert not network.training
    assert network(torch.zeros(2, 64)).shape == (2, 10)
    with pytest.raises(TaskError, match="needs --task FILE.py:OwnTask"):
        pbtnas.load(directory)
    assert 'task="FILE.py:OwnTask"' in (directory / "README.md").read_text()


def test_a_soup_is_loaded_and_exported_by_its_name(run: Path) -> None:
    """With the members that were averaged; what is not there is told with what is."""
    trainee: Any = finished(run.parent / "other", "digits", {}, seed=2)
    add_soup(run, trainee, last_options(digits_space()))

    directory = exported(run, which="best-ever-soup")

    assert equal(pbtnas.load(run, "best-ever-soup"), trainee.trained_network())
    assert equal(pbtnas.load(directory), trainee.trained_network())
    assert "average of members 1, 0" in (directory / "README.md").read_text()
    with pytest.raises(NotARun, match="has no 'bets', but best-ever, best-last, best-ever-soup"):
        pbtnas.load(run, "bets")
    with pytest.raises(NotAnExport, match="holds best-ever-soup, not best-ever"):
        pbtnas.load(directory, "best-ever")


def test_importing_pbtnas_does_not_import_torch() -> None:
    """`pbtnas.load` does, when it is called."""
    code = "import sys, pbtnas; assert pbtnas.load; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- what is written ---------------------------------------------------------------------------


def test_equal_runs_give_equal_bytes(run: Path) -> None:
    """Exporting again replaces an export by itself, and another directory gets the same."""
    first = contents(exported(run))

    assert contents(exported(run)) == first
    assert contents(exported(run, "elsewhere")) == first
    assert sorted(first) == ["README.md", CONFIG, MODEL, SEARCH]
    assert {path.name for path in run.parent.iterdir()} == {"run", "out", "elsewhere"}


def test_the_configuration_searches_again(run: Path) -> None:
    """`search.yaml` is what the run was started with, and the card says so."""
    directory = exported(run)

    assert to_json(load_config(directory / SEARCH)) == open_run(run).config
    card = (directory / "README.md").read_text()
    for text in (f"pbtnas run {SEARCH}", FINGERPRINT, "`task.learning_rate` | 0.001", "Licence"):
        assert text in card


def test_an_export_says_what_was_found(run: Path) -> None:
    """Scores of the search and of the final evaluation, its picture and text, and all options."""
    before = json.loads((exported(run) / CONFIG).read_text())
    add_evaluation(run, {"grid.png": b"a picture", "protocol.txt": b"measured thus"})

    directory = exported(run)

    config = json.loads((directory / CONFIG).read_text())
    assert before["evaluated"] is None
    assert config["found"] == {"score": 0.5, "metrics": {"loss": 1.0}}
    assert config["evaluated"] == {"score": 0.25, "metrics": {"loss": 2.0}}
    assert config["task"]["options"]["images"] == 100
    assert config["task"]["options"]["batch_size"] == 64  # a default of today
    assert (directory / "grid.png").read_bytes() == b"a picture"
    card = (directory / "README.md").read_text()
    assert "| score | 0.5 | 0.25 |" in card and "![grid.png](grid.png)" in card
    assert "[protocol.txt](protocol.txt) says how it was measured." in card


@pytest.mark.parametrize(
    ("unseen", "words"),
    [(0, "no estimate of how the network does on others"), (397, "its 397 examples took no part")],
)
def test_a_card_says_what_the_final_evaluation_was_computed_on(
    run: Path, unseen: int, words: str
) -> None:
    """Nobody takes the score of a two-way split for one of examples that selected nothing."""
    add_evaluation(run, {}, unseen_examples=unseen, score=7.0)

    card = (exported(run) / "README.md").read_text()

    assert words in card
    assert "| score | 0.5 | 0.25 |" in card, "a metric of that name is not the score"


def test_an_export_has_the_defaults_of_the_search(run: Path) -> None:
    """The network was trained with the defaults of then, whatever they are by now; where the run
    does not record them, the card says which are assumed."""
    then = {"images": 100, "batch_size": 32, "learning_rate": 0.5}
    finished(run.parent / "then", "digits", {"images": 100}, recorded=then)
    old, new = exported(run, "old"), exported(run.parent / "then", "new")

    options = json.loads((new / CONFIG).read_text())["task"]["options"]
    assert options == {**then, "ema_decay": 0.99, "final_images": 20_000}
    card = (new / "README.md").read_text()
    assert "`task.batch_size` | 32" in card and "does not record" not in card
    search = (new / SEARCH).read_text()
    assert "#   batch_size: 32" in search and to_json(load_config(new / SEARCH)) == (
        open_run(run.parent / "then").config
    )
    card = (old / "README.md").read_text()
    assert "does not record what `task.batch_size`, `task.ema_decay`" in card


def test_all_of_a_member_can_be_exported(run: Path) -> None:
    """Its checkpoint, as the run has it."""
    state = read([exported(run, whole=True) / STATE])

    assert {name.partition(".")[0] for name in state.live} == {"generator", "discriminator"}


# -- what goes wrong ---------------------------------------------------------------------------


def break_tensor(directory: Path) -> None:
    path = directory / MODEL
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut_model(directory: Path) -> None:
    path = directory / MODEL
    path.write_bytes(path.read_bytes()[:100])


def change_architecture(directory: Path) -> None:
    path = directory / CONFIG
    config = json.loads(path.read_text())
    config["architecture"][1] += 1
    path.write_text(json.dumps(config))


def newer_format(directory: Path) -> None:
    path = directory / CONFIG
    path.write_text(path.read_text().replace("pbtnas-export/1", "pbtnas-export/2"))


def somebody_elses(directory: Path) -> None:
    (directory / CONFIG).write_text('{"model_type": "another"}')


def no_model(directory: Path) -> None:
    (directory / MODEL).unlink()


def add_file(directory: Path) -> None:
    (directory / "LICENSE").write_text("mine")


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (break_tensor, f"{MODEL}: was changed since"),
        (cut_model, f"{MODEL}: was changed since"),
        (change_architecture, f"{CONFIG}: was changed since"),
        (newer_format, "has the format 'pbtnas-export/2', this pbtnas reads 'pbtnas-export/1'"),
        (somebody_elses, f"{CONFIG}: not the config of an export"),
        (no_model, f"{MODEL}: cannot be read"),
    ],
)
def test_a_harmed_export_is_neither_loaded_nor_replaced(
    run: Path, harm: Callable[[Path], None], sentence: str
) -> None:
    """One sentence names the file, and nothing in the directory is touched."""
    directory = exported(run)
    harm(directory)
    before = contents(directory)

    with pytest.raises(NotAnExport, match=sentence):
        pbtnas.load(directory)
    with pytest.raises(NotAnExport, match=sentence):
        exported(run)

    assert contents(directory) == before


def test_only_an_export_is_replaced(run: Path) -> None:
    """What else is in a directory is named; a file that was added, too, though it loads."""
    directory = exported(run)
    add_file(directory)
    with pytest.raises(NotAnExport, match="holds 'LICENSE', which is not part of the export"):
        exported(run)
    assert pbtnas.load(directory).sample(1).shape == (1, 1, 8, 8)

    with pytest.raises(NotAnExport, match="is no export"):
        exported(run, run.name)
    (run.parent / "file").touch()
    with pytest.raises(NotAnExport, match="is a file"):
        exported(run, "file")


def test_a_failed_export_leaves_the_older_one(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: nothing is lost, and nothing is left."""
    directory = exported(run)
    before = contents(directory)

    def fail(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        exported(run)

    assert contents(directory) == before
    assert {path.name for path in run.parent.iterdir()} == {"run", "out"}


def test_a_run_that_cannot_be_loaded_says_why(run: Path, tmp_path: Path) -> None:
    """Unfinished, damaged, without the checkpoint, or nothing at all."""
    (checkpoint,) = (run / paths.checkpoints(0)).iterdir()
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CorruptCheckpoint):
        pbtnas.load(run)
    checkpoint.unlink()
    with pytest.raises(NotARun, match="the checkpoint is gone"):
        pbtnas.load(run)
    (run / paths.FINAL).unlink()
    with pytest.raises(NotARun, match="not finished yet"):
        pbtnas.load(run)
    with pytest.raises(NotARun, match="there is no such directory"):
        pbtnas.load(tmp_path / "nowhere")


def test_the_best_so_far_of_a_run_can_be_looked_at(run: Path, tmp_path: Path) -> None:
    """Without waiting for the end, but not exported: tomorrow it may be another."""
    final = run / paths.FINAL
    best = decode(final.read_bytes(), paths.FINAL, kind="final").core["best_ever"]
    finished = pbtnas.load(run)
    final.unlink()
    with pytest.raises(NotARun, match="there is no best member yet"):
        pbtnas.load(run, "best-so-far")
    (run / paths.BEST).write_text(json.dumps(best))

    found = pbtnas.load(run, "best-so-far")

    assert found.state_dict().keys() == finished.state_dict().keys()
    for name, value in finished.state_dict().items():
        assert torch.equal(found.state_dict()[name], value)
    with pytest.raises(NotARun, match="best-so-far changes while a run goes on"):
        export(run, tmp_path / "out", "best-so-far", task_file=None, whole=False)


def test_another_space_is_told(tmp_path: Path) -> None:
    """A task that was changed after the run does not quietly build another network."""
    file = tmp_path / "own.py"
    file.write_text(EXAMPLE.read_text())
    finished(tmp_path / "run", "OwnTask", {}, task_file=f"{file}:OwnTask")
    directory = exported(tmp_path / "run", task_file=f"{file}:OwnTask")
    file.write_text(
        EXAMPLE.read_text().replace('("nothing", "linear", "skip")', '("linear", "skip")')
    )

    for place in (tmp_path / "run", directory):
        with pytest.raises(TaskError, match="another search space"):
            pbtnas.load(place, task=f"{file}:OwnTask")


def test_changed_layers_are_told(tmp_path: Path) -> None:
    """The same space, but other tensors: named, not guessed."""
    file = tmp_path / "own.py"
    file.write_text(EXAMPLE.read_text())
    finished(tmp_path / "run", "OwnTask", {}, task_file=f"{file}:OwnTask")
    directory = exported(tmp_path / "run", task_file=f"{file}:OwnTask")
    file.write_text(EXAMPLE.read_text().replace("nn.Linear(64, 32)", "nn.Linear(64, 32, False)"))

    with pytest.raises(NotAnExport, match=r"the code has changed since.*stem\.bias"):
        pbtnas.load(directory, task=f"{file}:OwnTask")
    with pytest.raises(NotARun, match=r"the code has changed since.*stem\.bias"):
        pbtnas.load(tmp_path / "run", task=f"{file}:OwnTask")
